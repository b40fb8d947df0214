"""`neurode fit series` and `neurode forecast`, end to end and in one line when it cannot be."""

import csv
import io

import pytest

QUICK = ("--steps", "3", "--hidden", "4", "--quiet")
ROWS = ["who,when,a,b"] + [
    f"p{i},2024-03-{1 + 2 * k + i:02d},{(k + i) % 3},{'' if k % 2 else k}"
    for i in range(3)
    for k in range(6)
]


@pytest.fixture(scope="module")
def long_csv(tmp_path_factory):
    file = tmp_path_factory.mktemp("series") / "long.csv"
    file.write_text("\n".join(ROWS) + "\n")
    return file


@pytest.fixture(scope="module")
def fitted(long_csv, neurode):
    out = long_csv.parent / "run"
    code, printed, errors = neurode(
        "fit", "series", long_csv, "--id", "who", "--time", "when", "--until", "2024-03-09",
        "--out", out, *QUICK,
    )  # fmt: skip
    assert code == 0, errors
    assert "a latent ODE fitted to 3 series of a, b" in printed
    for name in ("model.safetensors", "config.json", "metrics.jsonl", "report.html"):
        assert (out / name).is_file()
    return out


def test_forecast(fitted, neurode):
    code, printed, errors = neurode("forecast", fitted, "--horizon", "4", "--every", "2")
    assert code == 0, errors
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert list(rows[0]) == ["who", "when", "a", "a_low", "a_high", "b", "b_low", "b_high"]
    assert [row["who"] for row in rows] == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert rows[0]["when"].startswith("2024-03-11")
    assert all(float(row["a_low"]) < float(row["a"]) < float(row["a_high"]) for row in rows)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--horizon H, or when with --times"),
        (["--horizon", "-1"], "--horizon must be above 0"),
        (["--times", "2024-02-01"], "lies before 2024-03-01"),
        (["--times", "5"], "give dates"),
        (["--horizon", "4", "--ids", "p9"], "no series 'p9'; there are 'p0', 'p1', 'p2'"),
    ],
)
def test_refusals(fitted, neurode, words, said):
    code, _, errors = neurode("forecast", fitted, *words)
    assert code == 2
    assert said in errors
    assert len(errors.splitlines()) == 1
