"""Tables of observations: a file or frame becomes times, values and names, or is refused."""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from neurode.data.calendar import Calendar, is_dates, read_dates
from neurode.data.errors import DataError, list_names, quote
from neurode.data.sheets import Sheet, is_missing, parse_column, read_frame, read_sheet


@dataclass(frozen=True, eq=False)
class Table:
    """Observations by time: one series, or several told apart by `ids`.

    Attributes:
        times: float64 [n], strictly increasing within each series, in the file's own unit.
        values: float64 [n, d], NaN where nothing was observed.
        names: the d variables, in the order of the columns of `values`.
        time_name: the name of the time column.
        source: where it comes from, for titles and messages.
        ids: the series each row belongs to, str [n]; None for a single series. The rows of a
            series stand together.
        calendar: what the times are if they were dates: then `times` are days since 1970.
    """

    times: np.ndarray
    values: np.ndarray
    names: tuple[str, ...]
    time_name: str = "time"
    source: str = "table"
    ids: np.ndarray | None = None
    calendar: Calendar | None = None

    def split(self) -> "dict[str, Table]":
        """Return one table per series, by id, in the file's order; a single one is called ""."""
        if self.ids is None:
            return {"": self}
        parts = {}
        for label in dict.fromkeys(self.ids.tolist()):
            rows = self.ids == label
            parts[label] = replace(self, times=self.times[rows], values=self.values[rows], ids=None)
        return parts


def read_table(
    path: str | os.PathLike,
    time: str,
    columns: Sequence[str] | None = None,
    *,
    id: str | None = None,
    sort: bool = False,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str = ".",
    dates: bool = False,
    least: int = 2,
) -> Table:
    """Read observations from a CSV, TSV or Parquet file (Parquet needs pandas).

    Empty cells and `NaN`, `NA`, `null` are missing values. Everything else that is not what it
    should be is refused, with file, line, column, value and remedy.

    Args:
        path: the file; the first line of a text file names the columns.
        time: name of the column of times, numbers in any unit.
        columns: names of the observed variables; None takes all but `time` and `id`.
        id: name of the column that tells several series apart.
        sort: sort rows by time within each series; without it unsorted times are refused.
        encoding: of a text file; None is UTF-8, with or without a byte-order mark.
        delimiter: between cells; None finds out among comma, semicolon and tab.
        decimal: the decimal mark, "." or ",".
        dates: whether the times may be dates, such as 2024-03-01T12:30; they become days.
        least: rows that a series must have.

    Returns:
        The `Table`.

    Raises:
        DataError: the file or its content cannot be used; one line saying where and why.
        ImportError: a Parquet file without pandas.
    """
    if decimal not in (".", ","):
        raise DataError(f"decimal={quote(decimal)} must be '.' or ','")
    sheet = read_sheet(path, encoding, delimiter)
    return _build_table(sheet, time, columns, id, sort, decimal, dates, least)


def table_from_frame(
    frame,
    time: str,
    columns: Sequence[str] | None = None,
    *,
    id: str | None = None,
    sort: bool = False,
    source: str = "DataFrame",
    dates: bool = False,
    least: int = 2,
) -> Table:
    """Read observations from a pandas DataFrame in long form, one row per observed time.

    Args:
        frame: the DataFrame; its index is not looked at (`reset_index()` makes it a column).
        time: name of the column of times.
        columns: names of the observed variables; None takes all but `time` and `id`.
        id: name of the column that tells several series apart.
        sort: sort rows by time within each series; without it unsorted times are refused.
        source: what to call the frame in messages.
        dates: whether the times may be dates; they become days.
        least: rows that a series must have.

    Raises:
        DataError: as `read_table`; places are rows, counted from 0.
    """
    sheet = read_frame(frame, source)
    if dates and hasattr(frame.get(time), "dt"):  # pandas keeps a time zone, its arrays do not
        sheet = replace(sheet, columns={**sheet.columns, time: frame[time]})
    return _build_table(sheet, time, columns, id, sort, ".", dates, least)


def _build_table(
    sheet: Sheet,
    time: str,
    columns: Sequence[str] | None,
    id: str | None,
    sort: bool,
    decimal: str,
    dates: bool,
    least: int,
) -> Table:
    names = _choose_columns(sheet, time, columns, id)
    remedy = (
        "write a number, leave the cell empty if it is missing, "
        "or name only the columns of numbers with columns=[…]"
    )
    times, calendar = _read_times(sheet, time, decimal, dates)
    values = np.stack([parse_column(sheet, name, decimal, remedy) for name in names], axis=1)
    if len(times) < least:
        rows = _count_rows(len(times))
        raise DataError(f"{sheet.source} has {rows}; a series needs at least {least}")
    if np.isnan(times).any():
        row = int(np.argmax(np.isnan(times)))
        raise DataError(f"{sheet.at(row, time)}: the time is missing; fill it in or drop the row")
    for name, column in zip(names, values.T, strict=True):
        if np.isnan(column).all():
            raise DataError(
                f"{sheet.source}: column {quote(name)} holds no number; leave it out of columns=[…]"
            )
    labels = None if id is None else _read_labels(sheet, id)
    order = _order_rows(sheet, time, times, labels, sort, least)
    ids = None if labels is None else labels[order]
    return Table(times[order], values[order], names, time, sheet.source, ids, calendar)


