"""`neurode fit dynamics` and `neurode predict`, from a file of data to forecasts and back."""

import csv
import io
import json
import os
import signal
import threading
import time

import numpy as np
import pytest


@pytest.fixture(scope="module")
def fitted(neurode, decay):
    """An ODE's parameter, estimated from two series up to the fourth hour."""
    run = decay / "ode"
    answer = neurode(
        *("fit", "dynamics", decay / "tanks.csv", "--time", "hour", "--id", "tank"),
        *("--field", f"{decay}/model.py:f", "--parameters", "rate=0.2", "--positive"),
        *("--until", 4, "--out", run, "--quiet"),
    )
    assert answer.code == 0, answer.err
    return run, answer


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_parameters_are_estimated_and_reported(fitted):
    run, answer = fitted
    assert "running the code of" in answer.err
    line = next(line for line in answer.out.splitlines() if line.strip().startswith("rate"))
    assert float(line.split()[1]) == pytest.approx(0.5, abs=0.01)
    assert f"report: {run / 'report.html'}" in answer.out
    page = (run / "report.html").read_text()
    assert "The model (" in page  # of the held-out hour
    assert "<code>rate</code>" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    expected = {"config.json", "metrics.jsonl", "model.safetensors", "report.html"}
    assert expected <= {file.name for file in run.iterdir()}
    assert {"fit-1.png", "fit-2.png", "forecast-errors.png", "training.png"} <= {
        file.name for file in run.glob("*.png")
    }
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == list(range(len(steps)))
    assert steps[-1]["loss"] < steps[0]["loss"]


def test_a_method_and_no_start_values(neurode, decay, tmp_path):
    words = ("fit", "dynamics", decay / "tanks.csv", "--time", "hour", "--id", "tank", "--quiet")
    words += ("--field", f"{decay}/model.py:f", "--parameters", "rate", "--out", tmp_path)
    answer = neurode(*words, "--method", "gradient_matching")
    assert answer.code == 0, answer.err
    line = next(line for line in answer.out.splitlines() if line.strip().startswith("rate"))
    assert float(line.split()[1]) == pytest.approx(0.5, abs=0.05)
    answer = neurode(*words, "--no-resume", "--method", "guessing")
    assert answer.code != 0
    assert "multiple_shooting" in answer.err


def test_predictions_are_csv_with_the_columns_of_the_data(neurode, fitted, decay, tmp_path):
    run, _ = fitted
    words = ("predict", run, "--field", f"{decay}/model.py:f")
    answer = neurode(*words, "--times", "0,4:6:0.5")
    assert answer.code == 0, answer.err
    table = rows(answer.out)
    assert list(table[0]) == ["tank", "hour", "level"]
    assert [row["tank"] for row in table] == ["a"] * 6 + ["b"] * 6
    levels = np.array([float(row["level"]) for row in table])
    hours = np.array([float(row["hour"]) for row in table])
    starts = np.repeat([8.0, 5.0], 6)
    assert np.allclose(levels, starts * np.exp(-0.5 * hours), atol=0.05)
    file = tmp_path / "forecast.csv"
    answer = neurode(*words, "--times", "0,2", "--start", "level=10", "--out", file)
    assert answer.out == ""
    assert float(rows(file.read_text())[-1]["level"]) == pytest.approx(10 * np.exp(-1), rel=0.02)


def test_bad_predictions(neurode, fitted, decay, tmp_path):
    run, _ = fitted
    field = ("--field", f"{decay}/model.py:f")
    assert "--field FILE.py:" in neurode("predict", run, "--times", "0:1").mistake()
    assert "--times" in neurode("predict", run, "--times", "1:0", *field).mistake()
    assert "does not exist" in neurode("predict", tmp_path / "no", "--times", "0:1").mistake()
    assert "model.safetensors" in neurode("predict", tmp_path, "--times", "0:1").mistake()
    (tmp_path / "model.safetensors").write_bytes((run / "model.safetensors").read_bytes()[:-40])
    assert "damaged" in neurode("predict", tmp_path, "--times", "0:1").mistake()
    (tmp_path / "model.safetensors").write_bytes(b"something else altogether")
    assert "not a file that neurode wrote" in neurode("predict", tmp_path, "--times", "0").mistake()


def test_code_of_the_user_is_blamed_by_file_and_line(neurode, decay, tmp_path):
    file = tmp_path / "mine.py"
    words = ("fit", "dynamics", decay / "tanks.csv", "--time", "hour", "--id", "tank")
    words += ("--out", tmp_path / "run", "--parameters", "rate=0.2", "--field", f"{file}:f")
    for code, said in [
        ("def f(t, y, p):\n    return p.rate * z\n", "mine.py, line 2: NameError: name 'z'"),
        ("import no_such_module\n", "mine.py, line 1: ModuleNotFoundError"),
        ("def f(t, y, p:\n", "mine.py, line 1: SyntaxError"),
        ("def g(t, y, p):\n    return y\n", "defines no function 'f'; it has g"),
        ("def f(t, y, p):\n    return p.rat * y\n", "'rat'"),
    ]:
        file.write_text(code)
        answer = neurode(*words)
        assert answer.code == 2, answer
        said_first, *error = answer.err.splitlines()
        assert said_first == f"running the code of {file}"
        assert len(error) == 1
        assert said in error[0]


def test_another_fit_is_not_overwritten(neurode, fitted, decay):
    run, _ = fitted
    before = (run / "model.safetensors").read_bytes()
    words = ("fit", "dynamics", decay / "tanks.csv", "--time", "hour", "--id", "tank")
    line = neurode(*words, "--seed", 5, "--out", run).mistake()
    assert "seed: 0 -> 5" in line
    assert "--no-resume" in line
    assert (run / "model.safetensors").read_bytes() == before


def test_a_network_is_interrupted_goes_on_and_is_kept(neurode, decay):
    run = decay / "network"
    words = (
        *("fit", "dynamics", decay / "tanks.csv", "--time", "hour", "--id", "tank"),
        *("--hidden", "4", "--steps", 3000, "--out", run),
    )

    def interrupt():
        for _ in range(20_000):
            if (run / "metrics.jsonl").exists() and (run / "metrics.jsonl").stat().st_size:
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.005)

    threading.Thread(target=interrupt, daemon=True).start()
    answer = neurode(*words, "--quiet")
    assert answer.code == 130, answer.err
    assert answer.err.startswith(f"interrupted: saved in {run} at step ")
    assert answer.err.endswith("the same command goes on from the last checkpoint\n")
    assert not (run / "model.safetensors").exists()
    done = int(answer.err.partition("at step ")[2].partition(";")[0])
    answer = neurode(*words)
    assert answer.code == 0, answer.err
    assert f"going on from step {done}" in answer.err
    assert "step 3000/3000" in answer.err
    assert (run / "report.html").is_file()
    config = json.loads((run / "config.json").read_text())
    assert config["command_line"]["settings"]["hidden"] == [4]
    assert config["config"]["estimator"] == "NeuralODE"  # that of training is still there
    table = rows(neurode("predict", run, "--times", "0:5").out)
    assert [row["tank"] for row in table] == ["a"] * 6 + ["b"] * 6
    assert float(table[0]["level"]) > float(table[5]["level"])
