"""A fitted latent ODE at work: series in, Gaussians over states out, and states followed on."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from neurode.core.closures import hoist
from neurode.core.status import SolveError, Status
from neurode.estimators.collections import Collection
from neurode.estimators.padding import bucket, pad_rows
from neurode.estimators.scaling import Scaling
from neurode.estimators.series import observed_values
from neurode.models import (
    CountedField,
    Crops,
    HappenedEvents,
    LatentModel,
    SolveOptions,
    solve_trajectories,
    weigh_evidence,
)

_MOST_LANES = 4096  # solved at a time, so that memory stays bounded
_MOST_STATES = 1 << 20  # held at a time


class FittedLatent(NamedTuple):
    """What is needed of a fitted latent ODE to work with it.

    Attributes:
        model: in scaled units, times counted from each series' first.
        scaling: between these and the user's.
        options: how latent states are followed.
        max_length: rows that the encoder reads at most.
    """

    model: LatentModel
    scaling: Scaling
    options: SolveOptions
    max_length: int


class Posterior(NamedTuple):
    """Gaussians over the states of n series.

    Attributes:
        mean: [n, l].
        scale: standard deviations, [n, l].
        starts: the times of the states, in the user's units, [n].
    """

    mean: np.ndarray
    scale: np.ndarray
    starts: np.ndarray


def encode(fitted: FittedLatent, collection: Collection) -> Posterior:
    """The state of each series at the first time of its last `max_length` rows.

    Args:
        fitted: the model.
        collection: in the user's units.
    """
    series = collection.series
    lengths = np.asarray(series.lengths)
    begins = np.maximum(lengths - fitted.max_length, 0)
    rows = min(fitted.max_length, int(lengths.max()))
    crops = cut_crops(fitted, collection, np.arange(len(series)), begins, rows)
    n, ts = len(series), np.asarray(series.ts)
    mean, scale = _encode(fitted.model, _pad_crops(crops))
    return Posterior(
        np.asarray(mean, np.float64)[:n],
        np.asarray(scale, np.float64)[:n],
        ts[np.arange(n), begins],
    )


def cut_crops(
    fitted: FittedLatent,
    collection: Collection,
    owners: np.ndarray,
    begins: np.ndarray,
    rows: int,
    more: int = 0,
) -> Crops:
    """Stretches of series in the model's units, padded to a power of two of rows.

    Args:
        fitted: the model.
        collection: in the user's units.
        owners: the series of each stretch, [m].
        begins: the row that each begins with, [m].
        rows: of the longest.
        more: rows after it whose values are those of another stretch, but up to whose times it is
            watched for events.
    """
    series = collection.series
    lengths = np.asarray(series.lengths)[owners]
    places = begins[:, None] + np.arange(bucket(rows + more))
    watched = (places < lengths[:, None]) & (np.arange(places.shape[1]) < rows + more)
    inside = watched & (np.arange(places.shape[1]) < rows)
    last = np.minimum(lengths, begins + rows + more)[:, None] - 1
    places = np.minimum(places, last)
    index = owners[:, None], places
    ts = np.asarray(series.ts, np.float64)[index]
    values = fitted.scaling.states(observed_values(series)[index])
    mask = np.isfinite(values) & inside[..., None]
    dtype = jnp.result_type(float)
    events = None
    if collection.counts is not None:
        counts = np.where(watched, collection.counts[index], 0)
        events = HappenedEvents(jnp.asarray(counts, dtype), jnp.asarray(inside))
    return Crops(
        jnp.asarray((ts - ts[:, :1]) / fitted.scaling.span, dtype),
        jnp.asarray(np.where(mask, values, 0), dtype),
        jnp.asarray(mask),
        jnp.asarray(mask),
        jnp.zeros(len(owners), jnp.int32),
        jnp.ones((), dtype),
        events,
    )


def cut_all(fitted: FittedLatent, collection: Collection) -> tuple[np.ndarray, Crops]:
    """Series cut into stretches of at most `max_length` rows, and the series of each stretch.

    A stretch is watched for events until the next one begins.
    """
    lengths = np.asarray(collection.series.lengths)
    owners = np.repeat(np.arange(len(lengths)), -(-lengths // fitted.max_length))
    begins = np.concatenate([np.arange(0, n, fitted.max_length) for n in lengths])
    rows = min(fitted.max_length, int(lengths.max()))
    more = int(collection.counts is not None and lengths.max() > rows)
    return owners, cut_crops(fitted, collection, owners, begins, rows, more)


@eqx.filter_jit
def _encode(model: LatentModel, crops: Crops) -> tuple[Array, Array]:
    return model.encode(crops)


def draw_states(posterior: Posterior, samples: int, key: Key[Array, ""]) -> np.ndarray:
    """States drawn from Gaussians, [n, k, l]: the same noise for every series.

    So that a series' samples do not depend on which others it is forecast with.
    """
    noise = np.asarray(jax.random.normal(key, (samples, posterior.mean.shape[1])), np.float64)
    return posterior.mean[:, None] + posterior.scale[:, None] * noise


def follow(
    fitted: FittedLatent,
    initial: Float[np.ndarray, "n l"],
    elapsed: list[np.ndarray],
    label: Any = "series {}".format,
) -> list[np.ndarray]:
    """The decoder's outputs along each latent path, in the model's units.

    Every path is a lane of its own: it takes its own steps, and does not depend on the others.

    Args:
        fitted: the model.
        initial: a state for each of n paths.
        elapsed: increasing times of each, in the user's units, counted from its state's (>= 0).
        label: the number of a path -> what a message calls it.

    Raises:
        SolveError: a path cannot be followed.
    """
    width = bucket(1 + max(len(row) for row in elapsed))
    ts = np.zeros((len(elapsed), width))
    for i, row in enumerate(elapsed):
        ts[i, 1 : len(row) + 1] = row / fitted.scaling.span
        ts[i, len(row) + 1 :] = row[-1] / fitted.scaling.span if len(row) else 0.0
    outputs = []
    for begin in range(0, len(elapsed), _MOST_LANES):
        outputs += _follow_lanes(fitted, initial, ts, begin, label)
    return [out[1 : len(row) + 1] for out, row in zip(outputs, elapsed, strict=True)]


def follow_rates(
    fitted: FittedLatent,
    initial: Float[np.ndarray, "n l"],
    elapsed: list[np.ndarray],
    label: Any = "series {}".format,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Events per unit of the user's time, and their integral, along each latent path.

    Args:
        fitted: the model, which has a rate.
        initial: as in `follow`.
        elapsed: as in `follow`.
        label: as in `follow`.

    Raises:
        SolveError: a path cannot be followed.
    """
    assert fitted.model.rate is not None
    counted = CountedField(fitted.model.field, fitted.model.rate)
    read = jax.tree_util.Partial(_read_rates, counted)
    model = eqx.tree_at(lambda m: (m.field, m.decoder), fitted.model, (counted, read))
    begin = np.concatenate([initial, np.zeros_like(initial[:, :1])], axis=1)
    found = follow(fitted._replace(model=model), begin, elapsed, label)
    return [(np.exp(rows[:, 0]) / fitted.scaling.span, rows[:, 1]) for rows in found]


