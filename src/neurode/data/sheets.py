"""Files as cells: reading CSV, TSV and Parquet into named columns, and cells into numbers."""

import csv
import difflib
import io
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurode.data.errors import DataError, list_names, quote, require_pandas

# As text: empty cells, the usual words, and how None, NaN, pandas' NA and NaT print.
MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "<na>", "nat"})
_DATE = re.compile(r"\d{4}-\d{1,2}(-\d{1,2})?([ T].*)?$|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}$")
_BINARY = {
    b"PK\x03\x04": "an Excel workbook or a zip archive: save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an Excel workbook: save the sheet as CSV",
    b"\x1f\x8b": "gzip-compressed: unpack it first",
    b"PAR1": "a Parquet file: give it the ending .parquet",
}


@dataclass(frozen=True, eq=False)
class Sheet:
    """Named columns of cells, before anything is known about their meaning.

    Attributes:
        source: the file's name, for messages.
        columns: name -> cells, one per row.
        unnamed: positions (from 1) of columns whose header is empty.
        lines: where each row stands, as counted in messages.
        place: what `lines` counts: "line" of a file or "row" of a frame.
    """

    source: str
    columns: Mapping[str, Sequence[object] | np.ndarray]
    unnamed: tuple[int, ...]
    lines: Sequence[int]
    place: str

    def at(self, row: int, column: str | None = None) -> str:
        """Return where `row` stands, for the start of a message."""
        where = f"{self.source}, {self.place} {self.lines[row]}"
        return where if column is None else f"{where}, column {quote(column)}"


def read_sheet(path: str | os.PathLike, encoding: str | None, delimiter: str | None) -> Sheet:
    """Read a file's cells: Parquet by its ending, anything else as delimited text.

    Args:
        path: the file.
        encoding: of the text; None tries UTF-8 with or without a byte-order mark.
        delimiter: between cells; None takes the one of comma, semicolon and tab that is most
            frequent in the first line.

    Raises:
        DataError: the file is missing, no text, empty, or its rows are uneven.
        ImportError: a Parquet file without pandas.
    """
    path = Path(path)
    content = _read_bytes(path)
    if path.suffix.lower() in {".parquet", ".pq"}:
        return _read_parquet(path, content)
    for magic, remedy in _BINARY.items():
        if content.startswith(magic):
            raise DataError(f"{path.name} is {remedy}")
    return _parse_text(_decode(path, content, encoding), path.name, delimiter)


def read_frame(frame, source: str) -> Sheet:
    """Take the cells of a pandas DataFrame.

    Args:
        frame: the DataFrame; its index is not looked at.
        source: what to call it in messages.

    Raises:
        DataError: two columns share a name.
    """
    names = [str(name) for name in frame.columns]
    _check_header(names, source)
    columns = {name: frame.iloc[:, i].to_numpy() for i, name in enumerate(names)}
    return Sheet(source, columns, (), range(len(frame)), "row")


def parse_column(sheet: Sheet, column: str, decimal: str, remedy: str) -> np.ndarray:
    """Turn one column into float64 numbers, NaN where a cell is missing.

    Args:
        sheet: the cells.
        column: its name.
        decimal: the decimal mark, "." or ",".
        remedy: what to do about text, added to the message.

    Raises:
        DataError: a cell holds text, a date or an infinite number.
    """
    cells = sheet.columns[column]
    if isinstance(cells, np.ndarray) and cells.dtype.kind in "fiu":
        numbers = cells.astype(np.float64)
    else:
        numbers = np.empty(len(cells))
        for row, cell in enumerate(cells):
            try:
                numbers[row] = _parse_cell(cell, decimal)
            except ValueError:
                advice = _advise(str(cell), decimal) or remedy
                raise DataError(
                    f"{sheet.at(row, column)}: {quote(str(cell))} is not a number; {advice}"
                ) from None
    if np.isinf(numbers).any():
        row = int(np.argmax(np.isinf(numbers)))
        raise DataError(
            f"{sheet.at(row, column)}: {quote(cells[row])} is infinite; "
            "leave the cell empty if the value is missing"
        )
    return numbers


def is_missing(cell: object) -> bool:
    """Tell whether a cell of a file or frame stands for "no value"."""
    return str(cell).strip().lower() in MISSING


