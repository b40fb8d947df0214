"""`neurode fit series --events` and `--events-file`: read, learned, forecast, or refused."""

import csv
import io
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from neurode.cli.fit import split_table
from neurode.cli.series_events import read_series_events
from neurode.cli.series_page import write_report
from neurode.cli.series_rates import count_by_series
from neurode.data import read_table
from neurode.estimators import Intensity
from neurode.estimators.latent_events import mean_rate, read_eventful

ROWS = ["who,when,a,n"] + [
    f"p{i},2024-03-{1 + 2 * k + i:02d},{(k + i) % 3},{k % 2}" for i in range(3) for k in range(6)
]
EVENTS = ["who,when"] + [  # in any order, one twice, p2 without any
    f"p{i},2024-03-{day}" for i in range(2) for day in ("08T12:00", "04", "04", "11", "06T06:00")
]
HOW = {"encoding": None, "delimiter": None, "decimal": "."}
FEW = ("--samples", "3")
FIT = ("--id", "who", "--time", "when", "--columns", "a", "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("eventful")
    (folder / "long.csv").write_text("\n".join(ROWS) + "\n")
    (folder / "events.csv").write_text("\n".join(EVENTS) + "\n")
    return folder


@pytest.fixture(scope="module")
def fitted(folder, neurode):
    """A run without its report, whose pictures cost a program each; see `test_the_report`."""
    out = folder / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neurode.cli.fit.report_command", lambda: None)
        answer = neurode(
            "fit", "series", folder / "long.csv", *FIT, "--events-file", folder / "events.csv",
            "--until", "2024-03-09", "--out", out, "--steps", "2", "--hidden", "4",
        )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "nats per observed number or event" in answer.out
    return out


def test_a_forecast_says_how_many_events_are_to_come(fitted, neurode):
    answer = neurode("forecast", fitted, "--horizon", "4", "--every", "2", *FEW)
    assert answer.code == 0, answer.err
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    rates = ["event_rate", "event_rate_low", "event_rate_high"]
    assert list(rows[0]) == ["who", "when", "a", "a_low", "a_high", *rates, "expected_events"]
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        rate, low, high = (float(first[name]) for name in rates)
        assert 0 < low <= rate <= high
        # Two days at about this rate; and the count goes on, it does not begin anew.
        assert float(first["expected_events"]) == pytest.approx(2 * rate, rel=0.5)
        assert float(second["expected_events"]) > float(first["expected_events"])
    # Within a series nothing is to come yet.
    answer = neurode("forecast", fitted, "--times", "2024-03-05,2024-03-30", *FEW)
    rows = list(csv.DictReader(io.StringIO(answer.out)))
    assert [row["expected_events"] == "" for row in rows] == [True, False] * 3


def test_other_series_come_with_their_events(fitted, folder, neurode):
    ask = ("forecast", fitted, "--horizon", "4", "--every", "2", *FEW)
    data, events = ("--data", folder / "long.csv"), ("--events-file", folder / "events.csv")
    assert "write --events-file with that of" in neurode(*ask, *data).mistake()
    assert "--data, which are not given" in neurode(*ask, *events).mistake()
    answer = neurode(*ask, *data, *events)
    assert answer.code == 0, answer.err
    assert answer.out.count("\n") == 1 + 3 * 2
    assert "neurode forecast" in neurode("predict", fitted, "--times", "1:3").mistake()


class Known:
    """What a report asks of a fitted model, with two events a day wherever it is asked."""

    names_, events, has_events_ = ("a",), None, True
    stats_: ClassVar = {"steps": 2, "seconds": 1.0}
    history_: ClassVar = {
        name: np.ones(2) for name in ("step", "loss", "nfe_forward", "nfe_backward")
    }

    def __init__(self, table):
        self.calendar_ = table.calendar
        starts = [part.times[0] for part in table.split().values()]
        self.posterior_ = SimpleNamespace(starts=np.array(starts))

    def reconstruct(self, table, events):
        assert {name: len(times) for name, times in events.items()} == {"p0": 4, "p1": 3, "p2": 0}
        return {name: part.values[:, :1] + 0.5 for name, part in table.split().items()}

    def forecast(self, times, ids):
        zero = np.zeros((1, len(times), 1))
        return SimpleNamespace(mean=zero, low=zero - 3, high=zero + 3)

    def intensity(self, times, ids):
        return Intensity(*(np.full((1, len(times)), rate) for rate in (2.0, 1.5, 2.5)))

    def expected_count(self, windows):
        return [2 * np.diff(self.calendar_.parse(window)) for window in windows]


def test_the_report(folder, tmp_path):
    table = read_table(folder / "long.csv", "when", id="who", dates=True)
    happened = read_series_events(table, None, folder / "events.csv", "who", HOW)
    learned, held_out = split_table(table, table.calendar.parse(["2024-03-09"])[0])
    model = Known(table)
    counts = count_by_series(model, learned, held_out, happened)
    # p0 is learned from its rows up to the 9th, p1 up to the 8th, p2 up to the 9th.
    assert counts.happened.tolist() == [[4, 1], [3, 2], [0, 0]]
    assert counts.expected.tolist() == [[16, 4], [12, 8], [12, 8]]
    np.testing.assert_allclose(counts.constant, 7 / 20 * counts.expected / 2)
    page = write_report(tmp_path, model, learned, held_out, happened, command="x").read_text()
    for word in ("40.0 (7)", "20.0 (3)", "at a constant rate", "all 3", "2024-03-09T00:00:00"):
        assert word in page
    assert (tmp_path / "series-3.png").is_file()


def test_three_ways_to_say_what_happened(folder):
    table = read_table(folder / "long.csv", "when", id="who", dates=True)
    everything = read_series_events(table, "times", None, "who", HOW)
    counted = read_series_events(table, "n", None, "who", HOW)
    told = read_series_events(table, None, folder / "events.csv", "who", HOW)
    for label, part in table.split().items():
        np.testing.assert_array_equal(everything[label], part.times)
        np.testing.assert_array_equal(counted[label], part.times[1::2])
    assert {name: len(times) for name, times in told.items()} == {"p0": 5, "p1": 5, "p2": 0}
    assert sorted(np.diff(told["p0"]))[:2] == [0, 2.25]  # in order, one twice
    assert mean_rate(read_eventful(table, None, None, "n")) == pytest.approx(9 / 30)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--events", "m"], "no column 'm'; it has 'who', 'when', 'a', 'n'"),
        (["--events", "when"], "--events when is the column of times"),
        (["--events", "a", "--columns", "a"], "`neurode fit events` learns from events alone"),
        (["--events", "n", "--events-file", "EVENTS"], "give one of them"),
        (["--events-file", "gone.csv"], "no file gone.csv"),
        (["--events-file", "who\np0"], "has no column 'when'; it has 'who'"),
        (["--events-file", "when\n2024-03-05"], "has no column 'who'; it has 'when'"),
        (["--events-file", "who,when\np9,2024-03-05"], "events of 'p9', but there is no such"),
        (["--events-file", "who,when\n,2024-03-05"], "line 2, column 'who': the id is missing"),
        (["--events-file", "who,when\np0,2024-04-01"], "from 2024-03-01T00:00:00 to 2024-03-11"),
        (["--events-file", "who,when\np0,5"], "are numbers, but the times of the series are dates"),
        (["--events-file", "who,when\np0,2024-03-01"], "no event in 3 series"),
    ],
)
def test_refusals(folder, neurode, words, said, tmp_path):
    if "\n" in words[-1]:
        (tmp_path / "events.csv").write_text(words[-1] + "\n")
        words = [*words[:-1], tmp_path / "events.csv"]
    out = tmp_path / "run"
    line = neurode("fit", "series", folder / "long.csv", *FIT, *words, "--out", out).mistake()
    assert said in line
