"""Collections of irregular series in every form that users have them, with ids and dates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from neurode.data import DataError, SeriesBatch, Table, table_from_frame
from neurode.data.calendar import Calendar, is_dates
from neurode.data.errors import list_names, quote
from neurode.estimators.series import read_series


@dataclass(frozen=True, eq=False)
class Collection:
    """n series in double precision.

    Attributes:
        series: times, values and what was observed.
        labels: what the series are called, n of them; None if they have only numbers.
        calendar: what dates the times were; None for numbers.
        id: name of the column of labels, if they were a long table.
        time: name of the column of times, if there was one.
        is_single: whether it was one series rather than a collection of one.
        counts: how many events happened at each time, [n, T]; None if no events are modelled.
        given: which times are rows of the user's, [n, T]; None for all. The others are those of
            events.
    """

    series: SeriesBatch
    labels: tuple[str, ...] | None = None
    calendar: Calendar | None = None
    id: str | None = None
    time: str | None = None
    is_single: bool = False
    counts: np.ndarray | None = None
    given: np.ndarray | None = None

    def __len__(self) -> int:
        """The number of series n."""
        return len(self.series)

    def name(self, i: int) -> str:
        """A series as a message calls it."""
        return f"series {i if self.labels is None else quote(self.labels[i])}"

    def spell(self, time: float) -> str:
        """A time as a message writes it."""
        return spell_time(time, self.calendar)

    def rows(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Times [T_i] and values [T_i, d] of a series, NaN where not observed."""
        return self.series.unpad(i)


def read_collection(
    data: Any,
    ys: Any = None,
    *,
    id: str | None = None,
    time: str | None = None,
    columns: Sequence[str] | None = None,
    calendar: Calendar | None = None,
) -> Collection:
    """Series in any of the forms that `LatentODE` accepts.

    Args:
        data: a long pandas frame; a `Table` or `SeriesBatch`; a list of pairs (times, values); or
            times [T] or [n, T], with `ys`.
        ys: values [T], [T, d] or [n, T, d]; NaN is missing.
        id: of a frame: the column that tells series apart.
        time: of a frame: the column of times, numbers or dates.
        columns: names of the d variables; of a frame those to read, None for all others.
        calendar: what dates the times are expected to be, if they are dates.

    Raises:
        DataError: it is none of these, or times or values cannot be used; the message names the
            series and the column.
    """
    with jax.enable_x64(True):
        if hasattr(data, "columns"):
            if time is None:
                raise DataError(
                    "the data are a frame: name its column of times, as in time='t', and of ids "
                    f"if it holds several series; it has {list_names(data.columns)}"
                )
            data = table_from_frame(data, time, columns, id=id, dates=True, least=1)
        if isinstance(data, Table):
            return _from_table(data, id)
        if isinstance(data, SeriesBatch):
            return Collection(data)
        if isinstance(data, (list, tuple)) and len(data) == 0:
            raise DataError("no series given: the list is empty")
        if isinstance(data, dict):
            labels, pairs = tuple(map(str, data)), list(data.values())
            return _from_pairs(pairs, columns, calendar, labels)
        if ys is None:
            return _from_pairs(data, columns, calendar, None)
        if is_dates(data):
            data, calendar = _read_dates(data, calendar, "times")
        series = read_series(data, ys, columns)
        return Collection(
            series, calendar=calendar, is_single=np.ndim(data) == 1 and len(series) == 1
        )


def _from_table(table: Table, id: str | None) -> Collection:
    labels = None if table.ids is None else tuple(table.split())
    return Collection(
        SeriesBatch.from_table(table, least=1),
        labels,
        table.calendar,
        id if labels is not None else None,
        table.time_name,
        is_single=labels is None,
    )


def _from_pairs(
    data: Any,
    columns: Sequence[str] | None,
    calendar: Calendar | None,
    labels: tuple[str, ...] | None,
) -> Collection:
    if not isinstance(data, (list, tuple)):
        raise DataError(
            "the values are missing: give fit(times, values), a list of pairs (times, values), or "
            f"a pandas frame with time='…'; got {type(data).__name__}"
        )
    pairs, found = [], None
    for i, pair in enumerate(data):
        where = f"series {i}" if labels is None else f"series {quote(labels[i])}"
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise DataError(f"{where} must be a pair (times, values)")
        times, values = pair
        if len(np.atleast_1d(np.asarray(times, object))) == 0:
            raise DataError(f"{where} is empty; leave it out")
        if is_dates(times):
            times, found = _read_dates(times, found or calendar, where)
        pairs.append((times, values))
    first = pairs[0][1]
    if columns is None and hasattr(first, "columns"):
        columns = [str(name) for name in first.columns]
    series = SeriesBatch.from_list(pairs, names=columns, least=1)
    return Collection(series, labels, found)


def _read_dates(times: Any, calendar: Calendar | None, where: str) -> tuple[np.ndarray, Calendar]:
    from neurode.data.calendar import read_dates

    if calendar is None:
        return read_dates(times, where)
    return calendar.parse(times, where), calendar


def spell_time(time: float, calendar: Calendar | None) -> str:
    """A time as a message writes it: a number, or a date."""
    if calendar is None:
        return f"{time:.10g}"
    return str(calendar.format(np.array([time]))[0]).replace(".000000", "")
