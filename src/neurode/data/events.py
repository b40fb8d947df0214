"""Event times: when something happened, and when it was watched for."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurode.data.calendar import Calendar, is_dates, read_dates
from neurode.data.errors import DataError, list_names, quote
from neurode.data.sheets import Sheet, is_missing, parse_column, read_sheet


@dataclass(frozen=True, eq=False)
class Events:
    """Event times in windows of observation.

    Attributes:
        times: of the events of each window, sorted float64 arrays.
        windows: start and end of each window, [w, 2] float64, in order of their starts.
        calendar: what the times are if they were dates: then they are days since 1970.
        source: where they come from, for titles and messages.
    """

    times: tuple[np.ndarray, ...]
    windows: np.ndarray
    calendar: Calendar | None = None
    source: str = "events"

    @property
    def count(self) -> int:
        """The number of events."""
        return sum(map(len, self.times))

    @property
    def all_times(self) -> np.ndarray:
        """The events of all windows, sorted."""
        return np.sort(np.concatenate([*self.times, np.zeros(0)]))

    @property
    def exposure(self) -> float:
        """The length of all windows together."""
        return float(np.diff(self.windows).sum())

    def split(self, at: float) -> "tuple[Events, Events]":
        """What was watched before a time, and what after."""
        parts = []
        for low, high in ((-np.inf, at), (at, np.inf)):
            windows = np.clip(self.windows, low, high)
            keep = windows[:, 0] < windows[:, 1]
            times = tuple(
                t[(t > w[0]) & (t <= w[1])] if low == at else t[t <= w[1]]
                for t, w, kept in zip(self.times, windows, keep, strict=True)
                if kept
            )
            parts.append(Events(times, windows[keep], self.calendar, self.source))
        return parts[0], parts[1]


def read_events(events: Any, windows: Any = None, calendar: Calendar | None = None) -> Events:
    """Event times in any of the forms that `PoissonProcess.fit` accepts.

    Args:
        events: times of one window, in any order; or a list of such arrays, one per window; or an
            `Events`. Numbers or dates. Equal times are legal: clocks are coarse.
        windows: (start, end), or one such pair per window. None is from the first event to the
            last, for a single window.
        calendar: the calendar they have to be in, or None.

    Raises:
        DataError: a time is missing, infinite or outside its window, or a window has no length.
    """
    if isinstance(events, Events):
        if windows is not None:
            raise DataError("an Events holds its windows: leave out windows")
        return events
    many = _is_nested(events)
    dated = _find_dates(events, windows, many)
    if calendar is not None and not dated:
        raise DataError("the process was learned from dates: give dates, not numbers")
    parse = _make_parser(dated)
    times = [np.sort(parse(part, "events")) for part in (events if many else [events])]
    for i, part in enumerate(times):
        if not np.isfinite(part).all():
            raise DataError(
                f"window {i}: event {int(np.argmin(np.isfinite(part)))} of {len(part)} is no "
                "finite time; drop it"
            )
    ends = _read_windows(times, windows, parse)
    if not many and len(ends) > 1:
        times = _share_out(times[0], ends)
    if len(ends) != len(times):
        raise DataError(f"{len(times)} arrays of events but {len(ends)} windows: give one for each")
    for i, (part, (start, end)) in enumerate(zip(times, ends, strict=True)):
        _check_window(i, part, start, end)
    order = np.argsort(ends[:, 0], kind="stable")
    known = parse.calendar if calendar is None else calendar
    return Events(tuple(times[i] for i in order), ends[order], known)


def read_event_file(
    path: str | os.PathLike,
    time: str | None = None,
    *,
    id: str | None = None,
    windows: Any = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str = ".",
) -> Events:
    """Read event times from a CSV, TSV or Parquet file, one row per event.

    Args:
        path: the file.
        time: the column of times, numbers or dates; None if the file has no other column.
        id: the column that tells windows apart, such as the trial, or None for one window.
        windows: (start, end) of the window, or of each; None: see `read_events`.
        encoding: of the text; None tries UTF-8 with or without a byte-order mark.
        delimiter: between cells; None finds it out.
        decimal: the decimal mark.

    Raises:
        DataError: the file, a column or a time cannot be used; the message says where and why.
    """
    sheet = read_sheet(path, encoding, delimiter)
    groups, calendar = _read_groups(sheet, time, id, decimal)
    events: Any = list(groups.values())
    if id is None:
        events = groups[""]
    elif windows is not None and np.ndim(np.asarray(windows, object)) == 1:
        windows = [windows] * len(groups)
    found = read_events(events, windows)
    return Events(found.times, found.windows, calendar, sheet.source)


def read_event_groups(
    path: str | os.PathLike,
    time: str | None = None,
    *,
    id: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str = ".",
) -> dict[str, np.ndarray]:
    """Read the event times of each series from a file, one row per event, in any order.

    Args:
        path: as in `read_event_file`.
        time: as in `read_event_file`.
        id: the column that tells series apart, or None for a single one.
        encoding: as in `read_event_file`.
        delimiter: as in `read_event_file`.
        decimal: as in `read_event_file`.

    Returns:
        Numbers or dates by series, as the file has them; those of a single one are called "".

    Raises:
        DataError: the file, a column or a cell cannot be used; the message says where and why.
    """
    return _read_groups(read_sheet(path, encoding, delimiter), time, id, decimal)[0]


def _read_groups(
    sheet: Sheet, time: str | None, id: str | None, decimal: str
) -> tuple[dict[str, np.ndarray], Calendar | None]:
    """The times of a file of events by the label of their rows, and what dates they are."""
    if time is None:
        others = [name for name in sheet.columns if name != id]
        if len(others) != 1:
            raise DataError(
                f"{sheet.source} has the columns {list_names(sheet.columns)}: say which one holds "
                "the times"
            )
        time = others[0]
    for name in (time, *([] if id is None else [id])):
        if name not in sheet.columns:
            raise DataError(
                f"{sheet.source} has no column {quote(name)}; it has {list_names(sheet.columns)}"
            )
    cells = sheet.columns[time]
    if is_dates(cells):
        times, calendar = read_dates(cells, f"{sheet.source}, column {quote(time)}")
    else:
        times, calendar = parse_column(sheet, time, decimal, "times must be numbers"), None
    if np.isnan(times).any():
        row = int(np.argmax(np.isnan(times)))
        raise DataError(f"{sheet.at(row, time)}: the time is missing; fill it in or drop the row")
    given = times if calendar is None else calendar.format(times)
    if id is None:
        return {"": given}, calendar
    labels = np.array([str(cell).strip() for cell in sheet.columns[id]])
    for row, label in enumerate(labels):
        if is_missing(label):
            raise DataError(f"{sheet.at(row, id)}: the id is missing; fill it in or drop the row")
    return {name: given[labels == name] for name in dict.fromkeys(labels.tolist())}, calendar


class _Parser:
    """Numbers or dates as float64; remembers the calendar."""

    def __init__(self, dated: bool):
        self.dated, self.calendar = dated, None

    def __call__(self, times: Any, where: str) -> np.ndarray:
        if not self.dated:
            try:
                numbers = np.asarray(times, np.float64)
            except (TypeError, ValueError):
                raise DataError(f"{where} must be numbers or dates, got {quote(times)}") from None
            if numbers.ndim != 1:
                raise DataError(f"{where} must be one row of times, got shape {numbers.shape}")
            return numbers
        if not len(times):
            return np.zeros(0)
        numbers, calendar = read_dates(times, where)
        if self.calendar is None:
            self.calendar = calendar
        elif (self.calendar.zone is None) != (calendar.zone is None):
            raise DataError(f"{where}: some dates have a time zone and others none")
        return numbers


def _make_parser(dated: bool) -> _Parser:
    return _Parser(dated)


def _find_dates(events: Any, windows: Any, many: bool) -> bool:
    parts = list(events) if many else [events]
    return any(len(part) and is_dates(part) for part in parts) or (
        windows is not None and is_dates(np.ravel(np.asarray(windows, object)))
    )


def _is_nested(events: Any) -> bool:
    """Whether these are several windows' events rather than one window's."""
    if not isinstance(events, (list, tuple)):
        return getattr(events, "ndim", 1) == 2
    return any(hasattr(part, "__len__") and not isinstance(part, str) for part in events)


def _read_windows(times: Sequence[np.ndarray], windows: Any, parse: _Parser) -> np.ndarray:
    if windows is None:
        if len(times) > 1:
            raise DataError(
                f"{len(times)} windows: say when each of them began and ended with windows=[…]"
            )
        count = len(times[0])
        if count < 2 or times[0][0] == times[0][-1]:
            raise DataError(
                f"{count} event{'s'[: count != 1]} and no window: how long it was watched decides "
                "the rate; give windows=(start, end)"
            )
        return np.array([[times[0][0], times[0][-1]]])
    pairs = [windows] if np.ndim(np.asarray(windows, object)) == 1 else list(windows)
    for pair in pairs:
        if np.shape(np.asarray(pair, object)) != (2,):
            raise DataError(f"a window is (start, end), got {quote(pair)}")
    return np.array([parse(np.asarray(pair), "windows") for pair in pairs]).reshape(-1, 2)


def _share_out(times: np.ndarray, windows: np.ndarray) -> list[np.ndarray]:
    """Events of one clock to the windows that they lie in."""
    order = np.argsort(windows[:, 0])
    if (windows[order[1:], 0] < windows[order[:-1], 1]).any():
        raise DataError(
            "the windows overlap, so an event may belong to two: give one array of events for "
            "each window"
        )
    index = np.searchsorted(windows[order, 0], times, side="right") - 1
    lost = (index < 0) | (times > windows[order[index], 1])
    if lost.any():
        raise DataError(
            f"{int(lost.sum())} of {len(times)} events lie in no window, the first at "
            f"{times[np.argmax(lost)]:.10g}; drop them, or correct the windows"
        )
    parts = [times[index == i] for i in range(len(windows))]
    return [parts[i] for i in np.argsort(order)]


def _check_window(i: int, times: np.ndarray, start: float, end: float) -> None:
    if not (np.isfinite(start) and np.isfinite(end)):
        raise DataError(f"window {i} is ({start:.10g}, {end:.10g}): give finite times")
    if not start < end:
        raise DataError(
            f"window {i} is ({start:.10g}, {end:.10g}), which has no length: its start must come "
            "before its end"
        )
    outside = times[(times < start) | (times > end)]
    if len(outside):
        raise DataError(
            f"window {i}: {len(outside)} of {len(times)} events lie outside "
            f"({start:.10g}, {end:.10g}), the first at {outside[0]:.10g}; drop them, or correct "
            "the window"
        )
