"""The paper's numbers, the printed table, and the files of results/NAME."""

import importlib
import json
from dataclasses import fields

import pytest

from neurode.reproduce import EXPERIMENTS, ExperimentError, Row, run_experiment
from neurode.reproduce.experiment import Value, check_choice, check_whole
from neurode.reproduce.results import (
    count_numbers,
    describe_machine,
    fill_rows,
    format_table,
    is_complete,
    read_paper,
    write_results,
)

NAMES = ("MLP", "MLP deskewed", "ResNet", "ResNet-1", "RK-Net", "RK4 fixed")
NAMES += ("ODE-Net", "ODE-Net exact", "ODE-Net Adams")
METRICS = (
    "test_error",
    "parameters",
    "train_memory_mb",
    "memory_growth_kb",
    "seconds_per_epoch",
    "share_inside_f",
)
METRICS += ("nfe_forward", "nfe_backward", "latency_ms_1", "latency_ms_128")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_keeps_the_contract(name):
    module = importlib.import_module(EXPERIMENTS[name].module)
    known = {field.name for field in fields(module.Config)}
    assert set(module.QUICK) <= known
    same = module.name_run(module.Config()) == module.name_run(module.Config(seed=5))
    assert same == (name == "table1")  # which has a folder for each seed in its run folder
    assert callable(module.run)
    rows = read_paper(name)
    assert len({(row.row, row.metric) for row in rows}) == len(rows)
    assert all(row.ours is None for row in rows)  # never copied from the paper
    assert EXPERIMENTS[name].title
    assert EXPERIMENTS[name].time


def test_table1_names_what_others_rely_on():
    rows = {(row.row, row.metric): row for row in read_paper("table1")}
    assert set(rows) == {(name, metric) for name in NAMES for metric in METRICS}
    assert rows["ODE-Net", "test_error"][2:4] == ("%", 0.42)
    assert rows["ResNet", "test_error"].paper == 0.41
    assert rows["RK-Net", "test_error"].paper == 0.47
    assert rows["MLP deskewed", "test_error"].paper == 1.6
    assert rows["MLP", "test_error"].paper is None  # the paper's 1.60% is with deskewed images
    assert rows["ODE-Net", "parameters"].target == 240_000


def test_table():
    rows = [
        Row("ODE-Net", "test_error", "%", paper=0.42, target=0.42),
        Row("ODE-Net", "parameters", paper=220_000),
        Row("ODE-Net", "latency", "ms"),
        Row("ODE-Net", "seconds_per_epoch", "s"),
    ]
    values = {
        ("ODE-Net", "test_error"): Value(0.456, 3, 0.02, "final epoch"),
        ("ODE-Net", "parameters"): Value(232_970),
        ("ODE-Net", "seconds_per_epoch"): Value(1010.4),
    }
    filled = fill_rows(rows, values)
    assert filled[0] == Row("ODE-Net", "test_error", "%", 0.42, 0.456, 0.02, 3, 0.42, "final epoch")
    table = format_table(filled, ["a line below"]).splitlines()
    cells = [[cell.strip() for cell in line.split("|")] for line in table]
    assert cells[0] == ["row", "metric", "paper", "ours", "target", "note"]
    assert cells[2][2:] == ["0.42%", "0.456% ± 0.02% (n=3)", "0.42%", "final epoch"]
    assert cells[3][2:4] == ["220,000", "232,970"]
    assert cells[4][1:4] == ["seconds_per_epoch", "-", "1,010 s"]
    assert table[-1] == "a line below"
    assert len(table) == 6  # nothing to say about the latency
    with pytest.raises(KeyError):
        fill_rows(rows, {("ODE-Net", "no such metric"): Value(1.0)})


def test_files(tmp_path):
    folder = tmp_path / "results" / "x"
    assert not is_complete(folder)
    write_results(folder, {"complete": True, "n": 1}, "neurode reproduce x", {"figure.png": b"png"})
    assert json.loads((folder / "metrics.json").read_text()) == {"complete": True, "n": 1}
    assert (folder / "command.txt").read_text() == "neurode reproduce x\n"
    assert (folder / "figure.png").read_bytes() == b"png"
    assert is_complete(folder)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_results(folder, {"complete": False, "n": float("nan")}, "again", {})
    assert is_complete(folder)


def test_numbers_are_counted(tmp_path):
    assert count_numbers(tmp_path / "nothing") == 0
    rows = [{"ours": 1.0}, {"ours": None}, {"ours": 0.0}]
    write_results(tmp_path, {"complete": False, "rows": rows}, "neurode reproduce x", {})
    assert count_numbers(tmp_path) == 2


def test_machine():
    machine = describe_machine()
    assert machine["cores"] >= 1
    assert machine["cpu"]
    assert set(machine) == {"cores", "cpu", "gpu"}


def test_mistakes_are_explained(tmp_path):
    def refuse(words, *args, **options):
        with pytest.raises(ExperimentError, match=words):
            run_experiment(*args, run=tmp_path / "run", **options)

    refuse("no experiment 'table9'; there are table1", "table9")
    refuse("table1 needs the folder of its data", "table1")
    refuse("no option 'depth' here; there are model, seed", "table1", data="x", depth=3)
    refuse("model must be one of all, mlp, .*got 'cnn'", "table1", data="x", model="cnn")
    refuse("epochs must be a whole number of at least 1, got 0", "table1", data="x", epochs=0)
    assert not list(tmp_path.iterdir())
    check_choice("a", 1, (1, 2))
    check_whole("a", 3, 3)
    with pytest.raises(ExperimentError, match="got True"):
        check_whole("a", True, 0)
