"""Irregular, ragged, partly observed trajectories as the padded arrays of a compiled solve."""

import os
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from neurode.data.errors import DataError, quote
from neurode.data.tables import Table, table_from_frame


class SeriesBatch(eqx.Module):
    """n trajectories, padded to a common number T of times.

    Padding repeats a trajectory's last time, which a solve takes as an interval of zero length;
    padded and missing values are 0 with `mask` False, so that
    `sum(where(mask, (prediction - ys) ** 2, 0))` counts what was observed and nothing else.
    Every array's leading axis is n: a batch of rows is again a `SeriesBatch`.

    Attributes:
        ts: times [n, T], non-decreasing along T, strictly increasing before the padding.
        ys: values [n, T, d], 0 where not observed.
        mask: True where observed, [n, T, d].
        lengths: number of times before the padding, [n].
        names: the d variables.
    """

    ts: Float[Array, "n T"]
    ys: Float[Array, "n T d"]
    mask: Bool[Array, "n T d"]
    lengths: Int[Array, " n"]
    names: tuple[str, ...] = eqx.field(static=True)

    @classmethod
    def from_arrays(
        cls,
        ts,
        ys,
        *,
        names: Sequence[str] | None = None,
        pad_to: int | None = None,
        least: int = 2,
    ) -> "SeriesBatch":
        """Build from rectangular arrays.

        Args:
            ts: times [T], shared by all trajectories, or [n, T].
            ys: values [T] (one variable), [T, d] (one trajectory) or [n, T, d]; NaN is missing.
                A pandas DataFrame or Series is taken as its values.
            names: the d variables; None takes the frame's columns, or y0, y1, ….
            pad_to: number of times to pad to, at least T; None pads to the longest.
            least: times that a series must have.

        Raises:
            DataError: shapes disagree, or times or values cannot be used.
        """
        if names is None and hasattr(ys, "columns"):
            names = [str(name) for name in ys.columns]
        times, values = _as_numbers(ts, "ts"), _as_numbers(ys, "ys")
        if values.ndim == 1 and times.ndim == 1:
            values = values[:, None]
        if values.ndim == 2 and times.ndim == 1:
            values = values[None]
        if times.ndim == 1:
            times = np.broadcast_to(times, (values.shape[0], *times.shape))
        if values.ndim != 3 or times.ndim != 2 or times.shape != values.shape[:2]:
            raise DataError(
                f"ts has shape {np.shape(ts)} and ys {np.shape(ys)}; expected ts (T,) or (n, T) "
                "with ys (T,), (T, d) or (n, T, d)"
            )
        return _pad(list(zip(times, values, strict=True)), names, pad_to, least=least)

    @classmethod
    def from_list(
        cls,
        series,
        *,
        names: Sequence[str] | None = None,
        pad_to: int | None = None,
        least: int = 2,
    ) -> "SeriesBatch":
        """Build from trajectories of different lengths.

        Args:
            series: a list of pairs (times [T_i], values [T_i, d] or [T_i]); NaN is missing.
            names: the d variables; None calls them y0, y1, ….
            pad_to: number of times to pad to, at least the longest T_i.
            least: times that a series must have.

        Raises:
            DataError: shapes disagree, or times or values cannot be used.
        """
        pairs = []
        for i, pair in enumerate(series):
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise DataError(f"series {i} must be a pair (times, values)")
            times = _as_numbers(pair[0], f"times of series {i}")
            values = _as_numbers(pair[1], f"values of series {i}")
            values = values[:, None] if values.ndim == 1 else values
            if times.ndim != 1 or values.ndim != 2 or len(times) != len(values):
                raise DataError(
                    f"series {i} has times of shape {np.shape(pair[0])} and values "
                    f"{np.shape(pair[1])}; expected (T,) with (T,) or (T, d)"
                )
            pairs.append((times, values))
        return _pad(pairs, names, pad_to, least=least)

    @classmethod
    def from_table(
        cls, table: Table, *, pad_to: int | None = None, least: int = 2
    ) -> "SeriesBatch":
        """Build from a `Table`: one trajectory, or one per id.

        Args:
            table: what `read_table` returned.
            pad_to: number of times to pad to, at least that of the longest series.
            least: times that a series must have.

        Raises:
            DataError: a series has no observed value at all.
        """
        parts = table.split()
        pairs = [(part.times, part.values) for part in parts.values()]
        return _pad(pairs, table.names, pad_to, None if table.ids is None else list(parts), least)

    @classmethod
    def from_frame(
        cls,
        frame,
        time: str,
        columns: Sequence[str] | None = None,
        *,
        id: str | None = None,
        sort: bool = False,
        pad_to: int | None = None,
    ) -> "SeriesBatch":
        """Build from a pandas DataFrame in long form, one row per observed time.

        Args:
            frame: the DataFrame.
            time: name of the column of times.
            columns: names of the observed variables; None takes all but `time` and `id`.
            id: name of the column that tells several series apart.
            sort: sort rows by time within each series.
            pad_to: number of times to pad to, at least that of the longest series.

        Raises:
            DataError: as `read_table`.
        """
        table = table_from_frame(frame, time, columns, id=id, sort=sort)
        return cls.from_table(table, pad_to=pad_to)

    def __len__(self) -> int:
        """Return n, the number of trajectories."""
        return self.ts.shape[0]

    def select(self, rows) -> "SeriesBatch":
        """Return some of the trajectories, with the same padding.

        Args:
            rows: a slice or an integer or boolean array; never a single number, which would
                drop the leading axis.
        """
        if not isinstance(rows, slice) and np.ndim(rows) == 0:
            raise DataError(f"rows={quote(rows)} must be a slice or an array, such as [{rows}]")
        return jax.tree.map(lambda x: x[rows], self)

    def unpad(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """Return one trajectory as it was given.

        Args:
            row: which one.

        Returns:
            Times [T_i] and values [T_i, d], NaN where missing, as NumPy arrays.
        """
        length = int(self.lengths[row])
        values = np.where(self.mask[row, :length], self.ys[row, :length], np.nan)
        return np.asarray(self.ts[row, :length]), values


def _as_numbers(data, name: str) -> np.ndarray:
    """Return data as float64, or say which of them is no number."""
    try:
        array = np.asarray(data)
    except ValueError:
        raise DataError(
            f"{name} is ragged; give trajectories of different lengths to SeriesBatch.from_list"
        ) from None
    if array.dtype.kind == "O":  # a frame with missing entries, or with text
        array = np.array([np.nan if _is_none(x) else x for x in array.ravel()]).reshape(array.shape)
    if array.dtype.kind == "M":
        raise DataError(f"{name} holds dates; give numbers, such as days since the first one")
    if array.dtype.kind not in "fiub":
        sample = quote(array.ravel()[0]) if array.size else "nothing"
        raise DataError(f"{name} must hold real numbers, not {array.dtype} such as {sample}")
    return array.astype(np.float64)


def _is_none(x) -> bool:
    return x is None or str(x) in {"<NA>", "NaT"}


def _pad(
    pairs: list[tuple[np.ndarray, np.ndarray]],
    names: Sequence[str] | None,
    pad_to: int | None,
    labels: Sequence[str] | None = None,
    least: int = 2,
) -> SeriesBatch:
    """Check trajectories (float64 times [T_i], values [T_i, d]) and pad them."""
    if not pairs:
        raise DataError("no series given; at least one is needed")
    d = pairs[0][1].shape[1]
    names = tuple(f"y{j}" for j in range(d)) if names is None else tuple(str(n) for n in names)
    if d == 0 or len(names) != d:
        raise DataError(f"{d} variables but names={list(names)}; give one name for each")
    dtype = jnp.result_type(float)
    for i, (times, values) in enumerate(pairs):
        label = f"series {i}" if labels is None else f"series {quote(labels[i])}"
        if values.shape[1] != d:
            raise DataError(f"{label} has {values.shape[1]} variables, the first one has {d}")
        _check_times(times, dtype, label, least)
        _check_values(values, dtype, label)
    observed = np.any([~np.isnan(values).all(axis=0) for _, values in pairs], axis=0)
    if not observed.all():
        raise DataError(f"{quote(names[int(np.argmin(observed))])} is never observed; leave it out")
    longest = max(len(times) for times, _ in pairs)
    width = longest if pad_to is None else pad_to
    if width < longest:
        raise DataError(f"pad_to={pad_to} is less than {longest}, the longest series")
    _check_room([len(times) for times, _ in pairs], width, d, labels)
    ts = np.zeros((len(pairs), width))
    ys = np.full((len(pairs), width, d), np.nan)
    for i, (times, values) in enumerate(pairs):
        ts[i, : len(times)], ts[i, len(times) :] = times, times[-1]
        ys[i, : len(times)] = values
    return SeriesBatch(
        jnp.asarray(ts, dtype),
        jnp.asarray(np.nan_to_num(ys), dtype),
        jnp.asarray(~np.isnan(ys)),
        jnp.asarray([len(times) for times, _ in pairs], jnp.int32),
        names,
    )


def _check_room(lengths: list[int], width: int, d: int, labels: Sequence[str] | None) -> None:
    """Refuse what cannot be held: one very long series among many is as long as all of them."""
    needed, there = 17 * d * len(lengths) * width, _memory()
    if there is None or needed < there / 2:
        return
    i = int(np.argmax(lengths))
    label = f"series {i}" if labels is None else f"series {quote(labels[i])}"
    raise DataError(
        f"{label} has {lengths[i]:,} rows; padded to as many, the {len(lengths):,} series take "
        f"{needed / 2**30:.1f} GiB of the {there / 2**30:.1f} GiB of memory: cut long series into "
        "several shorter ones"
    )


def _memory() -> int | None:
    """Bytes of memory of this machine; None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _check_times(times: np.ndarray, dtype, label: str, least: int) -> None:
    if len(times) < least:
        raise DataError(f"{label} has {len(times)} time(s); a series needs at least {least}")
    if not np.isfinite(times).all():
        i = int(np.argmin(np.isfinite(times)))
        raise DataError(f"{label}: time {i} is {times[i]}; every row needs a finite time")
    if (np.diff(times) <= 0).any():
        i = int(np.argmax(np.diff(times) <= 0))
        advice = "keep one row per time" if times[i] == times[i + 1] else "sort the rows by time"
        raise DataError(
            f"{label}: time {i + 1} is {times[i + 1]:.17g} after {times[i]:.17g}; {advice}"
        )
    rounded = times.astype(dtype)
    if (np.diff(rounded) <= 0).any():
        i = int(np.argmax(np.diff(rounded) <= 0))
        raise DataError(
            f"{label}: times {times[i]:.17g} and {times[i + 1]:.17g} are the same number in "
            f"{dtype}; subtract the first time from all, or enable float64"
        )


def _check_values(values: np.ndarray, dtype, label: str) -> None:
    with np.errstate(over="ignore"):
        infinite = np.isinf(values.astype(dtype))
    if infinite.any():
        i, j = (int(k) for k in np.argwhere(infinite)[0])
        why = "is infinite" if np.isinf(values[i, j]) else f"is too large for {dtype}; rescale it"
        raise DataError(f"{label}: value {values[i, j]:g} at row {i}, variable {j} {why}")
    if np.isnan(values).all():
        raise DataError(f"{label} has no observed value; leave it out")