def _read_times(
    sheet: Sheet, time: str, decimal: str, dates: bool
) -> tuple[np.ndarray, Calendar | None]:
    """The column of times as numbers; days since 1970 if they are dates and may be."""
    cells = sheet.columns[time]
    if dates and is_dates(cells):
        return read_dates(cells, f"{sheet.source}, column {quote(time)}")
    return parse_column(sheet, time, decimal, "times must be numbers"), None


def _choose_columns(
    sheet: Sheet, time: str, columns: Sequence[str] | None, id: str | None
) -> tuple[str, ...]:
    """Return the variables' names, having checked that every column asked for is there."""
    if isinstance(columns, str):
        raise DataError(f"columns={quote(columns)} must be a list of names: [{quote(columns)}]")
    if columns is None:
        if sheet.unnamed:
            raise DataError(
                f"{sheet.source}: column {sheet.unnamed[0]} has no name; "
                "name it, or say which columns to read with columns=[…]"
            )
        names = tuple(name for name in sheet.columns if name not in (time, id))
    else:
        names = tuple(columns)
    for name in (time, *names, *([] if id is None else [id])):
        if name not in sheet.columns:
            raise DataError(
                f"{sheet.source} has no column {quote(name)}; "
                f"it has {list_names(sheet.columns)}{_suggest(name, sheet)}"
            )
    if not names:
        raise DataError(f"{sheet.source} has no column besides {quote(time)}: nothing was observed")
    reserved = [name for i, name in enumerate(names) if name in (time, id) or name in names[:i]]
    if reserved:
        raise DataError(
            f"{sheet.source}: column {quote(reserved[0])} is asked for twice; "
            "time, id and columns must differ"
        )
    return names


def _suggest(name: str, sheet: Sheet) -> str:
    lowered = {known.lower(): known for known in sheet.columns}
    near = difflib.get_close_matches(str(name).lower(), lowered, n=1)
    if near:
        return f"; did you mean {quote(lowered[near[0]])}?"
    if len(sheet.columns) == 1 and sheet.place == "line":
        return "; if cells are separated by another sign than , ; or tab, pass delimiter=…"
    return ""


def _read_labels(sheet: Sheet, id: str) -> np.ndarray:
    cells = sheet.columns[id]
    for row, cell in enumerate(cells):
        if is_missing(cell):
            raise DataError(f"{sheet.at(row, id)}: the series' id is missing; fill it in")
    return np.array([str(cell).strip() for cell in cells])


def _order_rows(
    sheet: Sheet,
    time: str,
    times: np.ndarray,
    labels: np.ndarray | None,
    sort: bool,
    least: int,
) -> np.ndarray:
    """Return the rows series by series in time order, or refuse what cannot be ordered."""
    if labels is None:
        groups = [np.arange(len(times))]
    else:
        groups = [np.flatnonzero(labels == label) for label in dict.fromkeys(labels.tolist())]
    ordered = []
    for rows in groups:
        series = "" if labels is None else f" of series {quote(labels[rows[0]])}"
        if len(rows) < least:
            only = "the only row" if len(rows) == 1 else f"one of {len(rows)} rows"
            raise DataError(
                f"{sheet.at(int(rows[0]), time)}: {only}{series}; a series needs at least {least}"
            )
        by_time = rows[np.argsort(times[rows], kind="stable")]
        same = np.flatnonzero(np.diff(times[by_time]) == 0)
        if len(same):
            first, again = int(by_time[same[0]]), int(by_time[same[0] + 1])
            advice = "keep one row per time"
            if labels is None:
                advice += ", or name the column that tells series apart with id=…"
            raise DataError(
                f"{sheet.at(again, time)}: time {times[again]:.17g}{series} stands already on "
                f"{sheet.place} {sheet.lines[first]}; {advice}"
            )
        back = np.flatnonzero(np.diff(times[rows]) < 0)
        if len(back) and not sort:
            here = int(rows[back[0] + 1])
            raise DataError(
                f"{sheet.at(here, time)}: time {times[here]:.17g}{series} comes after "
                f"{times[rows[back[0]]]:.17g}; sort the rows by {quote(time)}, or pass sort=True"
            )
        ordered.append(by_time)
    return np.concatenate(ordered)


def _count_rows(n: int) -> str:
    return "column names but no rows" if n == 0 else f"only {n} row{'s' if n > 1 else ''}"
