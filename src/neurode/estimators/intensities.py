"""The intensity of a point process: training it, evaluating it, and how well it is known."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from neurode.core.status import SolveError, Status
from neurode.data import ArrayBatches, Events, FullBatch
from neurode.estimators.updates import fit_patiently
from neurode.models import (
    EventLikelihood,
    EventRate,
    EventWindows,
    LatentIntensity,
    SolveOptions,
    differentiate_log_rates,
    follow_intensity,
)
from neurode.training import FitResult

HALF_SPAN = 4.0
"""The model's clock runs from -4 to 4 over the windows: there, networks are neither flat nor steep.
"""

_PIECE = 512  # events that a window is cut into at most, for batches
_LAST_RATE = 0.01  # of the learning rate, at the last step
_NODES = 256  # intervals of the band over the windows
_FAR = 4  # a forecast of it has at most so many times these
_BUCKET = 1024  # times of an evaluation at least
_FINE = 1e-8  # tolerance of evaluations, which are in double precision


class Intensity(NamedTuple):
    """Events per unit of time, with a band.

    Attributes:
        rate: [T]; of several series at the same times [n, T], at times of their own a list.
        low: lower end of the band, likewise.
        high: upper end of the band, likewise.
    """

    rate: Any
    low: Any
    high: Any


class Clock(NamedTuple):
    """Between the user's times and the model's.

    Attributes:
        start: the first time of all windows.
        end: the last.
    """

    start: float
    end: float

    @property
    def speed(self) -> float:
        """Model time per unit of the user's."""
        return 2 * HALF_SPAN / (self.end - self.start)

    def __call__(self, times: np.ndarray) -> np.ndarray:
        """The model's times."""
        return (times - self.start) * self.speed - HALF_SPAN


class Schedule(NamedTuple):
    """How long and how fast to train.

    Attributes:
        steps: updates.
        learning_rate: of Adam at the start; it falls along a cosine to a hundredth.
        batch_size: events per update, at about.
        precision: of the prior.
    """

    steps: int
    learning_rate: float
    batch_size: int
    precision: float


def cut_windows(events: Events, clock: Clock) -> EventWindows:
    """The windows on the model's clock, long ones cut into pieces of at most 512 events.

    The likelihood of a window is the product of those of its pieces, so that a batch of pieces
    estimates it without bias, however many events there are.
    """
    times, windows = [], []
    for part, (start, end) in zip(events.times, events.windows, strict=True):
        cuts = np.arange(_PIECE, len(part), _PIECE)
        between = (part[cuts - 1] + part[cuts]) / 2
        edges = np.concatenate([[start], between, [end]])
        times += np.split(part, cuts)
        windows += list(zip(edges[:-1], edges[1:], strict=True))
    most = max(1, *map(len, times))
    padded = np.stack([np.pad(t, (0, most - len(t)), constant_values=clock.start) for t in times])
    mask = np.arange(most) < np.array([len(t) for t in times])[:, None]
    dtype = jnp.result_type(float)
    return EventWindows(
        jnp.asarray(clock(padded), dtype),
        jnp.asarray(mask),
        jnp.asarray(clock(np.array(windows)), dtype),
    )


