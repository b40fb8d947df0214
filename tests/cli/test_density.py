"""`neurode fit density`, `sample` and `score`, from a file to new rows and their likelihood."""

import csv
import io
import json

import numpy as np
import pytest

from estimators.flows import two_lumps
from neurode.cli.errors import Mistake
from neurode.cli.fit_density import parse_bounds

QUICK = ("--hidden", 4, "--steps", 3, "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("density")
    rows = "\n".join(f"{x:.3f},{y:.4f},{i % 3}" for i, (x, y) in enumerate(two_lumps(80)))
    (folder / "rows.csv").write_text(f"km,degree,kind\n{rows}\n")
    return folder


@pytest.fixture(scope="module")
def fitted(neurode, folder):
    answer = neurode(
        *("fit", "density", folder / "rows.csv", "--columns", "km,degree"),
        *("--out", folder / "run", *QUICK),
    )
    assert answer.code == 0, answer.err
    return folder / "run", answer


def test_a_fit_leaves_a_run_and_says_how_good_it_is(fitted):
    run, answer = fitted
    assert "log-likelihood of 8 held-out rows" in answer.out
    assert f"report: {run / 'report.html'}" in answer.out
    expected = {"config.json", "metrics.jsonl", "model.safetensors", "report.html", "density.png"}
    assert expected <= {file.name for file in run.iterdir()}
    config = json.loads((run / "config.json").read_text())["command_line"]
    assert config["data"]["columns"] == ["km", "degree"]


def test_samples_are_csv_in_the_columns_of_the_data(neurode, fitted, tmp_path):
    run, _ = fitted
    answer = neurode("sample", run, "-n", 20, "--out", tmp_path / "new.csv")
    assert answer.code == 0, answer.err
    rows = list(csv.DictReader(io.StringIO((tmp_path / "new.csv").read_text())))
    assert len(rows) == 20
    assert list(rows[0]) == ["km", "degree"]
    values = np.array([float(row["km"]) for row in rows])
    assert 900 < values.mean() < 1100
    assert neurode("sample", run, "-n", 20).out == (tmp_path / "new.csv").read_text()


def test_scores_are_csv(neurode, fitted, folder):
    run, _ = fitted
    answer = neurode("score", run, folder / "rows.csv")
    assert answer.code == 0, answer.err
    scores = [float(row["log_density"]) for row in csv.DictReader(io.StringIO(answer.out))]
    assert len(scores) == 80
    assert np.isfinite(scores).all()
    assert "80 rows" in answer.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fit", "density", "{rows}", "--out", "{new}", "--columns", "mile"), "no column 'mile'"),
        (("fit", "density", "{rows}", "--out", "{new}", "--bounds", "km"), "is not NAME=LOW:HIGH"),
        (("fit", "density", "{rows}", "--out", "{run}", "--steps", 4), "holds another fit"),
        (("fit", "density", "{rows}", "--out", "{new}", "--network", "cubic"), "must be one of"),
        (
            ("fit", "density", "{rows}", "--out", "{new}", "--context", "km,degree,kind"),
            "leaves no",
        ),
        (("sample", "{run}", "--context", "age=3"), "conditioned on nothing"),
        (("sample", "{rows}"), "rows.csv"),
        (("score", "{run}", "{run}/none.csv"), "no file none.csv"),
    ],
)
def test_mistakes(neurode, fitted, folder, tmp_path, words, message):
    places = {"rows": folder / "rows.csv", "run": fitted[0], "new": tmp_path / "new"}
    answer = neurode(*(str(word).format(**places) for word in words))
    assert message in answer.mistake()


def test_bounds():
    assert parse_bounds("a=0:1,b=0:,c=:-2.5") == {"a": (0, 1), "b": (0, None), "c": (None, -2.5)}
    assert parse_bounds(None) == {}
    with pytest.raises(Mistake, match="NAME=LOW:HIGH"):
        parse_bounds("a=0:x")
