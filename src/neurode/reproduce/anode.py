"""Maps that no flow can be: spheres inside shells and a crossing, and two ways out of it.

The flow of an ODE is a homeomorphism. Three toy problems of Dupont, Doucet and Teh, "Augmented
Neural ODEs" (NeurIPS 2019), whose targets are none, are learned by a plain ODE-Net, by one whose
state has more dimensions than the data, and by one with a linear layer before the ODE and one
behind it.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from neurode.data import ArrayBatches
from neurode.models import SquaredError, TabularODENet
from neurode.report import Curve, Frame, Panel, draw_frames, draw_panels
from neurode.reproduce.experiment import Findings, Value, check_whole
from neurode.training import FitResult, fit

PROBLEMS = ("spheres 1-D", "spheres 2-D", "crossing")
NETS = {"plain": "model", "augmented": "second", "linear + ODE + linear": "third"}
_DRAWN = 60  # points of the pictures
_DEPTHS = np.linspace(0.0, 1.0, 21)


@dataclass(frozen=True)
class Config:
    """Dupont et al.'s configuration where they state one, and fewer repetitions (theirs: 10)."""

    seed: int = 0  # the first of them
    seeds: int = 3
    epochs: int = 30
    batch_size: int = 64
    learning_rate: float = 1e-3
    hidden: int = 32
    augment: int = 5
    width: int = 8  # of the state between two linear layers
    inner: int = 500  # points of the ball
    outer: int = 1500  # points of the shell
    tolerance: float = 1e-3
    max_steps: int = 1024

    def __post_init__(self):
        for name in ("seeds", "epochs", "batch_size", "hidden", "augment", "width", "inner"):
            check_whole(name, getattr(self, name), 1)


QUICK = {"seeds": 1, "epochs": 2, "inner": 100, "outer": 300}


class Trained(NamedTuple):
    """One network after its training, on one problem.

    Attributes:
        result: of `fit`.
        loss: mean squared error over all points.
        error: share of points on the wrong side of the middle of the targets.
        nfe: evaluations of the field per batch, step by step.
    """

    result: FitResult
    loss: float
    error: float
    nfe: np.ndarray


def name_run(config: Config) -> str:
    """Return the run folder's name: what people vary."""
    return f"epochs{config.epochs}-seed{config.seed}"


def run(
    config: Config, folder: Path, *, data: Any = None, resume: bool = True, progress: bool = True
) -> Findings:
    """Train every network on every problem.

    Args:
        config: what to train and how.
        folder: of the run; every training has a folder in it.
        data: not used: points are drawn.
        resume: go on with what the folder holds.
        progress: show it on standard error.
    """
    del data
    found: dict[tuple[str, str], list[Trained]] = {}
    for problem in PROBLEMS:
        for net in NETS:
            found[problem, net] = []
            for seed in range(config.seed, config.seed + config.seeds):
                place = folder / f"{problem}-{net}-{seed}".replace(" ", "")
                trained = train(config, problem, net, seed, place, resume, progress)
                found[problem, net].append(trained)
                if trained.result.interrupted:
                    return Findings({}, {}, False, True, (), 0.0)
    return Findings(
        values=_collect(config, found),
        figures={"figure": draw_losses(found), "figure_flows": draw_flows(config, found)},
        complete=True,
        interrupted=False,
        seeds=tuple(range(config.seed, config.seed + config.seeds)),
        seconds=sum(t.result.seconds for each in found.values() for t in each),
        notes=(
            "the middle of the targets divides the classes; a loss of 0.75 (spheres) or 1 "
            "(crossing) is that of the best constant",
        ),
    )


