"""Every way in which a file of data can be wrong is one line and exit code 2."""

import pytest

from neurode.cli.fit import read_data
from neurode.cli.options import parse_names

GOOD = "year,hare,lynx\n1900,30,4\n1901,47.2,6.1\n1902,70.2,9.8\n"


def fit(neurode, tmp_path, content, *flags, time="year", name="data.csv"):
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return neurode("fit", "dynamics", file, "--time", time, "--out", tmp_path / "run", *flags)


@pytest.mark.parametrize(
    ("content", "flags", "said"),
    [
        (GOOD, ("--columns", "hare,linx"), ["no column 'linx'", "'lynx'"]),
        (GOOD, ("--id", "region"), ["no column 'region'"]),
        (GOOD, ("--columns", "hare,hare"), ["'hare'", "twice"]),
        (GOOD.replace("6.1", "six"), (), ["line 3", "'lynx'", "'six'", "--columns a,b"]),
        (GOOD.replace("1901", "1900"), (), ["1900", "--id"]),
        (GOOD.replace("1901", "1903"), (), ["1902", "1903", "--sort"]),
        ("year,hare\n1900,30\n", (), ["1 row", "at least 2"]),
        ("year,hare\n", (), ["no rows", "at least 2"]),
        (GOOD.replace("1901", ""), (), ["line 3", "time is missing"]),
        ("year,hare,lynx\n1900,NaN,4\n1901,,6\n", (), ["'hare' holds no number", "--columns"]),
        (GOOD.replace("6.1", "inf"), (), ["line 3", "infinite"]),
        ("année,lièvre\n1900,3\n1901,4\n".encode("latin-1"), (), ["UTF-8", "--encoding"]),
        (GOOD.encode("utf-16"), (), ["UTF-16", "--encoding 'utf-16'"]),
        (GOOD.replace(",", ";").replace(".", ","), (), ["'47,2'", "--decimal ','"]),
        (GOOD.replace(",", "|"), (), ["'year'", "--delimiter"]),
        (GOOD.replace("1901,47.2,6.1", "1901,47.2"), (), ["line 3", "2 cells under 3"]),
        (GOOD.replace("1901", "1901-05-01"), (), ["line 3", "date"]),
        ("", (), ["empty"]),
        (b"PK\x03\x04sheet", (), ["Excel", "CSV"]),
    ],
)
def test_bad_files(neurode, tmp_path, content, flags, said):
    line = fit(neurode, tmp_path, content, *flags).mistake()
    for part in said:
        assert part in line
    assert "=" not in line.replace("==", "")  # flags, not Python


def test_missing_file_and_column(neurode, tmp_path):
    (tmp_path / "data.csv").write_text(GOOD)
    line = neurode(
        "fit", "dynamics", tmp_path / "dat.csv", "--time", "year", "--out", "x"
    ).mistake()
    assert "did you mean data.csv?" in line
    line = neurode("fit", "dynamics", tmp_path, "--time", "year", "--out", "x").mistake()
    assert "folder" in line
    assert "did you mean 'year'" in fit(neurode, tmp_path, GOOD, time="yaer").mistake()


def test_the_remedies_are_flags_that_work(tmp_path):
    file = tmp_path / "data.csv"
    file.write_bytes("année|lièvre\n1901|3,5\n1900|4,5\n".encode("latin-1"))
    how = {"sort": True, "encoding": "latin-1", "delimiter": "|", "decimal": ","}
    table = read_data(file, "année", "lièvre", None, how)
    assert table.times.tolist() == [1900, 1901]
    assert table.values.tolist() == [[4.5], [3.5]]
    assert parse_names("lièvre") == list(table.names)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--until", "1950"), ["--until 1950", "1902"]),
        (("--until", "1900"), ["1 rows", "at least 1901"]),
        (("--until", "x"), ["'--until'"]),
        (("--parameters", "a=1"), ["--field FILE.py:NAME"]),
        (("--positive",), ["--parameters"]),
        (("--field", "none.py:f", "--parameters", "a=1"), ["no file none.py"]),
        (("--field", "model", "--parameters", "a=1"), ["--field model.py:f"]),
        (("--parameters", "a=", "--field", "model.py:f"), ["'a=' is not NAME=NUMBER"]),
        (("--method", "shooting"), ["--parameters"]),
        (("--hidden", "32,x"), ["--hidden 32,32"]),
        (("--hidden", "0"), ["--hidden 32,32"]),
        (("--steps", "0"), ["'--steps'"]),
        (("--learning-rate", "-1"), ["learning_rate", "-1"]),
        (("--log", "--columns", "zero"), ["positive", "zero"]),
        (("--colums", "hare"), ["--colums", "--columns"]),
        (("--debugg",), ["--debugg"]),
    ],
)
def test_bad_flags(neurode, tmp_path, flags, said):
    with_zero = "year,hare,lynx,zero\n1900,30,4,1\n1901,47.2,6.1,0\n1902,70.2,9.8,1\n"
    line = fit(neurode, tmp_path, with_zero, *flags).mistake()
    for part in said:
        assert part in line


def test_unwritable_folder(neurode, tmp_path):
    (tmp_path / "file").write_text("")
    data = tmp_path / "data.csv"
    data.write_text(GOOD)
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        line = neurode("fit", "dynamics", data, "--time", "year", "--out", out).mistake()
        assert str(out) in line
        assert "is a file" in line
        assert "is a file" in neurode("demo", "--out", out, "--quiet").mistake()


def test_missing_digits_are_to_be_fetched_by_hand(neurode, tmp_path):
    said = neurode("reproduce", "table1", "--data", tmp_path, "--run", tmp_path / "run").mistake()
    assert "lacks train-images" in said
    assert "; fetch them from http" in said
    assert "download=True" not in said
