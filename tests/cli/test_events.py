"""`neurode fit events`: from a file of times to a run folder."""

import csv

import pytest

from neurode.cli.errors import Mistake
from neurode.cli.fit_events import read_window


@pytest.fixture(scope="module")
def times(tmp_path_factory):
    file = tmp_path_factory.mktemp("events") / "times.csv"
    file.write_text("at\n4.2\n")
    return file


def test_a_fit_of_a_single_event_leaves_a_run(neurode, times, tmp_path):
    out = tmp_path / "run"
    words = ("fit", "events", times, "--from", 0, "--to", 10, "--out", out, "--quiet")
    answer = neurode(*words, "--steps", 3)
    assert answer.code == 0, answer.err
    assert "1 event in 1 window in 3 steps" in answer.out
    assert "Kolmogorov-Smirnov" in answer.out
    names = {file.name for file in out.iterdir()}
    assert {"config.json", "model.safetensors", "report.html", "intensity.png"} <= names
    rows = list(csv.DictReader((out / "intensity.csv").read_text().splitlines()))
    assert float(rows[0]["time"]) == 0
    assert float(rows[-1]["time"]) == 10
    assert all(float(r["low"]) < float(r["rate"]) < float(r["high"]) for r in rows)
    answer = neurode("predict", out, "--times", "0,10")
    assert [float(row["rate"]) for row in csv.DictReader(answer.out.splitlines())] == [
        float(rows[0]["rate"]), float(rows[-1]["rate"])
    ]  # fmt: skip
    answer = neurode("predict", out, "--times", 1, "--start", "a=1")
    assert "neither state nor rows" in answer.mistake()
    assert "holds another fit" in neurode(*words, "--steps", 4).mistake()


def test_mistakes(neurode, times, tmp_path):
    answer = neurode("fit", "events", times, "--from", 0, "--to", 4, "--out", tmp_path / "new")
    assert "lie outside" in answer.mistake()
    answer = neurode("fit", "events", times, "--id", "at", "--out", tmp_path / "new")
    assert "say with --from and --to" in answer.mistake()


def test_windows():
    assert read_window(None, None) is None
    assert read_window("0", "1e3") == (0.0, 1000.0)
    assert read_window("2024-01-01", "2025-01-01") == ("2024-01-01", "2025-01-01")
    for pair in (("0", None), ("0", "2024-01-01")):
        with pytest.raises(Mistake):
            read_window(*pair)
