"""A bar in a terminal, plain lines elsewhere, silence on request."""

import io
import sys

import numpy as np
import pytest

from neurode.training import progress
from neurode.training.progress import Progress, describe_records, spell_seconds


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_pipe_gets_plain_lines(regression, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    regression.train(None, steps=30, steps_per_dispatch=10, progress=True)
    out, lines = capsys.readouterr()
    assert out == ""
    assert "\x1b" not in lines
    first, second, _, last = lines.splitlines()
    assert first.startswith("step 10/30  loss 0.")
    assert first.endswith("nfe 26 forward 14 backward  left ?")  # it was compiling
    assert second.endswith("left 0.0 s")
    assert last.startswith("step 30/30  loss ")
    assert "done in" in last


def test_a_pipe_gets_few_lines(regression, capsys):
    regression.train(None, steps=30, steps_per_dispatch=1, progress=True)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_terminal_gets_a_bar(regression, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "150")
    monkeypatch.setenv("TERM", "xterm")
    regression.train(None, steps=30, steps_per_dispatch=10, progress=True)
    shown = terminal.getvalue()
    assert "\x1b[" in shown
    assert "30/30" in shown
    assert "nfe 26 forward 14 backward" in shown


def test_silence_on_request(regression, capfd):
    regression.train(None, steps=3, progress=False)
    assert capfd.readouterr() == ("", "")


def test_the_numbers_are_those_of_the_latest_finite_steps():
    loss = np.r_[np.full(100, 9.0), np.full(49, 1.0), np.nan]
    assert describe_records({"loss": loss}) == "loss 1"
    assert describe_records({"loss": np.array([np.nan])}) == "loss nan"


@pytest.mark.parametrize(
    ("seconds", "words"), [(5.04, "5.0 s"), (65, "1:05"), (3725, "1:02:05"), (59.9, "1:00")]
)
def test_seconds_are_spelt(seconds, words):
    assert spell_seconds(seconds) == words


def test_the_time_left_follows_the_pace(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.0)
    with Progress(100) as bar:
        for step in (10, 20):
            records = {"step": np.arange(step - 9, step + 1), "loss": np.ones(10)}
            bar.update(records, 20.0, is_first=step == 10)
    assert capsys.readouterr().err.splitlines()[-1].endswith("left 2:40")
