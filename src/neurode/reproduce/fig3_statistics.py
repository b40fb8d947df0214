"""Figure 3: statistics of a trained ODE-Net, and its accuracy against the tolerance."""

import dataclasses
import time
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from neurode.gradients import Backsolve, Direct
from neurode.models import ODENet, odenet
from neurode.report import Curve, Panel, Points, draw_panels
from neurode.reproduce.experiment import Findings, Value
from neurode.reproduce.fig1_euler import solve_logits
from neurode.reproduce.trained_odenet import (
    QUICK,
    Config,
    Trained,
    accuracy,
    chance,
    name_run,
    obtain_odenet,
)
from neurode.solvers import Adams, Dopri5

__all__ = ["QUICK", "Config", "name_run", "run"]

TOLERANCES = 10.0 ** np.arange(-6, 0.25, 0.5)
WAYS: dict[str, tuple[Any, Any]] = {
    "ODE-Net dopri5": (Dopri5(), Backsolve()),
    "ODE-Net Adams": (Adams(), Backsolve()),  # the paper's solver
    "RK-Net": (Dopri5(), Direct()),
}
_ROLES = ("model", "second", "third")
_REPEATS = 3


class Swept(NamedTuple):
    """What was measured at each tolerance; arrays [m].

    Attributes:
        errors: mean absolute difference of the logits from those at the tightest tolerance.
        accuracies: in percent, of the images that are tested.
        nfe: evaluations of the field, one joint solve of all images.
        seconds: of the forward pass, the least of three.
    """

    errors: np.ndarray
    accuracies: np.ndarray
    nfe: np.ndarray
    seconds: np.ndarray


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Measure a trained ODE-Net over tolerances, forwards and backwards.

    Args:
        config: which network.
        data: MNIST's folder, with Table 1's weights.
        folder: of the run.
        resume: go on with what the folder holds.
        progress: show it on standard error.
    """
    began = time.monotonic()
    trained = obtain_odenet(config, data, folder, resume, progress)
    if trained.interrupted:
        return Findings({}, {}, False, True, (config.seed,), trained.seconds)
    swept = sweep(trained)
    counts = {way: count_evaluations(trained, *how) for way, how in WAYS.items()}
    values = {
        (way, "nfe_ratio"): Value(float(np.mean(backward / forward)))
        for way, (forward, backward) in counts.items()
    }
    values["ResNet", "nfe_ratio"] = Value(1.0, note="by construction: a block is pulled back once")
    holds = np.minimum.accumulate(swept.accuracies) >= swept.accuracies[0]
    slope = np.polyfit(swept.nfe, swept.seconds, 1)
    rest = swept.seconds - np.polyval(slope, swept.nfe)
    values |= {
        ("ODE-Net dopri5", "accuracy"): Value(float(swept.accuracies[0])),
        ("ODE-Net dopri5", "loosest_tolerance"): Value(
            float(TOLERANCES[np.flatnonzero(holds)[-1]])
        ),
        ("ODE-Net dopri5", "time_explained"): Value(
            100 * float(1 - rest.var() / swept.seconds.var())
        ),
    }
    return Findings(
        values=values,
        figures={"figure": draw(trained, swept, counts)},
        complete=True,
        interrupted=False,
        seeds=(config.seed,),
        seconds=time.monotonic() - began,
        is_trial=not config.weights,
        notes=(
            trained.described,
            f"milliseconds of a forward pass: {1e3 * slope[1]:.0f}, and {1e3 * slope[0]:.1f} for "
            "each evaluation",
        ),
    )


def sweep(trained: Trained) -> Swept:
    """Solve forwards at every tolerance, one compiled program for all."""
    x = jnp.asarray(trained.images)
    logits, counts, seconds = [], [], []
    jax.block_until_ready(solve_logits(trained.model, x, jnp.asarray(1e-3)))
    for tolerance in TOLERANCES:
        least = np.inf
        for _ in range(_REPEATS):
            began = time.perf_counter()
            found = jax.block_until_ready(solve_logits(trained.model, x, jnp.asarray(tolerance)))
            least = min(least, time.perf_counter() - began)
        logits.append(np.asarray(found[0]))  # pyright: ignore[reportPossiblyUnbound]
        counts.append(int(found[1]))  # pyright: ignore[reportPossiblyUnbound]
        seconds.append(least)
    return Swept(
        np.array([np.abs(each - logits[0]).mean() for each in logits]),
        np.array([_accuracy_at(trained, tolerance) for tolerance in TOLERANCES]),
        np.array(counts, float),
        np.array(seconds),
    )


def _accuracy_at(trained: Trained, tolerance: float) -> float:
    at = jnp.asarray(tolerance)
    return accuracy(trained, lambda images: solve_logits(trained.model, images, at)[0])


def count_evaluations(
    trained: Trained, solver: Any, gradient: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Evaluations forwards and backwards at every tolerance, [m] each.

    Args:
        trained: the network and the images, whose loss is differentiated.
        solver: in place of the network's.
        gradient: likewise.
    """
    block = dataclasses.replace(trained.model.block, solver=solver, gradient=gradient)
    model = eqx.tree_at(lambda model: model.block, trained.model, block)
    batch = jnp.asarray(trained.images), jnp.asarray(trained.labels)
    found = [_count(model, batch, jnp.asarray(tolerance)) for tolerance in TOLERANCES]
    forward, backward = zip(*found, strict=True)
    return np.array(forward, float), np.array(backward, float)


