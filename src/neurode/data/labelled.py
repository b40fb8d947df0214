"""Tables with a column to be learned from the others: labels or numbers."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurode.data.errors import DataError, list_names, quote
from neurode.data.sheets import Sheet, is_missing, parse_column, read_sheet


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Examples with targets: one a row.

    Attributes:
        values: float64 [n, d].
        names: the d columns.
        target: [n], text as it stands in the file or float64; None where the file has none.
        source: where it comes from, for titles and messages.
    """

    values: np.ndarray
    names: tuple[str, ...]
    target: np.ndarray | None
    source: str

    def select(self, rows: np.ndarray) -> "LabelledRows":
        """Some of the rows."""
        target = None if self.target is None else self.target[rows]
        return LabelledRows(self.values[rows], self.names, target, self.source)


def read_labelled(
    path: str | os.PathLike,
    target: str | None,
    columns: Sequence[str] | None = None,
    *,
    numeric: bool,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str = ".",
) -> LabelledRows:
    """Read examples from a CSV, TSV or Parquet file (Parquet needs pandas).

    Args:
        path: the file; the first line of a text file names the columns.
        target: the column to learn; None: there is none to read.
        columns: those to learn from; None takes all others.
        numeric: whether the target is a number, rather than a label.
        encoding: of a text file; None is UTF-8, with or without a byte-order mark.
        delimiter: between cells; None finds out among comma, semicolon and tab.
        decimal: the decimal mark, "." or ",".

    Raises:
        DataError: the file or its content cannot be used, a missing value among others; one line
            saying where and why.
        ImportError: a Parquet file without pandas.
    """
    sheet = read_sheet(path, encoding, delimiter)
    known = list(sheet.columns)
    names = [n for n in known if n != target] if columns is None else list(columns)
    for name in [*names, *([] if target is None else [target])]:
        if name not in known:
            raise DataError(
                f"{sheet.source} has no column {quote(name)}; it has {list_names(known)}"
            )
    if target in names:
        raise DataError(f"column {quote(target)} is the target and cannot be learned from as well")
    if not names:
        raise DataError(f"{sheet.source} has no column to learn {quote(target)} from")
    remedy = "write a number, or name only the columns of numbers with columns=[…]"
    values = np.stack([_parse_whole(sheet, name, decimal, remedy) for name in names], axis=1)
    if not len(values):
        raise DataError(f"{sheet.source} has column names but no rows")
    found = None
    if target is not None:
        found = (
            _parse_whole(sheet, target, decimal, "a label is learned by a classifier")
            if numeric
            else _read_labels(sheet, target)
        )
    return LabelledRows(values, tuple(names), found, sheet.source)


def _parse_whole(sheet: Sheet, name: str, decimal: str, remedy: str) -> np.ndarray:
    values = parse_column(sheet, name, decimal, remedy)
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        _refuse_gap(sheet, int(missing[0]), name)
    return values


def _read_labels(sheet: Sheet, name: str) -> np.ndarray:
    cells = sheet.columns[name]
    for row, cell in enumerate(cells):
        if is_missing(cell):
            _refuse_gap(sheet, row, name)
    return np.array([str(cell).strip() for cell in cells])


def _refuse_gap(sheet: Sheet, row: int, name: str) -> None:
    raise DataError(
        f"{sheet.at(row, name)}: the value is missing; whole rows are needed: fill it in or drop "
        "the row"
    )
