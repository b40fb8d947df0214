"""Tables of samples: what is read, and what is refused with its place."""

import numpy as np
import pytest

from neurode.data import DataError, read_rows


def write(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    return tmp_path / "t.csv"


def test_columns_in_the_order_asked_for(tmp_path):
    rows = read_rows(write(tmp_path, "a,b,c\n1,2,x\n3,4,y\n"), ["b", "a"])
    assert rows.names == ("b", "a")
    np.testing.assert_array_equal(rows.values, [[2, 1], [4, 3]])
    np.testing.assert_array_equal(rows.select(["a"]), [[1], [3]])


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("a,b\n1,2\n3,\n", None, "line 3, column 'b': the value is missing"),
        ("a,b\n1,x\n", None, "line 2, column 'b': 'x' is not a number"),
        ("a,b\n1,inf\n", None, "line 2, column 'b': 'inf' is infinite"),
        ("a,b\n", None, "has column names but no rows"),
        ("a,b\n1,2\n", ["c"], "has no column 'c'; it has 'a', 'b'"),
        ("a,b\n1,2\n", ["a", "a"], "column 'a' is asked for twice"),
        ("a,\n1,2\n", None, "column 2 has no name"),
    ],
)
def test_refused(tmp_path, text, columns, message):
    with pytest.raises(DataError, match=message):
        read_rows(write(tmp_path, text), columns)
