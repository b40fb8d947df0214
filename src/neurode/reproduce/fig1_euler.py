"""Figure 1: a residual network is Euler's method; the same trained field, stepped and solved."""

import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from neurode.ivp import solve
from neurode.models import ODENet
from neurode.report import Curve, Panel, Points, draw_panels
from neurode.reproduce.experiment import Findings, Value
from neurode.reproduce.trained_odenet import (
    QUICK,
    Config,
    Trained,
    accuracy,
    chance,
    name_run,
    obtain_odenet,
)

__all__ = ["QUICK", "Config", "name_run", "run"]

COUNTS = (2, 4, 8, 16, 32, 64)
ADAPTIVE = "adaptive"
_SHOWN, _DRAWN_STEPS = 6, 6  # images in the picture; Euler steps there: the paper's residual blocks
_REFERENCE = 1e-6
_EULER, _SOLVED = ("Euler steps", "second"), ("adaptive solve", "model")  # label and colour


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Step a trained ODE-Net's field by Euler's method, and solve it.

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
    model, x = trained.model, jnp.asarray(trained.images)
    reference = solve_logits(model, x, jnp.asarray(_REFERENCE))[0]
    tolerance = jnp.asarray(model.block.rtol)

    def describe(row, read):
        logits, count = read(x)
        found = {
            "accuracy": accuracy(trained, lambda images: read(images)[0]),
            "difference": float(jnp.abs(logits - reference).mean()),
            "nfe": float(count),
        }
        return {(row, metric): Value(value) for metric, value in found.items()}

    values = describe(ADAPTIVE, lambda x: solve_logits(model, x, tolerance))
    for n in COUNTS:
        read = lambda x, n=n: (step_logits(model, x, jnp.asarray(n)), n)  # noqa: E731
        values |= describe(f"Euler N={n}", read)
    return Findings(
        values=values,
        figures={"figure": draw(trained, values)},
        complete=True,
        interrupted=False,
        seeds=(config.seed,),
        seconds=time.monotonic() - began,
        is_trial=not config.weights,
        notes=(trained.described,),
    )


def step_euler(
    field: Any, z: Float[Array, "h w n c"], n: Int[Array, ""]
) -> Float[Array, "h w n c"]:
    """n residual blocks z <- z + f(t, z) / n that share their weights: Euler's method on [0, 1].

    Args:
        field: f.
        z: the state at depth 0.
        n: blocks.
    """
    return jax.lax.fori_loop(0, n, lambda i, z: z + field(i / n, z) / n, z)


@eqx.filter_jit
def step_logits(model: ODENet, images: Array, n: Array) -> Array:
    """The logits of an ODE-Net whose ODE is stepped n times."""
    return model.read_out(step_euler(model.block.field, model.lift(images), n))


@eqx.filter_jit
def solve_logits(model: ODENet, images: Array, tolerance: Array) -> tuple[Array, Array]:
    """The logits of an ODE-Net at a tolerance, and the evaluations of the field."""
    logits, stats = model(images, tolerance=tolerance)
    return logits, stats.num_f_evals


def trace_paths(model: ODENet, images: np.ndarray, n: int) -> dict[str, Any]:
    """One feature of each image over depth: by n Euler steps, solved, and where f was evaluated.

    The feature is the direction in which the images' states differ most at depth 1.

    Args:
        model: the network.
        images: [k, h, w].
        n: Euler steps.
    """
    z = eqx.filter_jit(model.lift)(jnp.asarray(images))
    field, block = eqx.filter_jit(model.block.field), model.block
    stepped = [z]
    for i in range(n):
        stepped.append(stepped[-1] + field(jnp.asarray(i / n, z.dtype), stepped[-1]) / n)
    options = {"solver": block.solver, "rtol": block.rtol, "atol": block.atol}
    options["stepsize"] = block.stepsize
    solution = solve(block.field, z, jnp.array([0.0, 1.0]), dense=True, **options)
    accepted = np.asarray(solution.steps)[: int(solution.stats.num_accepted) + 1]
    nodes = np.unique(np.asarray(block.solver.tableau.c, float))  # pyright: ignore
    evaluated = np.unique(
        [t + c * (u - t) for t, u in zip(accepted, accepted[1:], strict=False) for c in nodes]
    )
    depths = np.linspace(0, 1, 60)
    smooth = np.stack([np.asarray(solution(t)) for t in depths])
    at = np.stack([np.asarray(solution(t)) for t in evaluated])
    last = np.moveaxis(smooth[-1], 2, 0).reshape(len(images), -1)
    axis = np.linalg.svd(last - last.mean(axis=0), full_matrices=False)[2][0]

    def feature(states):
        return np.moveaxis(np.asarray(states), 3, 1).reshape(len(states), len(images), -1) @ axis

    return {
        "euler": (np.linspace(0, 1, n + 1), feature(np.stack(stepped))),
        "blocks": (np.arange(n) / n, feature(np.stack(stepped[:-1]))),
        "smooth": (depths, feature(smooth)),
        "evaluated": (evaluated, feature(at)),
    }


def draw(trained: Trained, values: dict[tuple[str, str], Value]) -> Any:
    """The paths of a few images, and error and accuracy against the number of steps."""
    _, first = np.unique(trained.labels, return_index=True)
    paths = trace_paths(trained.model, trained.images[first[:_SHOWN]], _DRAWN_STEPS)

    def panel(title, line, marks, how):
        depths, features = paths[line]
        at, places = paths[marks]
        curves = [Curve(depths, column, *how) for column in features.T]
        dots = [Points(at, column, "f is evaluated", "data") for column in places.T]
        return Panel(title, curves, dots, x_label="depth", y_label="a feature")

    def numbers(metric):
        return np.array([values[f"Euler N={n}", metric].ours for n in COUNTS])

    def compare(title, metric, **how):
        solved, found = values[ADAPTIVE, "nfe"].ours, values[ADAPTIVE, metric].ours
        stepped = numbers(metric)
        low, high = chance(trained, stepped) if metric == "accuracy" else (None, None)
        return Panel(
            title,
            [Curve(COUNTS, stepped, *_EULER, low, high)],
            [Points([solved], [found], *_SOLVED)],
            x_label="evaluations of f",
            **how,
        )

    return draw_panels(
        [
            panel(f"{_DRAWN_STEPS} residual blocks: Euler's method", "euler", "blocks", _EULER),
            panel("the ODE, solved", "smooth", "evaluated", _SOLVED),
            compare("difference of the logits", "difference", log_y=True),
            compare("accuracy (%), with 95% intervals", "accuracy", most=100.0),
        ]
    )
