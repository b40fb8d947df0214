"""Train a latent ODE on a collection of series."""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key

from neurode.data import DataError
from neurode.data.errors import quote
from neurode.estimators.collections import Collection
from neurode.estimators.crops import CroppedSeries, Growing, SeriesRows, Stretches
from neurode.estimators.scaling import Scaling, spread
from neurode.estimators.series import observed_values
from neurode.estimators.updates import fit_patiently
from neurode.models import (
    BernoulliEmission,
    EventRate,
    GaussianEmission,
    HappenedEvents,
    LatentLoss,
    LatentModel,
    PoissonEmission,
    SolveOptions,
)
from neurode.training import FitResult

LIKELIHOODS = ("gaussian", "bernoulli", "poisson")
_FIRST_NOISE = 0.3  # of a variable's standard deviation, where noise is learned
_LAST_RATE = 0.01  # of the learning rate, at the last step
_MOST_GRADIENT = 1.0  # its norm is clipped


class Schedule(NamedTuple):
    """How long and how fast to train.

    Attributes:
        steps: updates.
        learning_rate: of AdamW at the start; it falls along a cosine to a hundredth.
        weight_decay: of AdamW.
        batch_size: stretches per update; None takes one of each.
        max_length: rows of a stretch at most.
        shortest: the encoder sees at least this share of a stretch.
        consistency: weight of the drift of latent states.
        samples: initial states drawn for each stretch.
        kl_warmup: share of the steps during which the divergence gets its weight.
        curriculum: share of the steps during which stretches grow to their full length.
    """

    steps: int
    learning_rate: float
    weight_decay: float
    batch_size: int | None
    max_length: int
    shortest: float
    consistency: float
    samples: int
    kl_warmup: float
    curriculum: float


def make_scaling(collection: Collection, likelihood: str, max_length: int) -> Scaling:
    """Unit variance for Gaussian variables, and a unit of time in which they move by about that.

    Args:
        collection: what is learned from.
        likelihood: a member of `LIKELIHOODS`; counts and bits stay what they are.
        max_length: rows of a stretch, which the unit of time does not exceed.
    """
    ts, ys = np.asarray(collection.series.ts, np.float64), observed_values(collection.series)
    d = ys.shape[-1]
    centre, scale = np.zeros(d), np.ones(d)
    if likelihood == "gaussian":
        centre, scale = np.nanmean(ys, axis=(0, 1)), spread(ys)
    scaled = (ys - centre) / np.where(likelihood == "gaussian", scale, spread(ys))
    return Scaling("identity", centre, scale, 0.0, _typical_time(ts, scaled, max_length))


def _typical_time(ts: np.ndarray, zs: np.ndarray, max_length: int) -> float:
    """The time in which values drift apart by their own standard deviation."""
    width = min(max_length, ts.shape[1])
    whole = float(np.max(ts[:, width - 1] - ts[:, 0]))
    lag = 1
    while lag < width:
        apart = ts[:, lag:] - ts[:, :-lag]
        # Padding repeats a time: no pair.
        gaps = np.where(apart[..., None] > 0, zs[:, lag:] - zs[:, :-lag], np.nan)
        known = np.isfinite(gaps)
        if known.any() and np.sqrt(np.mean(gaps[known] ** 2)) >= 1:
            return float(np.mean(apart[known.any(axis=-1)]))
        lag *= 2
    return whole if whole > 0 else 1.0


def make_emission(likelihood: str, noise: Any, scaling: Scaling) -> Any:
    """The distribution of observations, in scaled units.

    Args:
        likelihood: a member of `LIKELIHOODS`.
        noise: standard deviations in the user's units, or None to learn them.
        scaling: of the values.
    """
    if likelihood == "bernoulli":
        return BernoulliEmission()
    if likelihood == "poisson":
        return PoissonEmission()
    scale = np.full(len(scaling.scale), _FIRST_NOISE)
    if noise is not None:
        scale = np.broadcast_to(np.asarray(noise, float), scaling.scale.shape) / scaling.scale
    return GaussianEmission(jnp.asarray(np.log(scale), jnp.result_type(float)), noise is None)


