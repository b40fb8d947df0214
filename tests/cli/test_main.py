"""Help, versions, errors and interruptions: what is printed where, and the exit code."""

import os
import re
import subprocess
import sys
import time

import pytest
import typer

import neurode as nd
from neurode.cli import demo
from neurode.cli.errors import Interrupted, Mistake, explain, interruptible, join_lines
from neurode.cli.main import app, interrupt_again
from neurode.core.status import SolveError
from neurode.data import DataError
from neurode.store import ArchiveError, SaveError
from neurode.training import ConfigMismatch


def commands():
    def walk(group, words):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*words, name))
            else:
                yield (*words, name)

    return list(walk(typer.main.get_command(app), ()))


def test_without_arguments_there_is_help(neurode):
    answer = neurode()
    assert answer.code == 0
    assert all(name in answer.out for name in ("demo", "fit", "predict", "reproduce", "info"))


def test_version(neurode):
    assert neurode("--version") == (0, f"neurode {nd.__version__}\n", "")


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(neurode, words):
    answer = neurode(*words, "--help")
    assert answer.code == 0
    assert re.search(rf"^  Examples?:\n    neurode {' '.join(words)}\b", answer.out, re.M)
    assert max(map(len, answer.out.splitlines())) <= 80


def test_unknown_command(neurode):
    line = neurode("fot").mistake()
    assert "'fot'" in line
    assert "'fit'" in line
    assert "--help" in line
    assert "dynamics" in neurode("fit", "dynamcs").mistake()


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (Mistake("write this"), "error: write this", 2),
        (DataError("cell: pass decimal=','"), "error: cell: pass --decimal ','", 2),
        (DataError("pass sort=True"), "error: pass --sort", 2),
        (DataError("with columns=['hare']"), "error: with --columns hare", 2),
        (ArchiveError("damaged"), "error: damaged", 2),
        (SolveError("blew up"), "error: blew up", 2),
        (
            ConfigMismatch("run differs:\n  seed: 0 -> 1\n  lr: 1 -> 2\nGo on, or resume=False"),
            "error: run differs: seed: 0 -> 1; lr: 1 -> 2; Go on, or --no-resume",
            2,
        ),
        (SaveError(28, "could not write x: disk full"), "error: could not write x: disk full", 2),
        (PermissionError(13, "Permission denied", "x.csv"), "error: x.csv: Permission denied", 2),
        (ImportError('pip install "neurode[report]"'), 'error: pip install "neurode[report]"', 2),
        (KeyboardInterrupt(), "interrupted", 130),
        (Interrupted("saved in run"), "interrupted: saved in run", 130),
    ],
)
def test_errors_are_one_line(error, line, code):
    assert explain(error) == (line, code)


@pytest.mark.parametrize("error", [ZeroDivisionError("division"), ImportError("no module x")])
def test_a_fault_of_the_program_is_named(error):
    line, code = explain(error)
    assert code == 1
    assert type(error).__name__ in line
    assert "--debug" in line


def test_lines_are_joined():
    assert join_lines("a:\n  b\n\n  c\nd") == "a: b; c; d"


def test_ctrl_c_says_how_to_go_on(neurode, monkeypatch, tmp_path):
    def interrupt(*args, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr("neurode.demo.run_demo", interrupt)
    answer = neurode("demo", "--out", tmp_path, "--seed", 3)
    assert answer.code == 130
    assert answer.err.startswith("interrupted: ")
    assert answer.err.count("\n") == 1
    assert f"`neurode demo --out {tmp_path} --seed 3`" in answer.err
    with pytest.raises(Interrupted, match="go on"), interruptible("go on"):
        raise KeyboardInterrupt


def test_a_ctrl_c_that_python_had_to_drop_is_repeated():
    class Unraisable:
        exc_value = KeyboardInterrupt()

    interrupt_again(Unraisable())
    with pytest.raises(KeyboardInterrupt):
        time.sleep(5)


def test_debug_shows_the_traceback_wherever_it_stands(monkeypatch):
    def fail(*args, **settings):
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr("neurode.demo.run_demo", fail)
    group = typer.main.get_command(app)
    for words in (["demo", "--quiet", "--debug"], ["--debug", "demo", "--quiet"]):
        with pytest.raises(ZeroDivisionError, match="deep inside"):
            group.main(words)
    with pytest.raises(SystemExit, match="1"):
        group.main(["demo", "--quiet"])


def test_demo_says_where_the_report_is(neurode, monkeypatch, tmp_path):
    seen = {}

    def run_demo(folder, **settings):
        seen.update(settings, folder=folder)
        return folder / "report.html"

    monkeypatch.setattr("neurode.demo.run_demo", run_demo)
    answer = neurode("demo", "--out", tmp_path / "d", "--seed", 7, "--quiet")
    assert answer == (0, f"report: {tmp_path / 'd' / 'report.html'}\n", "")
    assert seen["seed"] == 7
    assert not seen["stages"].shown
    assert str(demo._DEFAULT_FOLDER) == "neurode-demo"


def test_warnings_are_lines(neurode, monkeypatch, tmp_path):
    import warnings

    def run_demo(folder, **settings):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("two\n  lines", UserWarning, stacklevel=1)
        return folder

    monkeypatch.setattr("neurode.demo.run_demo", run_demo)
    assert neurode("demo", "--out", tmp_path).err == "warning: two; lines\n"


@pytest.mark.parametrize("words", [["--version"], ["fit", "dynamics", "--help"]])
def test_help_loads_no_heavy_room(words):
    code = (
        "import sys; from neurode.cli.main import main; sys.argv = ['neurode', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    print(stop.code)\n"
        "print(sorted({'matplotlib', 'optax', 'pandas', 'scipy', 'sklearn'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=os.environ | {"NO_COLOR": "1"},
    )
    assert run.stderr == ""
    assert run.stdout.splitlines()[-2:] == ["0", "[]"]


def test_reproduce_lists_and_refuses(neurode):
    from neurode.reproduce import EXPERIMENTS

    answer = neurode("reproduce", "--list")
    assert answer.code == 0
    assert [line.split()[0] for line in answer.out.splitlines()] == list(EXPERIMENTS)
    assert "--list" in neurode("reproduce").mistake()
    assert "table1" in neurode("reproduce", "tabel1").mistake()
    assert "--data DIR" in neurode("reproduce", "table1").mistake()
    assert "no_such" in neurode("reproduce", "table1", "--data", "no_such").mistake()


def test_reproduce_prints_the_table_or_says_how_to_go_on(neurode, monkeypatch, tmp_path):
    from neurode.reproduce import Outcome

    given = {}

    def run_experiment(name, **settings):
        given.update(settings, name=name)
        stopped = settings["seed"] == 1
        return Outcome("paper | ours", [], tmp_path, tmp_path / "table1", True, stopped)

    monkeypatch.setattr("neurode.reproduce.run_experiment", run_experiment)
    answer = neurode("reproduce", "table1", "--data", tmp_path, "--epochs", 2, "--no-resume")
    assert answer.code == 0
    assert answer.out.startswith("paper | ours\n")
    assert given["name"] == "table1"
    assert given["epochs"] == 2
    assert given["resume"] is False
    assert given["seed"] is None
    answer = neurode("reproduce", "table1", "--data", tmp_path, "--seed", 1)
    assert answer.code == 130
    assert "same command" in answer.err
    assert str(tmp_path) in answer.err