def _read_rates(counted: CountedField, states: Array) -> Array:
    return jnp.stack(counted.read(states), axis=-1)


def _follow_lanes(fitted, initial, ts, begin: int, label: Any) -> list[np.ndarray]:
    chosen = slice(begin, begin + _MOST_LANES)
    initial, ts = initial[chosen], ts[chosen]
    n, count, dtype = len(ts), bucket(len(ts)), jnp.result_type(float)
    padded = [jnp.asarray(pad_rows(x, count), dtype) for x in (initial, ts)]
    field = hoist(fitted.model.field, (padded[1][0, 0], padded[0][0]))
    outputs, status = _solve(field, fitted.model.decoder, *padded, fitted.options)  # pyright: ignore[reportCallIssue]
    status, outputs = np.asarray(status)[:n], np.asarray(outputs, np.float64)[:n]
    if (status != Status.SUCCESS).any():
        i = int(np.argmax(status != Status.SUCCESS))
        kind = Status(int(status[i]))
        raise SolveError(
            f"the latent state of {label(begin + i)} cannot be followed over "
            f"{ts[i, -1] * fitted.scaling.span:g} units of time: {kind.sentence}",
            kind,
        )
    return list(outputs)


@eqx.filter_jit
def _solve(field, decoder, initial, ts, options):
    paths = solve_trajectories(field, initial, ts, options)
    return decoder(paths.states), paths.status