@eqx.filter_jit
def _count(model: ODENet, batch: Any, tolerance: Array) -> tuple[Array, Array]:
    def loss(pair):
        model, probe = pair

        def at_tolerance(images, probe):
            return model(images, probe=probe, tolerance=tolerance)

        return odenet.objective(at_tolerance, batch, jax.random.key(0), probe)  # pyright: ignore

    (_, metrics), gradient = eqx.filter_value_and_grad(loss, has_aux=True)((model, jnp.zeros(())))
    return metrics["nfe_forward"], gradient[1]


def draw(trained: Trained, swept: Swept, counts: dict[str, tuple[np.ndarray, np.ndarray]]) -> Any:
    """The four panels of the paper, and accuracy against tolerance."""
    every = np.concatenate([forward for forward, _ in counts.values()])
    ends = np.array([every.min(), every.max()])
    panels = [
        Panel(
            "(a) error of the logits",
            [Curve(TOLERANCES[1:], swept.errors[1:], "dopri5")],
            x_label="tolerance",
            log_x=True,
            log_y=True,
        ),
        Panel(
            "(b) milliseconds, forwards",
            points=[Points(swept.nfe, 1e3 * swept.seconds, "dopri5", "model")],
            x_label="evaluations forwards",
        ),
        Panel(
            "(c) evaluations backwards",
            [Curve(ends, ends, "1:1 (ResNet)", "baseline"), Curve(ends, ends / 2, "1:2", "truth")],
            [
                Points(*pair, way, role)
                for (way, pair), role in zip(counts.items(), _ROLES, strict=True)
            ],
            x_label="evaluations forwards",
            log_x=True,
            log_y=True,
        ),
        Panel(
            "accuracy (%), with 95% intervals",
            [
                Curve(
                    TOLERANCES,
                    swept.accuracies,
                    "dopri5",
                    "model",
                    *chance(trained, swept.accuracies),
                )
            ],
            x_label="tolerance",
            log_x=True,
            most=100.0,
        ),
    ]
    if len(trained.history.get("nfe_forward", ())):
        steps = np.array_split(trained.history["step"], min(100, len(trained.history["step"])))
        forward = np.array_split(trained.history["nfe_forward"], len(steps))
        curve = Curve([s[-1] for s in steps], [f.mean() for f in forward], "dopri5")
        panels.insert(3, Panel("(d) evaluations in training", [curve], x_label="step"))
    return draw_panels(panels, columns=2)
