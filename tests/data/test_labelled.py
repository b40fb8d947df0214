"""Tables with a target: labels as text, numbers as numbers, gaps with their place."""

import numpy as np
import pytest

from neurode.data import DataError, read_labelled


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "rows.csv"
    file.write_text("a,kind,b\n1,yes,2\n3,no,4\n5, yes,6\n")
    return file


def test_labels_and_numbers(path):
    rows = read_labelled(path, "kind", numeric=False)
    assert rows.names == ("a", "b")
    assert rows.target.tolist() == ["yes", "no", "yes"]
    np.testing.assert_array_equal(rows.values, [[1, 2], [3, 4], [5, 6]])
    rows = read_labelled(path, "b", ["a"], numeric=True)
    assert rows.target.tolist() == [2, 4, 6]
    assert rows.select(np.array([2])).values.tolist() == [[5]]
    assert read_labelled(path, None, ["b"], numeric=False).target is None


@pytest.mark.parametrize(
    ("text", "how", "message"),
    [
        ("a,k\n1,\n", {}, r"line 2, column 'k': the value is missing; whole rows are needed"),
        ("a,k\n,x\n", {}, r"line 2, column 'a': the value is missing"),
        ("a,k\n1,x\n", {"columns": ["a", "k"]}, "'k' is the target and cannot be learned from"),
        ("k\nx\n", {}, "no column to learn 'k' from"),
        ("a,k\n", {}, "no rows"),
        ("a,k\n1,x\n", {"columns": ["z"]}, "no column 'z'; it has 'a', 'k'"),
        ("a,k\n1,x\n", {"numeric": True}, "a label is learned by a classifier"),
    ],
)
def test_refused(tmp_path, text, how, message):
    file = tmp_path / "rows.csv"
    file.write_text(text)
    with pytest.raises(DataError, match=message):
        read_labelled(file, "k", **{"numeric": False} | how)
