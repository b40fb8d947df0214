"""Events beside the values of irregular series: read, checked, and put among their rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from neurode.data import DataError, SeriesBatch
from neurode.data.calendar import is_dates
from neurode.data.errors import list_names, quote
from neurode.estimators.collections import Collection, read_collection
from neurode.estimators.estimator import SettingError
from neurode.estimators.series import observed_values

TIMES = "times"
"""The setting by which every time of a series is an event."""


def read_eventful(data: Any, ys: Any, events: Any, setting: str | None, **form: Any) -> Collection:
    """A collection with its events, in any of the forms that `LatentODE.fit` accepts.

    Args:
        data: as in `read_collection`.
        ys: as in `read_collection`.
        events: times of events, in any order: an array of a single series, a list or dict of them
            by series, or a long frame with columns of the same names; None for none.
        setting: "times", the name of the variable that counts events, or None.
        **form: the rest of what `read_collection` takes.

    Raises:
        DataError: an event lies outside its series or is no time, or a count is not whole.
        SettingError: both ways to give events were used.
    """
    if setting is not None and events is not None:
        raise SettingError(
            f"the estimator's events={setting!r} says which rows are events: leave out one of the "
            "two, that or fit's events"
        )
    columns = form.get("columns")
    is_column = setting is not None and setting != TIMES
    if is_column and columns is not None and setting not in columns:
        form = form | {"columns": [*columns, setting]}
    collection = read_collection(data, ys, **form)
    if setting == TIMES:
        places = np.arange(collection.series.ts.shape[1])
        counts = places < np.asarray(collection.series.lengths)[:, None]
        return replace(collection, counts=counts.astype(float))
    if is_column:
        return _take_column(collection, str(setting))
    if events is None:
        return collection
    return _merge(collection, _share_out(events, collection))


def count_events(collection: Collection) -> float:
    """How many there are after the first times, which the likelihood does not count."""
    assert collection.counts is not None
    return float(collection.counts[:, 1:].sum())


def mean_rate(collection: Collection) -> float:
    """Events per unit of time, over all series.

    Raises:
        DataError: there is none, or no series is longer than a moment.
    """
    ts, count = np.asarray(collection.series.ts, np.float64), count_events(collection)
    exposure = float((ts[:, -1] - ts[:, 0]).sum())
    if not count:
        raise DataError(
            f"no event in {len(collection)} series, from the first time of each (which is not "
            f"counted) to its last, {exposure:.6g} altogether: the most likely rate is zero, and "
            "there is nothing to learn of it; leave out events"
        )
    return count / exposure


def _take_column(collection: Collection, name: str) -> Collection:
    """The variable that counts events, apart from the values."""
    series = collection.series
    if name not in series.names:
        raise DataError(
            f"events={name!r} is no column; there are {list_names(series.names)}, and "
            f"events={TIMES!r} takes every row for an event"
        )
    if len(series.names) == 1:
        raise DataError(
            f"there is no variable beside {quote(name)}: a PoissonProcess learns from events alone"
        )
    j = series.names.index(name)
    counts = np.nan_to_num(observed_values(series)[..., j])
    wrong = (counts < 0) | (counts != np.round(counts))
    if wrong.any():
        i, row = (int(k) for k in np.argwhere(wrong)[0])
        raise DataError(
            f"{collection.name(i)}, column {quote(name)}, time "
            f"{collection.spell(float(series.ts[i, row]))}: {counts[i, row]:g} is no number of "
            "events; write 0, 1, 2, …"
        )
    keep = [k for k in range(len(series.names)) if k != j]
    with jax.enable_x64(True):
        rest = SeriesBatch(
            series.ts,
            series.ys[..., keep],
            series.mask[..., keep],
            series.lengths,
            tuple(series.names[k] for k in keep),
        )
    return replace(collection, series=rest, counts=counts)


def _share_out(events: Any, collection: Collection) -> list[np.ndarray]:
    """The sorted event times of each series, in double precision."""
    if hasattr(events, "columns"):
        events = _split_frame(events, collection)
    if isinstance(events, dict):
        labels = collection.labels or ()
        lost = [str(name) for name in events if str(name) not in labels]
        if lost:
            raise DataError(
                f"events of {list_names(lost)}, but there is no such series; there are "
                f"{list_names(labels)}"
            )
        by_label = {str(name): times for name, times in events.items()}
        events = [by_label.get(label, []) for label in labels]
    elif collection.is_single or (len(collection) == 1 and not _is_nested(events)):
        events = [events]
    if not hasattr(events, "__len__") or len(events) != len(collection):
        count = len(events) if hasattr(events, "__len__") else "no"
        raise DataError(
            f"{count} arrays of events for {len(collection)} series: give one each, [] where "
            "nothing happened"
        )
    return [_read_times(times, collection, i) for i, times in enumerate(events)]


def _split_frame(frame: Any, collection: Collection) -> Any:
    """The event times of a long frame, by series."""
    if collection.time is None:
        raise DataError("the events are a frame, the series are none: give lists of event times")
    names = [name for name in (collection.time, collection.id) if name is not None]
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise DataError(
            f"the frame of events has no column {list_names(missing)}, as that of the series has; "
            f"it has {list_names(map(str, frame.columns))}"
        )
    times = frame[collection.time].to_numpy()
    if collection.id is None:
        return [times]
    owners = np.array([str(owner) for owner in frame[collection.id]])
    return {owner: times[owners == owner] for owner in dict.fromkeys(owners.tolist())}


def _is_nested(events: Any) -> bool:
    return isinstance(events, (list, tuple)) and any(np.ndim(part) > 0 for part in events)


def _read_times(times: Any, collection: Collection, i: int) -> np.ndarray:
    where = f"events of {collection.name(i)}"
    if not hasattr(times, "__len__"):
        raise DataError(f"{where} must be an array of times, got {quote(times)}")
    if not len(times):
        return np.zeros(0)
    if is_dates(times) != (collection.calendar is not None):
        has, wanted = ("dates", "numbers") if is_dates(times) else ("numbers", "dates")
        raise DataError(f"{where} are {has}, but the times of the series are {wanted}")
    if collection.calendar is not None:
        found = collection.calendar.parse(times, where)
    else:
        try:
            found = np.asarray(times, np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{where} must be numbers, got {quote(times)}") from None
        if found.ndim != 1:
            raise DataError(f"{where} must be one row of times, got shape {found.shape}")
    if not np.isfinite(found).all():
        raise DataError(f"{where}: number {int(np.argmin(np.isfinite(found)))} is no finite time")
    rows = collection.rows(i)[0]
    outside = found[(found < rows[0]) | (found > rows[-1])]
    if len(outside):
        raise DataError(
            f"{where}: {len(outside)} of {len(found)} lie outside the series, which is watched "
            f"from {collection.spell(rows[0])} to {collection.spell(rows[-1])}, the first at "
            f"{collection.spell(outside[0])}; drop them, or add a row without values where the "
            "watch began or ended"
        )
    return np.sort(found)


def _merge(collection: Collection, events: Sequence[np.ndarray]) -> Collection:
    """Rows for the times of events, without values where the user gave none."""
    pairs, counts, given = [], [], []
    for i, happened in enumerate(events):
        times, values = collection.rows(i)
        union = np.union1d(times, happened)
        filled = np.full((len(union), values.shape[1]), np.nan)
        filled[np.searchsorted(union, times)] = values
        pairs.append((union, filled))
        counts.append(np.bincount(np.searchsorted(union, happened), minlength=len(union)))
        given.append(np.isin(union, times))
    with jax.enable_x64(True):
        series = SeriesBatch.from_list(pairs, names=collection.series.names, least=1)
    width = series.ts.shape[1]
    pad = lambda rows: np.stack([np.pad(row, (0, width - len(row))) for row in rows])  # noqa: E731
    return replace(collection, series=series, counts=pad(counts).astype(float), given=pad(given))