def reconstruct(fitted: FittedLatent, collection: Collection) -> list[np.ndarray]:
    """The expected observation [T_i, d] at each time, from the mean state of each stretch.

    Args:
        fitted: the model.
        collection: the series.

    Raises:
        SolveError: a latent state cannot be followed.
    """
    owners, crops = cut_all(fitted, collection)
    mean = np.asarray(_encode(fitted.model, _pad_crops(crops))[0], np.float64)[: len(owners)]
    width = fitted.max_length
    parts = np.arange(len(owners)) - np.searchsorted(owners, owners)
    times = [collection.rows(i)[0] for i in range(len(collection))]
    stretches = [times[i][k * width :][:width] for i, k in zip(owners, parts, strict=True)]
    outputs = follow(
        fitted,
        mean,
        [t - t[0] for t in stretches],
        lambda i: collection.name(owners[i]),  # pyright: ignore[reportArgumentType]
    )
    results = [np.empty((len(t), out.shape[1])) for t, out in zip(times, outputs, strict=False)]
    for i, k, out in zip(owners, parts, outputs, strict=True):
        expected = fitted.model.emission.mean(jnp.asarray(out))
        results[i][k * width :][: len(out)] = fitted.scaling.values(np.asarray(expected))
    return results


def score_crops(
    fitted: FittedLatent, crops: Crops, samples: int, key: Key[Array, ""]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounds of log p(y) for each stretch: ELBO and importance-weighted, and what was observed.

    Source: Y. Burda, R. Grosse and R. Salakhutdinov, "Importance weighted autoencoders", ICLR
    2016, equation 8.

    Args:
        fitted: the model.
        crops: the stretches, [m].
        samples: k, draws of each state.
        key: of the draws.

    Returns:
        Both bounds in the model's units, and the count of observed numbers and events, [m] each.
    """
    n, width = crops.ts.shape
    size = max(1, min(bucket(n), _MOST_STATES // (samples * width)))
    bounds = []
    for begin in range(0, n, size):
        part = _select(crops, slice(begin, begin + size))
        found = _score(fitted.model, _pad_crops(part, size), fitted.options, samples, key)
        bounds.append(np.asarray(found, np.float64)[:, : len(part.ts)])
    elbo, weighted = np.concatenate(bounds, axis=1)
    counts = np.asarray(crops.scored).sum((1, 2)) + np.asarray(crops.counts).sum(1)
    return elbo, weighted, counts


@eqx.filter_jit
def _score(model, crops, options, samples, key):
    found = weigh_evidence(model, crops, options, samples, key)
    weights = found.log_likelihood + found.log_ratio
    elbo = found.log_likelihood.mean(axis=0) - found.divergence
    return jnp.stack([elbo, jax.nn.logsumexp(weights, axis=0) - jnp.log(samples)])


def _select(crops: Crops, rows: slice) -> Crops:
    return jax.tree.map(lambda x: x[rows] if np.ndim(x) else x, crops)


def _pad_crops(crops: Crops, count: int | None = None) -> Crops:
    """Filled up to `count` stretches, or a power of two, so that other numbers compile nothing."""
    count = bucket(len(crops.ts)) if count is None else count
    return jax.tree.map(lambda x: pad_rows(x, count) if np.ndim(x) else x, crops)
