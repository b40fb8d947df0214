"""Observed trajectories: in every form that users have them, and what is read off them."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from neurode.data import DataError, SeriesBatch, Table
from neurode.estimators.scaling import apply, revert


def read_series(ts: Any, ys: Any = None, names: Sequence[str] | None = None) -> SeriesBatch:
    """Observed trajectories in any of the forms that `fit` and `score` accept.

    Args:
        ts: times [T] or [n, T]; a list of arrays of times; a list of pairs (times, values); a
            `SeriesBatch`; or a `Table`. The last three leave out `ys`.
        ys: values [T], [T, d] or [n, T, d], a pandas frame, or a list of arrays; NaN is missing.
        names: the d variables; None takes a frame's columns, or y0, y1, ….

    Raises:
        DataError: it is none of these, or times or values cannot be used.
    """
    # In double precision whatever the default: calendar years would lose their fractions.
    with jax.enable_x64(True):
        if isinstance(ts, (SeriesBatch, Table)):
            if ys is not None:
                raise DataError(f"a {type(ts).__name__} holds its values: leave out ys")
            return ts if isinstance(ts, SeriesBatch) else SeriesBatch.from_table(ts)
        if hasattr(ts, "columns"):
            raise DataError(
                "the times are a frame: give its column of times and its columns of values, as in "
                "fit(frame['time'], frame[['a', 'b']])"
            )
        if ys is None:
            if not _is_nested(ts):
                raise DataError(
                    "ys is missing: give fit(ts, ys), or a list of pairs (times, values)"
                )
            last = ts[0][-1] if len(ts[0]) else None
            return SeriesBatch.from_list(ts, names=_column_names(names, last))
        if _is_nested(ts):
            if not hasattr(ys, "__len__") or len(ys) != len(ts):
                count = len(ys) if hasattr(ys, "__len__") else "no"
                raise DataError(f"{len(ts)} arrays of times but {count} arrays of values")
            pairs = list(zip(ts, ys, strict=True))
            return SeriesBatch.from_list(pairs, names=_column_names(names, ys[0]))
        return SeriesBatch.from_arrays(ts, ys, names=_column_names(names, ys))


def observed_values(series: SeriesBatch) -> np.ndarray:
    """The values [n, T, d] in double precision, NaN where not observed."""
    return np.where(np.asarray(series.mask), np.asarray(series.ys, np.float64), np.nan)


def first_states(
    series: SeriesBatch,
    transform: str,
    is_learned: bool,
    unobserved: Mapping[str, float] | None = None,
) -> np.ndarray:
    """The first observation of every variable of each trajectory, [n, d].

    A variable never seen in one trajectory starts from what it is elsewhere; one that is seen
    nowhere, from what `unobserved` says.

    Raises:
        DataError: a value has no logarithm though one is asked for, or the initial states are not
            to be learned and one is missing.
    """
    mask, ys = np.array(series.mask), observed_values(series)
    for name, value in (unobserved or {}).items():
        ys[:, 0, series.names.index(name)] = value
        mask[:, 0, series.names.index(name)] = True
    if transform == "log" and (ys[mask] <= 0).any():
        i, row, j = np.argwhere(mask & (ys <= 0))[0]
        raise DataError(
            f"transform='log' needs positive values, but {series.names[j]!r} is {ys[i, row, j]:g} "
            f"at time {float(series.ts[i, row]):g}; leave out that value (NaN), or use "
            "transform='identity'"
        )
    if not is_learned and not mask[:, 0].all():
        i, j = np.argwhere(~mask[:, 0])[0]
        raise DataError(
            f"initial='observed' needs every variable at the first time, but {series.names[j]!r} "
            f"is missing there in trajectory {i}; use initial='learned'"
        )
    earliest = np.take_along_axis(ys, mask.argmax(axis=1)[:, None], axis=1)[:, 0]
    typical = revert(transform, np.nanmean(apply(transform, ys), axis=(0, 1)))
    return np.where(mask.any(axis=1), earliest, typical)


def _is_nested(data: Any) -> bool:
    """Whether data are a list of arrays or pairs, rather than of numbers."""
    if not isinstance(data, (list, tuple)) or not len(data):
        return False
    return hasattr(data[0], "__len__") and getattr(data[0], "ndim", 1) > 0


def _column_names(names: Sequence[str] | None, values: Any) -> Sequence[str] | None:
    if names is not None:
        if isinstance(names, str):
            raise DataError(f"names={names!r} must be a list of names: [{names!r}]")
        return [str(name) for name in names]
    if hasattr(values, "columns"):
        return [str(name) for name in values.columns]
    own = getattr(values, "name", None)
    return [str(own)] if own is not None and np.ndim(values) == 1 else None
