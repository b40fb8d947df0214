"""Forecasts with their uncertainty, and the forms in which estimates are handed back."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from neurode.data import DataError
from neurode.data.calendar import Calendar, is_dates
from neurode.data.errors import list_names, require_pandas
from neurode.estimators.collections import Collection, spell_time
from neurode.estimators.latent_states import (
    FittedLatent,
    Posterior,
    draw_states,
    follow,
    follow_rates,
)
from neurode.estimators.padding import bucket, pad_rows
from neurode.models import GaussianEmission

_NOISE_DRAWS = 200  # of observations behind an interval, at least
_MOST_NUMBERS = 1 << 22  # of them held at a time


@dataclass(frozen=True, eq=False)
class Forecast:
    """What comes next, and how sure that is.

    Every attribute but the last four is an array [T, d] for one series, [n, T, d] for several at
    the same times, and a list of [T_i, d] for times of their own.

    Attributes:
        mean: the expected observation.
        low: lower end of the interval that holds an observation with probability `level`.
        high: upper end.
        samples: expected observations along sampled paths, with an axis of k samples before that
            of the times.
        times: numbers or dates, [T] or a list.
        level: of the intervals.
        names: the d variables.
        labels: what the series are called, or None.
    """

    mean: Any
    low: Any
    high: Any
    samples: Any
    times: Any
    level: float
    names: tuple[str, ...]
    labels: tuple[str, ...] | None

    def to_frame(self, id: str = "id", time: str = "time") -> Any:
        """A long pandas frame: id (of several series), time, and for each variable three columns.

        Args:
            id: name of the column of labels.
            time: name of the column of times.

        Raises:
            ImportError: pandas is missing.
        """
        pandas = require_pandas("a frame of forecasts")
        is_single = not isinstance(self.mean, list) and self.mean.ndim == 2
        means, lows, highs = (
            [x] if is_single else list(x) for x in (self.mean, self.low, self.high)
        )
        times = self.times if isinstance(self.times, list) else [self.times] * len(means)
        parts = []
        for i, row in enumerate(times):
            columns = {} if is_single else {id: i if self.labels is None else self.labels[i]}
            columns[time] = row
            for j, name in enumerate(self.names):
                columns |= {name: means[i][:, j], f"{name}_low": lows[i][:, j]}  # pyright: ignore[reportArgumentType, reportCallIssue]
                columns[f"{name}_high"] = highs[i][:, j]  # pyright: ignore[reportArgumentType, reportCallIssue]
            parts.append(pandas.DataFrame(columns))
        return pandas.concat(parts, ignore_index=True)


def read_forecast_times(
    times: Any,
    posterior: Posterior,
    labels: tuple[str, ...] | None,
    calendar: Calendar | None,
) -> tuple[list[np.ndarray], bool]:
    """The times of each series as numbers, and whether they are the same for all.

    Args:
        times: increasing numbers or dates [T] for all series, or a list or dict of such, one each.
        posterior: where the series' states are.
        labels: what the series are called, or None.
        calendar: what dates the data's times were; None for numbers.

    Raises:
        DataError: they are no times, do not increase, or lie before a series begins.
    """
    n = len(posterior.starts)
    if isinstance(times, dict):
        known = () if labels is None else labels
        lost = [str(name) for name in times if str(name) not in known]
        if lost:
            raise DataError(f"no series {list_names(lost)}; there are {list_names(known)}")
        missing = [name for name in known if name not in map(str, times)]
        if missing:
            raise DataError(f"times are missing for the series {list_names(missing)}")
        by_name = {str(name): row for name, row in times.items()}
        times = [by_name[name] for name in known]
    is_own = isinstance(times, (list, tuple)) and len(times) > 0 and np.ndim(times[0]) > 0
    if not is_own and np.ndim(times) == 2:
        is_own, times = True, list(np.asarray(times))
    rows = [_read_row(row, calendar) for row in times] if is_own else [_read_row(times, calendar)]
    if is_own and len(rows) != n:
        raise DataError(
            f"{len(rows)} arrays of times for {n} series: give one each, or one for all"
        )
    rows = rows if is_own else rows * n
    for i, (row, start) in enumerate(zip(rows, posterior.starts, strict=True)):
        if row[0] < start:
            name = f"series {i}" if labels is None else f"series {labels[i]!r}"
            raise DataError(
                f"{name}: time {spell_time(row[0], calendar)} lies before "
                f"{spell_time(start, calendar)}, the first observation its state is known from; "
                "forecast later times"
            )
    return rows, not is_own


def _read_row(times: Any, calendar: Calendar | None) -> np.ndarray:
    if is_dates(times):
        if calendar is None:
            raise DataError("the times are dates, those of the data were numbers: give numbers")
        numbers = calendar.parse(times if np.ndim(times) else [times])
    elif calendar is not None:
        raise DataError(
            "the times are no dates, those of the data were: give dates, such as '2024-03-01'"
        )
    else:
        try:
            numbers = np.atleast_1d(np.asarray(times, np.float64))
        except (TypeError, ValueError):
            raise DataError(f"times must be numbers or dates, got {times!r}") from None
    if numbers.ndim != 1 or not numbers.size:
        raise DataError(f"times must be an array of at least one, got shape {np.shape(times)}")
    if not np.isfinite(numbers).all():
        i = int(np.argmin(np.isfinite(numbers)))
        raise DataError(f"time {i} is {numbers[i]}; every time must be finite")
    if (np.diff(numbers) < 0).any():
        i = int(np.argmax(np.diff(numbers) < 0))
        later, earlier = (spell_time(t, calendar) for t in numbers[[i + 1, i]])
        raise DataError(f"times must increase, but {later} comes after {earlier}: sort them")
    return numbers


def predict(
    fitted: FittedLatent,
    posterior: Posterior,
    rows: list[np.ndarray],
    samples: int,
    level: float,
    key: Key[Array, ""],
    label: Any,
) -> tuple[list[np.ndarray], list[np.ndarray], list[np.ndarray], list[np.ndarray]]:
    """Mean, interval and samples of observations of each series at its times.

    Args:
        fitted: the model.
        posterior: where the series' states are.
        rows: times of each.
        samples: k, paths drawn for each.
        level: probability of the intervals.
        key: of states and noise.
        label: the number of a series -> what a message calls it.

    Returns:
        Lists of means, lower and upper ends [T_i, d], and of samples [k, T_i, d].
    """
    for_states, for_noise = jax.random.split(key)
    outputs = follow(fitted, *_draw_paths(posterior, rows, samples, for_states, label))
    found: list[Any] = [None] * len(rows)
    width = (_NOISE_DRAWS + samples) * outputs[0].shape[-1]
    for chosen in _group(rows, _MOST_NUMBERS // width):
        paths = np.stack([np.stack(outputs[i * samples : (i + 1) * samples]) for i in chosen])
        summary = _summarise(fitted, paths.astype(np.float32), level, for_noise)
        for place, each in zip(chosen, zip(*summary, strict=True), strict=True):
            found[place] = each
    return tuple(list(values) for values in zip(*found, strict=True))  # pyright: ignore[reportReturnType]


def _draw_paths(
    posterior: Posterior,
    rows: list[np.ndarray],
    samples: int,
    key: Key[Array, ""],
    label: Callable[[int], str],
) -> tuple[np.ndarray, list[np.ndarray], Callable[[int], str]]:
    """Of each series `samples` states in a row, their times since the state's, and their names."""
    initial = draw_states(posterior, samples, key)
    elapsed = [row - start for row, start in zip(rows, posterior.starts, strict=True)]
    return (
        initial.reshape(-1, initial.shape[-1]),
        [row for row in elapsed for _ in range(samples)],
        lambda i: label(i // samples),
    )


def _group(rows: list[np.ndarray], most: int) -> Iterator[np.ndarray]:
    """Numbers of rows that are equally long, so many at a time that they have `most` entries."""
    lengths = np.array([len(row) for row in rows])
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        size = max(1, most // length)
        yield from (chosen[i : i + size] for i in range(0, len(chosen), size))


def _summarise(
    fitted: FittedLatent, outputs: np.ndarray, level: float, key: Key[Array, ""]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean, interval and samples in the user's units, of decoded paths [n, k, T, d]."""
    n, samples, *shape = outputs.shape
    emission, scaling = fitted.model.emission, fitted.scaling
    expected = scaling.values(np.asarray(emission.mean(outputs), np.float64))  # pyright: ignore[reportArgumentType]
    draws = -(-_NOISE_DRAWS // samples)
    padded = pad_rows(outputs, bucket(n))
    noisy = np.asarray(_add_noise(emission, padded, key, draws), np.float64)[:n]
    noisy = scaling.values(noisy).reshape(n, -1, *shape)
    # The ends of an interval of counts are counts.
    method = "linear" if isinstance(emission, GaussianEmission) else "inverted_cdf"
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(noisy, tails, axis=1, method=method)
    return expected.mean(axis=1), low, high, expected


@eqx.filter_jit
def _add_noise(emission, outputs, key, draws: int) -> Array:
    """Observations [n, draws, k, T, d]; the same noise for every series: none knows the others."""
    return jax.vmap(lambda out: emission.draw(key, jnp.broadcast_to(out, (draws, *out.shape))))(
        outputs
    )


def sample_rates(
    fitted: FittedLatent,
    posterior: Posterior,
    rows: list[np.ndarray],
    samples: int,
    key: Key[Array, ""],
    label: Any,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The rate of events along sampled paths of each series, and its integral.

    Args:
        fitted: the model, which has a rate.
        posterior: where the series' states are.
        rows: times of each.
        samples: k, paths drawn for each.
        key: of the states.
        label: the number of a series -> what a message calls it.

    Returns:
        Rates per unit of time and their integrals from the state's time on, [k, T_i] each.
    """
    found = follow_rates(fitted, *_draw_paths(posterior, rows, samples, key, label))
    parts = [found[i * samples : (i + 1) * samples] for i in range(len(rows))]
    return [
        (np.stack([rates for rates, _ in part]), np.stack([grown for _, grown in part]))
        for part in parts
    ]


def namer(labels: tuple[str, ...] | None) -> Callable[[int], str]:
    """The number of a series -> what a message calls it."""
    return lambda i: f"series {i if labels is None else repr(labels[i])}"


def restore(values: list[np.ndarray], collection: Collection) -> Any:
    """Values [T_i, d] of each series in the form in which the series came, at the rows it had."""
    if collection.given is not None:
        values = [x[given[: len(x)]] for x, given in zip(values, collection.given, strict=True)]
    if collection.time is not None and collection.labels is not None:
        return dict(zip(collection.labels, values, strict=True))
    if collection.is_single:
        return values[0]
    if len({len(value) for value in values}) == 1:
        return np.stack(values)
    return values


def stack(values: list[np.ndarray], is_shared: bool, is_single: bool) -> Any:
    """Values of each series as one array, where their times are the same."""
    if not is_shared:
        return values
    return values[0] if is_single else np.stack(values)


def check_ids(ids: Sequence[Any], labels: tuple[str, ...] | None, n: int) -> list[int]:
    """The numbers of the series that are asked for.

    Raises:
        DataError: one is unknown.
    """
    names = [str(i) for i in range(n)] if labels is None else list(labels)
    if isinstance(ids, (str, int)):
        ids = [ids]
    unknown = [str(name) for name in ids if str(name) not in names]
    if unknown:
        raise DataError(f"no series {list_names(unknown)}; there are {list_names(names)}")
    return [names.index(str(name)) for name in ids]
