import pytest

from neurode.cli.errors import Mistake
from neurode.cli.options import (
    parse_names,
    parse_numbers,
    parse_parameters,
    parse_place,
    parse_times,
)


def test_times_as_list_range_and_mix():
    assert parse_times("1900,1905.5") == [1900.0, 1905.5]
    assert parse_times("1900:1903") == [1900.0, 1901.0, 1902.0, 1903.0]
    assert parse_times("1900:1901:0.5, 1910") == [1900.0, 1900.5, 1901.0, 1910.0]


def test_end_of_a_range_is_included_whatever_the_rounding():
    for step, count in [(0.1, 11), (0.3, 4), (1 / 3, 4), (0.7, 2)]:
        times = parse_times(f"0:1:{step!r}")
        assert len(times) == count
        assert times[-1] <= 1.0
    assert parse_times("0:1:0.1")[-1] == 1.0


@pytest.mark.parametrize(
    "text",
    ["", "a", "1900:", "1900:1930:0", "1900:1930:-1", "1930:1900", "1:2:3:4", "nan", "inf", "1_0"]
    + ["3,2", "2,2", "1900:1910,1905", "0:1:1e-9", "0:1e300:1"],
)
def test_times_refused(text):
    with pytest.raises(Mistake, match="--times"):
        parse_times(text)


def test_numbers():
    assert parse_numbers("alpha=0.5, beta=2e-2", "--parameters") == {"alpha": 0.5, "beta": 0.02}
    assert parse_numbers(None, "--parameters") == {}


@pytest.mark.parametrize("text", ["alpha", "alpha=", "=1", "alpha=x", "a=1,a=2", "a b=1", "a=nan"])
def test_numbers_refused(text):
    with pytest.raises(Mistake, match="--parameters"):
        parse_numbers(text, "--parameters")


def test_parameters_may_have_no_start_values():
    assert parse_parameters("alpha=0.5, beta") == {"alpha": 0.5, "beta": None}
    assert list(parse_parameters("b,a=1,c")) == ["b", "a", "c"]
    assert parse_parameters(None) == {}
    for text in ("alpha=", "=1", "alpha=x", "a,a=1", "a b", "a,", ""):
        with pytest.raises(Mistake, match="--parameters"):
            parse_parameters(text)


def test_names():
    assert parse_names("hare, lynx") == ["hare", "lynx"]
    assert parse_names(None) is None
    with pytest.raises(Mistake, match="--columns"):
        parse_names("hare,,lynx")


def test_place_of_a_function(tmp_path):
    file = tmp_path / "model.py"
    with pytest.raises(Mistake, match="no file"):
        parse_place(f"{file}:f")
    file.write_text("f = None\n")
    assert parse_place(f"{file}:f") == (file, "f")
    for text in ("model.py", ":f", "model:f", f"{file}:", f"{file}:1f"):
        with pytest.raises(Mistake, match=r"FILE\.py:NAME"):
            parse_place(text)