def draw_points(config: Config, problem: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The points [n, d] of a problem and their targets [n, 1].

    Balls and shells: radius uniform in [0, 0.5] (target -1) and [1, 1.5] (target 1), directions
    uniform. The crossing takes -1 to 1 and 1 to -1.

    Args:
        config: how many points.
        problem: one of `PROBLEMS`.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    if problem == "crossing":
        side = rng.permutation(np.repeat([-1.0, 1.0], (config.inner + config.outer) // 2))[:, None]
        return side, -side
    d = 1 if problem == "spheres 1-D" else 2
    inside = np.arange(config.inner + config.outer) < config.inner
    direction = rng.normal(size=(len(inside), d))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = np.where(inside, rng.uniform(0, 0.5, len(inside)), rng.uniform(1, 1.5, len(inside)))
    return direction * radius[:, None], np.where(inside, -1.0, 1.0)[:, None]


def make_net(config: Config, problem: str, net: str, key: Array) -> TabularODENet:
    """An untrained network; for the crossing, plain and augmented flows have no head.

    (With one, the head alone would turn the sign.)
    """
    composed = net == "linear + ODE + linear"
    return TabularODENet(
        2 if problem == "spheres 2-D" else 1,
        1,
        width=config.width if composed else None,
        hidden=(config.hidden, config.hidden),
        activation="softplus",
        augment=config.augment if net == "augmented" else 0,
        has_head=composed or problem != "crossing",
        rtol=config.tolerance,
        atol=config.tolerance,
        max_steps=config.max_steps,
        key=key,
    )


def train(
    config: Config,
    problem: str,
    net: str,
    seed: int,
    folder: Path,
    resume: bool,
    progress: bool,
) -> Trained:
    """Train one network on one problem.

    Args:
        config: how.
        problem: one of `PROBLEMS`.
        net: one of `NETS`.
        seed: of points and weights.
        folder: of this training.
        resume: go on with what it holds.
        progress: show it.
    """
    x, y = draw_points(config, problem, seed)
    for_net, for_batches, for_fit = jax.random.split(jax.random.key(seed), 3)
    arrays = tuple(jnp.asarray(a, jnp.float32) for a in (x, y, np.ones(len(x))))
    batches = ArrayBatches(arrays, config.batch_size, key=for_batches)
    result = fit(
        SquaredError(),
        make_net(config, problem, net, for_net),
        batches,
        optimizer=make_optimizer(config.learning_rate),
        steps=config.epochs * batches.steps_per_epoch,
        key=for_fit,
        run=folder,
        config=asdict(config) | {"problem": problem, "net": net, "seed": seed},
        resume=resume,
        skip_non_finite=20,
        progress=progress,
    )
    outputs = np.asarray(_apply(result.model, arrays[0]))
    return Trained(
        result,
        float(np.mean(np.square(outputs - y))),
        float(np.mean((outputs > 0) != (y > 0))),
        result.history["nfe_forward"],
    )


@lru_cache(maxsize=8)
def make_optimizer(learning_rate: float) -> optax.GradientTransformation:
    """Adam; the same object for the same rate, so that another seed compiles nothing."""
    return optax.adam(learning_rate)


@eqx.filter_jit
def _apply(model: TabularODENet, x: Array) -> Array:
    return model(x)[0]


def _collect(
    config: Config, found: dict[tuple[str, str], list[Trained]]
) -> dict[tuple[str, str], Value]:
    values = {}
    for (problem, net), trained in found.items():
        each = {
            "loss": [t.loss for t in trained],
            "error": [100 * t.error for t in trained],
            "nfe_first": [np.mean(t.nfe[: len(t.nfe) // config.epochs]) for t in trained],
            "nfe_last": [np.mean(t.nfe[-(len(t.nfe) // config.epochs) :]) for t in trained],
        }
        for metric, numbers in each.items():
            n = len(numbers)
            sd = float(np.std(numbers, ddof=1)) if n > 1 else None
            values[f"{problem}, {net}", metric] = Value(float(np.mean(numbers)), n, sd)
    return values


def draw_losses(found: dict[tuple[str, str], list[Trained]]) -> Any:
    """Loss and evaluations over training, a column for each problem; means over the seeds."""

    def curve(net, problem, name):
        histories = np.stack([t.result.history[name] for t in found[problem, net]]).mean(axis=0)
        parts = np.array_split(histories, min(60, len(histories)))
        steps = np.cumsum([len(part) for part in parts])
        return Curve(steps, [part.mean() for part in parts], net, NETS[net])

    panels = [
        Panel(
            f"{problem}: {title}",
            [curve(net, problem, name) for net in NETS],
            x_label="step",
            log_y=name == "loss",
        )
        for name, title in (("loss", "loss"), ("nfe_forward", "evaluations"))
        for problem in PROBLEMS
    ]
    return draw_panels(panels, columns=3, panel_height=1.9)


def draw_flows(config: Config, found: dict[tuple[str, str], list[Trained]]) -> Any:
    """Where points are at five depths of each trained flow.

    States of one dimension are drawn against a random height, others along the two directions in
    which they spread most. Every picture has its own scale, and half its width stands below it.
    """
    rows, labels, shown = [], [], (0, 5, 10, 15, 20)
    for problem in PROBLEMS:
        x, y = draw_points(config, problem, config.seed)
        chosen = np.random.default_rng(1).permutation(len(x))[: _DRAWN * 4]
        for net in NETS:
            model = found[problem, net][0].result.model
            z = jnp.asarray(x[chosen], jnp.float32)
            states = np.asarray(_follow(model, z))
            flat = flatten_states(states)
            reach = np.abs(flat).max(axis=(1, 2), keepdims=True)
            groups = (y[chosen, 0] > 0).astype(int)
            rows.append(
                [
                    Frame(
                        points=(flat / reach)[i], note=f"\u00b1 {reach[i, 0, 0]:.2g}", groups=groups
                    )
                    for i in shown
                ]
            )
            labels.append(f"{problem}\n{net}")
    titles = [f"depth {_DEPTHS[i]:g}" for i in shown]
    limits, groups = (-1.1, 1.1, -1.1, 1.1), ("to be sent to -1", "to be sent to 1")
    return draw_frames(rows, titles=titles, labels=labels, limits=limits, groups=groups)


@eqx.filter_jit
def _follow(model: TabularODENet, x: Array) -> Array:
    return model.block.follow(model.lift(x), jnp.asarray(_DEPTHS, x.dtype))[0]


def flatten_states(states: np.ndarray) -> np.ndarray:
    """States [m, n, d] in the plane, [m, n, 2]: one projection, about their middle.

    States of one dimension stand at random heights between the ends.
    """
    centred = states - states.mean(axis=1, keepdims=True)
    if states.shape[2] == 1:
        height = np.random.default_rng(0).uniform(-1, 1, states.shape[1])
        reach = np.abs(centred).max(axis=1)
        return np.stack([centred[..., 0], reach * height], axis=-1)
    # Each depth weighs alike in the choice of the two directions.
    scaled = centred / np.abs(centred).max(axis=(1, 2), keepdims=True)
    axes = np.linalg.svd(scaled.reshape(-1, states.shape[2]), full_matrices=False)[2][:2]
    return centred @ axes.T