def check_values(collection: Collection, likelihood: str) -> None:
    """Refuse values that a likelihood gives no probability.

    Raises:
        DataError: the first such value, with its series, time and column.
    """
    if likelihood == "gaussian":
        return
    ys, mask = np.asarray(collection.series.ys), np.asarray(collection.series.mask)
    fine = np.isin(ys, (0, 1)) if likelihood == "bernoulli" else (ys >= 0) & (ys == np.round(ys))
    wrong = mask & ~fine
    if not wrong.any():
        return
    i, row, j = (int(k) for k in np.argwhere(wrong)[0])
    wanted = "0 or 1" if likelihood == "bernoulli" else "a whole number of at least 0"
    raise DataError(
        f"{collection.name(i)}, column {quote(collection.series.names[j])}, time "
        f"{collection.spell(float(collection.series.ts[i, row]))}: likelihood='{likelihood}' needs "
        f"{wanted}, got {ys[i, row, j]:g}; use likelihood='gaussian' for other numbers"
    )


def train(
    model: LatentModel,
    collection: Collection,
    scaling: Scaling,
    options: SolveOptions,
    schedule: Schedule,
    *,
    key: Key[Array, ""],
    config: dict[str, Any],
    run: str | Path | None,
    resume: bool,
    progress: bool,
) -> FitResult:
    """Train the model on random stretches of the series.

    Args:
        model: with the weights to start from.
        collection: the series.
        scaling: between the user's units and the model's.
        options: how latent states are followed.
        schedule: how long and how fast.
        key: of batches, crops and samples.
        config: what a resumed run must have in common with this one; JSON.
        run: the folder for checkpoints, or None.
        resume: whether to go on with a run that the folder holds.
        progress: whether to show it.

    Raises:
        TrainingError: training met what is not finite.
    """
    series, dtype = collection.series, jnp.result_type(float)
    for_stretches, for_crops = jax.random.split(jax.random.fold_in(key, 2))
    ts = np.asarray(series.ts, np.float64)
    values = scaling.states(observed_values(series))
    events = None
    if collection.counts is not None:
        is_row = np.arange(ts.shape[1]) < np.asarray(series.lengths)[:, None]
        events = HappenedEvents(jnp.asarray(collection.counts, dtype), jnp.asarray(is_row))
    rows = SeriesRows(
        jnp.asarray((ts - ts[:, :1]) / scaling.span, dtype),
        jnp.asarray(np.nan_to_num(values), dtype),
        jnp.asarray(np.isfinite(values)),
        events,
    )
    stretches = Stretches.cut(
        rows,
        np.asarray(series.lengths),
        schedule.max_length,
        schedule.batch_size,
        for_stretches,
    )
    warmup = round(schedule.kl_warmup * schedule.steps)
    growth = round(schedule.curriculum * schedule.steps)
    is_noise_learned = getattr(model.emission, "is_learned", False)
    return fit_patiently(
        LatentLoss(options, schedule.samples, schedule.consistency),
        model,
        CroppedSeries(
            Growing(stretches, growth) if growth else stretches,
            for_crops,
            schedule.shortest,
            warmup,
        ),
        max_steps=options.max_steps,
        evaluations=options.solver.evaluations.step,
        optimizer=_make_optimizer(schedule.learning_rate, schedule.weight_decay, schedule.steps),
        steps=schedule.steps,
        key=key,
        run=run,
        config=config,
        resume=resume,
        trainable=_mark(is_noise_learned, None if model.rate is None else EventRate(True, False)),  # pyright: ignore[reportArgumentType]
        progress=progress,
    )


@lru_cache(maxsize=64)
def _make_optimizer(rate: float, weight_decay: float, steps: int) -> optax.GradientTransformation:
    """The optimiser, the same object for the same schedule, so that a refit compiles nothing."""
    schedule = optax.cosine_decay_schedule(rate, steps, _LAST_RATE)
    return optax.chain(
        optax.clip_by_global_norm(_MOST_GRADIENT),
        # Noise does not decay: it is no complexity, and 1 is nothing to be drawn to.
        optax.adamw(schedule, weight_decay=weight_decay, mask=lambda params: _mark(False)),
    )


def _mark(emission: bool, rate: Any = True) -> Any:
    """True for all parts of a model, and as told for what describes the observations."""
    return LatentModel(True, True, True, emission, rate)  # pyright: ignore[reportArgumentType]
