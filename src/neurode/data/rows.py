"""Tables whose rows are independent samples: a file becomes values and names, or is refused."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neurode.data.errors import DataError, list_names, quote
from neurode.data.sheets import parse_column, read_sheet


@dataclass(frozen=True, eq=False)
class Rows:
    """Samples: one a row.

    Attributes:
        values: float64 [n, d].
        names: the d variables.
        source: where it comes from, for titles and messages.
    """

    values: np.ndarray
    names: tuple[str, ...]
    source: str = "table"

    def select(self, names: Sequence[str]) -> np.ndarray:
        """Return some of the columns, [n, len(names)].

        Args:
            names: which.

        Raises:
            DataError: one of them is not there.
        """
        _check_names(names, self.names, self.source)
        return self.values[:, [self.names.index(name) for name in names]]


def read_rows(
    path: str | os.PathLike,
    columns: Sequence[str] | None = None,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str = ".",
) -> Rows:
    """Read samples from a CSV, TSV or Parquet file (Parquet needs pandas).

    Args:
        path: the file; the first line of a text file names the columns.
        columns: the variables to read; None takes all.
        encoding: of a text file; None is UTF-8, with or without a byte-order mark.
        delimiter: between cells; None finds out among comma, semicolon and tab.
        decimal: the decimal mark, "." or ",".

    Raises:
        DataError: the file or its content cannot be used, a missing value among others; one line
            saying where and why.
        ImportError: a Parquet file without pandas.
    """
    if decimal not in (".", ","):
        raise DataError(f"decimal={quote(decimal)} must be '.' or ','")
    sheet = read_sheet(path, encoding, delimiter)
    if columns is None and sheet.unnamed:
        raise DataError(
            f"{sheet.source}: column {sheet.unnamed[0]} has no name; name it, or say which "
            "columns to read with columns=[…]"
        )
    names = tuple(sheet.columns) if columns is None else tuple(columns)
    _check_names(names, tuple(sheet.columns), sheet.source)
    remedy = "write a number, or name only the columns of numbers with columns=[…]"
    values = np.stack([parse_column(sheet, name, decimal, remedy) for name in names], axis=1)
    if not len(values):
        raise DataError(f"{sheet.source} has column names but no rows")
    missing = np.argwhere(np.isnan(values))
    if len(missing):
        row, column = missing[0]
        raise DataError(
            f"{sheet.at(int(row), names[column])}: the value is missing; a density needs whole "
            "rows: fill it in or drop the row"
        )
    return Rows(values, names, sheet.source)


def _check_names(names: Sequence[str], known: tuple[str, ...], source: str) -> None:
    for i, name in enumerate(names):
        if name not in known:
            raise DataError(f"{source} has no column {quote(name)}; it has {list_names(known)}")
        if name in names[:i]:
            raise DataError(f"{source}: column {quote(name)} is asked for twice")