def _parse_cell(cell: object, decimal: str) -> float:
    if is_missing(cell):
        return np.nan
    if isinstance(cell, (int, float, np.integer, np.floating)) and not isinstance(cell, bool):
        return float(cell)
    text = str(cell).strip()
    if decimal != ".":
        text = text.replace(".", "_").replace(decimal, ".")
    if "_" in text:  # float() would read "1_000" as 1000
        raise ValueError
    return float(text)


def _advise(cell: str, decimal: str) -> str | None:
    """Return what to do about a cell that is not a number, if it can be told from its look."""
    cell = cell.strip()
    if _DATE.match(cell):
        return (
            "it looks like a date, and numbers are needed: add a column of numbers, such as "
            "days or years since the start, and name that instead"
        )
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return None
    if decimal == ".":
        return "if the comma is a decimal mark, pass decimal=','"
    return f"the decimal mark was given as {quote(decimal)}"


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        folder = path.parent
        if not folder.is_dir():
            raise DataError(
                f"no folder {quote(str(folder))}, so no file {path.name} in it"
            ) from None
        near = difflib.get_close_matches(path.name, os.listdir(folder), n=1)
        hint = f"did you mean {near[0]}?" if near else "check the name and the folder"
        raise DataError(f"no file {path.name} in {folder.resolve()}; {hint}") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; name a file in it") from None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


def _decode(path: Path, content: bytes, encoding: str | None) -> str:
    tried = encoding or "utf-8-sig"
    if encoding is None and content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path.name} is UTF-16 text, not UTF-8; pass encoding='utf-16'")
    try:
        text = content.decode(tried)
    except LookupError:
        raise DataError(
            f"{path.name}: unknown encoding={quote(encoding)}; "
            "common ones are 'utf-8', 'latin-1', 'cp1252', 'utf-16'"
        ) from None
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = content[:start].count(b"\n") + 1
        shown = "UTF-8" if encoding is None else encoding
        raise DataError(
            f"{path.name}, line {line}: byte 0x{content[start]:02x} is not {shown}; "
            "pass the file's encoding, for example encoding='latin-1' or 'cp1252'"
        ) from None
    if "\0" in text:
        raise DataError(f"{path.name} is not a text file; a table needs rows of text or Parquet")
    return text


def _parse_text(text: str, source: str, delimiter: str | None) -> Sheet:
    if not text.strip():
        raise DataError(f"{source} is empty; its first line must name the columns")
    if delimiter is None:
        delimiter = _find_delimiter(text)
    elif len(delimiter) != 1:
        raise DataError(f"delimiter={quote(delimiter)} must be one character, such as ',' or '\\t'")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    header: list[str] = []
    rows, lines = [], []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row) and (len(row) < 2 or not header):
                continue  # a blank line
            if not header and row[0].startswith("#"):
                continue  # a comment above the header
            if not header:
                header = [cell.strip() for cell in row]
                _check_header(header, source)
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{source}, line {reader.line_num}: {len(row)} cells under {len(header)} "
                    f"column names; the cells are separated by {quote(delimiter)}"
                )
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{source}, line {reader.line_num}: {error}") from None
    if not header:
        raise DataError(f"{source} holds only comments; its first line must name the columns")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(header) if name}
    unnamed = tuple(i + 1 for i, name in enumerate(header) if not name)
    return Sheet(source, columns, unnamed, lines, "line")


def _find_delimiter(text: str) -> str:
    """Return the most frequent of comma, semicolon and tab in the header, outside quotes."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    header = re.sub(r'"[^"]*"', "", next(lines, ""))
    return max(",;\t", key=header.count)


def _check_header(names: list[str], source: str) -> None:
    twice = [name for i, name in enumerate(names) if name and name in names[:i]]
    if twice:
        raise DataError(f"{source}: the column name {quote(twice[0])} appears twice; rename one")
    if names and all(_looks_numeric(name) for name in names):
        raise DataError(
            f"{source}, line 1: numbers where the column names should be "
            f"({list_names(names, 4)}); add a first line such as time,x,y"
        )


def _looks_numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path, content: bytes) -> Sheet:
    require_pandas("reading Parquet")
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ImportError('reading Parquet needs pyarrow: pip install "neurode[data]"') from None
    try:
        frame = pyarrow.parquet.read_table(io.BytesIO(content)).to_pandas()
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path.name} cannot be read as Parquet: {reason}") from None
    return read_frame(frame, path.name)