def train_intensity(
    model: LatentIntensity,
    events: Events,
    clock: Clock,
    options: SolveOptions,
    schedule: Schedule,
    *,
    key: Key[Array, ""],
    config: dict[str, Any],
    run: str | Path | None,
    resume: bool,
    progress: bool,
) -> FitResult:
    """Maximise the posterior density of an intensity's weights.

    Args:
        model: with the weights to start from.
        events: what happened.
        clock: the model's.
        options: how the trajectory is solved.
        schedule: how long and how fast.
        key: of the order of batches.
        config: what a resumed run must have in common with this one; JSON.
        run: the folder for checkpoints, or None.
        resume: whether to go on with a run that the folder holds.
        progress: whether to show it.

    Raises:
        TrainingError: training met what is not finite.
    """
    pieces = cut_windows(events, clock)
    count, most = pieces.times.shape
    size = max(1, schedule.batch_size // most)
    for_batches, for_fit = jax.random.split(key)
    batches = FullBatch(pieces) if size >= count else ArrayBatches(pieces, size, key=for_batches)
    numbers = (-HALF_SPAN, count, events.count, schedule.precision)
    start, windows, total, precision = (jnp.asarray(x, model.rate.scale.dtype) for x in numbers)
    return fit_patiently(
        EventLikelihood(options, start, windows, total, precision),
        model,
        batches,
        max_steps=options.max_steps,
        evaluations=options.solver.evaluations.step,
        optimizer=_make_optimizer(schedule),
        steps=schedule.steps,
        key=for_fit,
        run=run,
        config=config,
        resume=resume,
        trainable=LatentIntensity(True, EventRate(True, False), True),  # pyright: ignore[reportArgumentType]
        progress=progress,
    )


@lru_cache(maxsize=64)
def _make_optimizer(schedule: Schedule) -> optax.GradientTransformation:
    """The same object for the same schedule, so that a refit compiles nothing."""
    return optax.adam(
        optax.cosine_decay_schedule(schedule.learning_rate, schedule.steps, _LAST_RATE)
    )


def evaluate(
    model: LatentIntensity, clock: Clock, times: np.ndarray, options: SolveOptions
) -> tuple[np.ndarray, np.ndarray]:
    """log lambda and the integral of lambda from the clock's start, per unit of the user's time.

    Args:
        model: the fitted process.
        clock: its own.
        times: [T], in any order, none before the clock's start.
        options: how it was solved in training; here it is solved more tightly.

    Raises:
        SolveError: the trajectory could not be followed to the last of the times.
    """
    order = np.argsort(times, kind="stable")
    # Padded to a power of two, so that another number of times compiles nothing anew.
    size = 1 << int(np.ceil(np.log2(max(_BUCKET, len(times) + 1))))
    ts = np.full(size, -HALF_SPAN)
    ts[size - len(times) :] = clock(times[order])  # the first ones stand at the start
    with jax.enable_x64(True):
        found = _follow(as_double(model), jnp.asarray(ts), _tighten(options))
        status = int(found.status)
        logs, integrals = (np.asarray(x)[size - len(times) :] for x in found[:2])
    if status != Status.SUCCESS:
        raise SolveError(
            f"the intensity could not be followed to {times.max():.10g}: "
            f"{Status(status).sentence}. Ask for earlier times, or raise max_steps",
            Status(status),
        )
    back = np.argsort(order, kind="stable")
    return logs[back] + np.log(clock.speed), integrals[back]


_follow = eqx.filter_jit(follow_intensity)


def weigh_coverage(windows: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How long each interval between edges [m + 1] was watched, over all windows: [m]."""
    watched = np.zeros(len(edges))
    for start, end in windows:
        watched += np.clip(edges, start, end) - start
    return np.diff(watched)


def place_nodes(clock: Clock, last: float) -> np.ndarray:
    """Times at which the band is worked out, up to the last one; it is interpolated in between."""
    nodes = np.linspace(clock.start, clock.end, _NODES + 1)
    if last <= clock.end:
        return nodes
    step = max(nodes[1] - nodes[0], (last - clock.end) / (_FAR * _NODES))
    return np.concatenate([nodes, np.arange(clock.end + step, last + step, step)])


def spread_of_logs(
    model: LatentIntensity,
    clock: Clock,
    windows: np.ndarray,
    nodes: np.ndarray,
    precision: float,
) -> np.ndarray:
    """The standard deviation of log lambda at some times: a linearised Laplace approximation.

    A Poisson process has the Fisher information I = integral of J J' lambda over the windows,
    J = d(log lambda) / d(weights). With a normal prior the weights' posterior covariance is about
    (I + precision)^-1, and log lambda's variance J' (I + precision)^-1 J; worked out between the
    nodes' values instead of the weights, of which there may be many.

    Args:
        model: the fitted process.
        clock: its own.
        windows: that it was learned from, [w, 2].
        nodes: increasing times [m] from the clock's start to its end or beyond, close together.
        precision: of the prior.

    Returns:
        [m]

    Source: Daxberger et al. (2021), section 2.1, for the approximation; Daley and Vere-Jones
    (2003), section 7.1, for the likelihood.
    """
    with jax.enable_x64(True):
        found = _differentiate(as_double(model), jnp.asarray(clock(nodes)))
        logs, jacobian = map(np.asarray, found)
    edges = np.concatenate([nodes[:1], (nodes[1:] + nodes[:-1]) / 2, nodes[-1:]])
    expected = np.exp(logs) * clock.speed * weigh_coverage(windows, edges)  # events near each node
    kernel = jacobian @ jacobian.T / precision
    root = np.sqrt(expected)
    seen = np.eye(len(nodes)) + root[:, None] * kernel * root
    explained = np.linalg.solve(seen, root[:, None] * kernel)
    variance = np.diagonal(kernel) - np.einsum("ij,ij->j", root[:, None] * kernel, explained)
    return np.sqrt(np.maximum(variance, 0))


_differentiate = eqx.filter_jit(differentiate_log_rates)


def as_double(model: LatentIntensity) -> LatentIntensity:
    """The same model in double precision; call it with 64 bits enabled."""
    return jax.tree.map(
        lambda x: jnp.asarray(x, jnp.float64) if eqx.is_inexact_array(x) else x, model
    )


def _tighten(options: SolveOptions) -> SolveOptions:
    return SolveOptions(
        options.solver,
        min(options.rtol, _FINE),
        min(options.atol, _FINE),
        max(options.max_steps, 4096),
        options.gradient,
        options.stepsize,
    )
