"""Reading tables: what is accepted, and what is refused in which words."""

import math

import numpy as np
import pandas as pd
import pytest

from neurode.data import DataError, lynx_hare, read_table, table_from_frame
from neurode.data import errors as errors_module


@pytest.fixture
def save(tmp_path):
    def write(text: str | bytes, name: str = "x.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_columns_come_in_the_order_asked_for(save):
    table = read_table(save("t,a,b\n0,1,2\n0.5,3,4\n"), "t", ["b", "a"])
    np.testing.assert_array_equal(table.times, [0, 0.5])
    np.testing.assert_array_equal(table.values, [[2, 1], [4, 3]])
    assert table.names == ("b", "a")
    assert table.time_name == "t"
    assert table.ids is None
    assert list(table.split()) == [""]


def test_all_columns_but_the_time_by_default(save):
    assert read_table(save("a,t,b\n1,0,2\n3,1,4\n"), "t").names == ("a", "b")


@pytest.mark.parametrize("cell", ["", " ", "NaN", "nan", "NA", "n/a", "NULL", "None"])
def test_missing_cells_are_nan(save, cell):
    table = read_table(save(f"t,a,b\n0,1,2\n1,{cell},4\n2,5,6\n"), "t")
    assert math.isnan(table.values[1, 0])
    assert np.isfinite(table.values).sum() == 5


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_found(save, delimiter):
    text = "t,a,b\n0,1,2\n1,3,4\n".replace(",", delimiter)
    np.testing.assert_array_equal(read_table(save(text), "t").values, [[1, 2], [3, 4]])


def test_a_delimiter_inside_a_quoted_name_does_not_count(save):
    table = read_table(save('t;"a, in kg, dry";b\n0;1;2\n1;3;4\n'), "t")
    assert table.names == ("a, in kg, dry", "b")


def test_decimal_commas(save):
    table = read_table(save("t;a\n0;1,5\n1;-2,25e1\n"), "t", decimal=",")
    np.testing.assert_array_equal(table.values[:, 0], [1.5, -22.5])


@pytest.mark.parametrize(
    ("encoding", "given"),
    [("utf-8", None), ("utf-8-sig", None), ("latin-1", "latin-1"), ("utf-16", "utf-16")],
)
def test_encodings(save, encoding, given):
    path = save("t,größe\n0,1\n1,2\n".encode(encoding))
    assert read_table(path, "t", encoding=given).names == ("größe",)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_endings_and_blank_lines(save, newline):
    text = "\nt,a\n\n0,1\n1,2\n\n".replace("\n", newline)
    np.testing.assert_array_equal(read_table(save(text), "t").values, [[1], [2]])


def test_comments_above_the_header(save):
    table = read_table(save("# from a, b; c\n#\n\nt;a\n0;1\n1;2\n"), "t")
    np.testing.assert_array_equal(table.values, [[1], [2]])


def test_an_empty_cell_in_the_only_column_asked_for_is_kept(save):
    table = read_table(save("t,a\n0,1\n1,\n2,3\n"), "t")
    assert len(table.times) == 3


def test_sorting_when_asked(save):
    table = read_table(save("t,a\n2,20\n0,0\n1,10\n"), "t", sort=True)
    np.testing.assert_array_equal(table.times, [0, 1, 2])
    np.testing.assert_array_equal(table.values[:, 0], [0, 10, 20])


def test_several_series_by_id(save):
    path = save("who,t,a\nB,0,1\nA,0,2\nB,1,3\nA,0.5,4\nB,2,5\n")
    table = read_table(path, "t", id="who")
    assert table.names == ("a",)
    assert table.ids is not None
    assert table.ids.tolist() == ["B", "B", "B", "A", "A"]
    parts = table.split()
    np.testing.assert_array_equal(parts["B"].values[:, 0], [1, 3, 5])
    np.testing.assert_array_equal(parts["A"].times, [0, 0.5])


# name: (text, arguments of read_table, what the message must say)
REFUSED = {
    "missing column": (
        "time,hare,lynx\n0,1,2\n1,3,4\n",
        {"time": "time", "columns": ["hares"]},
        ["x.csv has no column 'hares'", "'hare', 'lynx'", "did you mean 'hare'?"],
    ),
    "missing time column": (
        "Year,a\n0,1\n1,2\n",
        {"time": "year"},
        ["no column 'year'", "did you mean 'Year'?"],
    ),
    "missing id column": ("t,a\n0,1\n1,2\n", {"time": "t", "id": "who"}, ["no column 'who'"]),
    "other separator": ("t a\n0 1\n1 2\n", {"time": "t"}, ["it has 't a'", "delimiter=…"]),
    "text in numbers": (
        "t,a\n0,1\n1,many\n",
        {"time": "t"},
        ["x.csv, line 3, column 'a'", "'many' is not a number", "columns=[…]"],
    ),
    "underscores": ("t,a\n0,1\n1,1_0\n", {"time": "t"}, ["line 3", "'1_0' is not a number"]),
    "true": ("t,a\n0,1\n1,True\n", {"time": "t"}, ["line 3", "'True' is not a number"]),
    "text in times": ("t,a\n0,1\nlate,2\n", {"time": "t"}, ["line 3, column 't'", "'late'"]),
    "decimal comma": (
        "t;a\n0;1,5\n1;2\n",
        {"time": "t"},
        ["line 2, column 'a'", "'1,5'", "decimal=','"],
    ),
    "decimal point": (
        "t;a\n0;1.5\n1;2\n",
        {"time": "t", "decimal": ","},
        ["'1.5' is not a number", "given as ','"],
    ),
    "dates": (
        "day,a\n2020-01-01,1\n2020-01-02,2\n",
        {"time": "day"},
        ["line 2, column 'day'", "'2020-01-01'", "looks like a date"],
    ),
    "infinite": ("t,a\n0,1\n1,inf\n", {"time": "t"}, ["line 3, column 'a'", "is infinite"]),
    "time missing": (
        "t,a\n0,1\n,2\n2,3\n",
        {"time": "t"},
        ["line 3, column 't'", "time is missing"],
    ),
    "duplicate times": (
        "t,a\n0,1\n1,2\n1,3\n",
        {"time": "t"},
        ["line 4, column 't'", "time 1 stands already on line 3", "id=…"],
    ),
    "duplicate times, sorted": (
        "t,a\n1,1\n0,2\n1,3\n",
        {"time": "t", "sort": True},
        ["line 4", "time 1 stands already on line 2"],
    ),
    "unsorted times": (
        "t,a\n0,1\n2,2\n1.5,3\n",
        {"time": "t"},
        ["line 4, column 't'", "time 1.5 comes after 2", "sort the rows by 't'", "sort=True"],
    ),
    "unsorted in one series": (
        "w,t,a\nA,0,1\nB,5,1\nA,1,1\nB,4,1\n",
        {"time": "t", "id": "w"},
        ["line 5", "time 4 of series 'B' comes after 5"],
    ),
    "one row": ("t,a\n0,1\n", {"time": "t"}, ["x.csv has only 1 row", "at least 2"]),
    "one row of a series": (
        "w,t,a\nA,0,1\nA,1,2\nB,0,1\n",
        {"time": "t", "id": "w"},
        ["line 4", "the only row of series 'B'"],
    ),
    "no id": (
        "w,t,a\nA,0,1\n,1,2\n",
        {"time": "t", "id": "w"},
        ["line 3, column 'w'", "id is missing"],
    ),
    "no rows": ("t,a\n", {"time": "t"}, ["column names but no rows"]),
    "empty": ("", {"time": "t"}, ["x.csv is empty"]),
    "blank": ("\n \n", {"time": "t"}, ["x.csv is empty"]),
    "comments": ("# t,a\n", {"time": "t"}, ["holds only comments"]),
    "no header": ("0,1\n1,2\n", {"time": "t"}, ["line 1", "column names should be", "'0', '1'"]),
    "name twice": ("t,a,a\n0,1,2\n", {"time": "t"}, ["'a' appears twice"]),
    "name empty": (",t,a\n0,0,1\n1,1,2\n", {"time": "t"}, ["column 1 has no name", "columns=[…]"]),
    "uneven rows": ("t,a\n0,1\n1,2,3\n", {"time": "t"}, ["line 3", "3 cells under 2"]),
    "only times": ("t\n0\n1\n", {"time": "t"}, ["no column besides 't'"]),
    "time as value": (
        "t,a\n0,1\n1,2\n",
        {"time": "t", "columns": ["t"]},
        ["'t' is asked for twice"],
    ),
    "columns as text": ("t,a\n0,1\n1,2\n", {"time": "t", "columns": "a"}, ["list of names: ['a']"]),
    "column all missing": ("t,a,b\n0,1,\n1,2,NA\n", {"time": "t"}, ["'b' holds no number"]),
    "latin-1": (
        "t,a\n0,1\n1,é\n".encode("latin-1"),
        {"time": "t"},
        ["x.csv, line 3", "byte 0xe9 is not UTF-8", "encoding='latin-1'"],
    ),
    "utf-16": ("t,a\n0,1\n1,2\n".encode("utf-16"), {"time": "t"}, ["encoding='utf-16'"]),
    "unknown encoding": ("t,a\n0,1\n", {"time": "t", "encoding": "latin9000"}, ["'latin9000'"]),
    "wrong encoding": (
        "t,é\n0,1\n".encode(),
        {"time": "t", "encoding": "ascii"},
        ["line 1", "is not ascii"],
    ),
    "binary": (b"t,a\n0,\x00\x01\n", {"time": "t"}, ["not a text file"]),
    "workbook": (b"PK\x03\x04rest", {"time": "t"}, ["Excel workbook", "CSV"]),
    "compressed": (b"\x1f\x8brest", {"time": "t"}, ["gzip", "unpack"]),
    "long delimiter": ("t,a\n", {"time": "t", "delimiter": "::"}, ["'::'", "one character"]),
    "decimal mark": ("t,a\n", {"time": "t", "decimal": "'"}, ["must be '.' or ','"]),
    "huge cell": ("t,a\n0," + "9" * 200_000 + "\n", {"time": "t"}, ["line 2", "field larger"]),
    "no closing quote": ('t,a\n0,"1\n1,2\n', {"time": "t"}, ["column 'a'", "is not a number"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_are_one_line_with_place_value_and_remedy(save, case):
    text, arguments, expected = REFUSED[case]
    with pytest.raises(DataError) as caught:
        read_table(save(text), **arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 250
    for part in expected:
        assert part in message


def test_missing_files_are_named_and_near_ones_suggested(save):
    path = save("t,a\n0,1\n1,2\n", "pelts.csv")
    with pytest.raises(DataError, match=r"no file pelt\.csv in .*did you mean pelts\.csv\?"):
        read_table(path.with_name("pelt.csv"), "t")
    with pytest.raises(DataError, match="no folder"):
        read_table(path.parent / "nowhere" / "pelts.csv", "t")
    with pytest.raises(DataError, match="is a folder"):
        read_table(path.parent, "t")


def test_parquet_is_read_like_csv(tmp_path):
    frame = pd.DataFrame({"t": [0, 1, 2], "a": [1.0, None, 3.0], "w": ["x", "y", "z"]})
    frame.to_parquet(tmp_path / "x.parquet")
    table = read_table(tmp_path / "x.parquet", "t", ["a"])
    np.testing.assert_array_equal(table.values[:, 0], [1, np.nan, 3])
    with pytest.raises(DataError, match=r"x\.parquet, row 0, column 'w': 'x' is not a number"):
        read_table(tmp_path / "x.parquet", "t")


def test_damaged_parquet(save):
    with pytest.raises(DataError, match=r"y\.parquet cannot be read as Parquet: "):
        read_table(save(b"PAR1 and nothing", "y.parquet"), "t")
    with pytest.raises(DataError, match=r"z\.csv is a Parquet file: give it the ending"):
        read_table(save(b"PAR1 and nothing", "z.csv"), "t")


def test_without_pandas_the_pip_line_is_given(save, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r'Parquet needs pandas: pip install "neurode\[data\]"'):
        read_table(save(b"PAR1", "x.parquet"), "t")
    assert lynx_hare().values.shape == (21, 2)  # CSV needs no pandas


def test_frames_with_missing_values_of_every_kind():
    frame = pd.DataFrame(
        {
            "t": pd.array([0, 1, 2, 3], dtype="Int64"),
            "a": pd.array([1, None, 3, 4], dtype="Int64"),
            "b": [1.5, np.nan, None, 2],
            "c": ["1", "", None, "4"],
        }
    )
    table = table_from_frame(frame, "t")
    np.testing.assert_array_equal(np.isnan(table.values).sum(axis=0), [1, 2, 2])
    assert table.values[3].tolist() == [4, 2, 4]


def test_frames_with_dates_are_refused():
    frame = pd.DataFrame({"t": pd.date_range("2020-01-01", periods=2), "a": [1, 2]})
    with pytest.raises(DataError, match=r"DataFrame, row 0, column 't': .*looks like a date"):
        table_from_frame(frame, "t")


def test_quote_is_one_short_line():
    assert errors_module.quote("a\nb") == r"'a\nb'"
    assert len(errors_module.quote("x" * 1000)) == 40
    assert errors_module.quote(np.float64(1.5)) == "1.5"


def test_lynx_hare_is_the_published_series():
    table = lynx_hare()
    assert table.names == ("hare", "lynx")
    np.testing.assert_array_equal(table.times, np.arange(1900, 1921))
    assert table.values[0].tolist() == [30.0, 4.0]
    assert table.values[4].tolist() == [36.3, 59.4]  # the year the lynx peaked
    assert table.values[-1].tolist() == [24.7, 8.6]
    # Sums of the printed columns: a mistyped digit anywhere would show.
    np.testing.assert_allclose(table.values.sum(axis=0), [715.7, 423.5], rtol=0, atol=1e-9)
