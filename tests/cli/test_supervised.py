"""`neurode fit classifier`, `fit regressor` and `predict`, from a file to labels."""

import csv
import io

import numpy as np
import pytest

from neurode.cli.fit_supervised import split_labelled
from neurode.data import LabelledRows

QUICK = ("--hidden", 2, "--steps", 3, "--tolerance", 0.1, "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("supervised")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    rows = [f"{a:.3f},{b:.3f},{'yes' if a > 0 else 'no'},{a + b:.3f}" for a, b in x]
    (folder / "rows.csv").write_text("\n".join(["u,v,label,sum", *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def fitted(neurode, folder):
    words = ("--target", "label", "--columns", "u,v", "--out", folder / "run", *QUICK)
    answer = neurode("fit", "classifier", folder / "rows.csv", *words)
    assert answer.code == 0, answer.err
    return folder / "run", answer


def test_a_fit_leaves_a_run_and_says_how_good_it_is(fitted):
    run, answer = fitted
    assert "accuracy on 8 held-out rows" in answer.out
    assert "tolerance of predictions" in answer.out
    assert "50 rows may choose a looser one" in answer.out
    assert f"report: {run / 'report.html'}" in answer.out
    expected = {"config.json", "metrics.jsonl", "model.safetensors", "report.html", "tolerance.png"}
    assert expected <= {file.name for file in run.iterdir()}
    assert "taken for yes" in (run / "report.html").read_text()


def test_predictions_are_labels_with_probabilities(neurode, fitted, folder, tmp_path):
    answer = neurode("predict", fitted[0], folder / "rows.csv", "--out", tmp_path / "new.csv")
    assert answer.code == 0, answer.err
    rows = list(csv.DictReader(io.StringIO((tmp_path / "new.csv").read_text())))
    assert len(rows) == 40
    assert list(rows[0]) == ["label", "p(no)", "p(yes)"]
    assert {row["label"] for row in rows} <= {"yes", "no"}
    for row in rows:
        assert float(row["p(no)"]) + float(row["p(yes)"]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("fit", "classifier", "{rows}", "--out", "{new}", "--target", "kind"), "no column 'kind'"),
        (
            ("fit", "classifier", "{rows}", "--out", "{new}", "--target", "sum"),
            "column 'label': 'yes' is not a number",
        ),
        (
            ("fit", "regressor", "{rows}", "--out", "{new}", "--target", "label"),
            "a label is learned by a classifier",
        ),
        (
            ("fit", "classifier", "{rows}", "--out", "{run}", "--target", "label"),
            "holds another fit",
        ),
        (("predict", "{run}", "--times", "0:3"), "predicts rows of a file, not times"),
        (("predict", "{run}", "{run}/none.csv"), "no file none.csv"),
    ],
)
def test_mistakes(neurode, fitted, folder, tmp_path, words, message):
    places = {"rows": folder / "rows.csv", "run": fitted[0], "new": tmp_path / "new"}
    answer = neurode(*(str(word).format(**places) for word in words))
    assert message in answer.mistake()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_held_out_rows_have_every_label_in_its_share_and_leave_one_to_learn_from(share):
    labels = np.repeat(["a", "b", "c", "d"], [60, 30, 9, 1])
    table = LabelledRows(np.arange(100.0)[:, None], ("x",), labels, "")
    learned, held_out = split_labelled(table, share, 0, by_label=True)
    assert sorted([*learned.values[:, 0], *held_out.values[:, 0]]) == list(range(100))
    assert set(learned.target) == set("abcd")
    for label, count in (("a", 60), ("b", 30), ("c", 9)):
        assert np.sum(held_out.target == label) == pytest.approx(share * count, abs=1)
    again = split_labelled(table, share, 0, by_label=True)[1]
    np.testing.assert_array_equal(again.values, held_out.values)
    assert split_labelled(table.select(labels == "d"), share, 0, by_label=True)[1] is None


def test_files_with_commas_for_points_are_predicted_as_they_are_fitted(neurode, folder, tmp_path):
    text = (folder / "rows.csv").read_text().replace(",", ";").replace(".", ",")
    (tmp_path / "rows.csv").write_text(text)
    how = ("--decimal", ",", "--delimiter", ";")
    words = ("--target", "sum", "--columns", "u,v", "--out", tmp_path / "run", *QUICK, *how)
    assert neurode("fit", "regressor", tmp_path / "rows.csv", *words).code == 0
    answer = neurode("predict", tmp_path / "run", tmp_path / "rows.csv", *how)
    assert answer.code == 0, answer.err
    assert len(answer.out.splitlines()) == 41
    assert "pass --decimal" in neurode("predict", tmp_path / "run", tmp_path / "rows.csv").mistake()
