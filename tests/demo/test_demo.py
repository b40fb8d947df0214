"""The demonstration's frame with sections made up here, and its own section on a tiny budget."""

import io
import json
import re

import numpy as np
import pytest

from neurode.demo import DemoSection, SectionResult, Stages, run_demo
from neurode.demo import dynamics as section
from neurode.demo.dynamics_findings import Findings
from neurode.report import format_number
from neurode.store import SaveError


def made_up(name, said):
    def run(folder, stages, *, seed, effort):
        with stages.part("thinking"):
            number = seed * effort

        def write(page):
            page.section(f"About {name}").text(said)

        return SectionResult(said, {"number": number}, write, {"number": number})

    return DemoSection(name, name.title(), run)


def test_sections_follow_each_other_on_one_page(tmp_path):
    stream = io.StringIO()
    sections = [made_up("first", "One & only."), made_up("second", "Two.")]
    report = run_demo(
        tmp_path / "new" / "folder", seed=3, effort=0.5, sections=sections,
        stages=Stages(stream=stream),
    )  # fmt: skip
    assert report == tmp_path / "new" / "folder" / "report.html"
    page = report.read_text()
    order = ["One &amp; only.", "About first", "About second", "Where the time went"]
    page = page[page.index("</nav>") :]
    assert sorted(order, key=page.index) == order
    record = json.loads((report.parent / "metrics.json").read_text())
    assert record["sections"] == {"first": {"number": 1.5}, "second": {"number": 1.5}}
    assert stream.getvalue().splitlines()[:3] == ["First", "  thinking ...", "    0.0 s"]


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")

    def never(folder, stages, *, seed, effort):
        raise AssertionError("too late")

    with pytest.raises(SaveError, match="file"):
        run_demo(tmp_path / "file" / "demo", sections=[DemoSection("x", "X", never)])


def test_stages_are_timed_and_quiet_ones_say_nothing():
    stream = io.StringIO()
    stages = Stages(shown=False, stream=stream)
    stages.begin("work")
    for _ in range(2):
        with stages.part("half"):
            pass
    assert list(stages.seconds["work"]) == ["half"]
    assert stages.seconds["work"]["half"] >= 0
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_spinner_and_the_time():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    stages = Stages(stream=stream)
    stages.begin("work")
    with stages.part("half"):
        pass
    assert "half ..." in stream.getvalue()
    assert re.fullmatch(r".*  half: \d\.\d s", stream.getvalue().splitlines()[-1])


@pytest.fixture(scope="module")
def found():
    patch = pytest.MonkeyPatch()
    patch.setattr(section, "SOLVERS", section.SOLVERS[1:2])
    try:
        yield section.fit_models(Stages(shown=False), effort=0.001)
    finally:
        patch.undo()


def test_ctrl_c_during_training_ends_the_demonstration(monkeypatch):
    """Training takes the signal and returns early: no report may come of half a network."""

    class Interrupted:
        stats_ = {"interrupted": True}

        def __init__(self, *args, **settings):
            pass

        def fit(self, *args, **settings):
            return self

    monkeypatch.setattr(section, "NeuralODE", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        section.fit_models(Stages(shown=False))


def test_parameters_of_lotka_volterra(found: Findings):
    """Estimates near those of Carpenter's Stan case study, which sees all years and log noise."""
    estimates = found.models[0].estimator.estimates_
    published = {"alpha": 0.55, "beta": 0.028, "gamma": 0.80, "delta": 0.024}
    for name, value, error in zip(
        estimates.names, estimates.values, estimates.standard_errors, strict=True
    ):
        assert abs(value - published[name]) < 2.5 * error
    assert found.models[0].estimator.stats_["converged"]


def test_spread_agrees_with_the_standard_errors(found: Findings):
    """The curve's spread at its first point is the standard error of the initial state."""
    errors = found.models[0].estimator.estimates_.initial_standard_errors[0]
    assert np.allclose(found.spread[0], errors, rtol=1e-3)


def test_curves_pass_through_the_times_of_the_data(found: Findings):
    assert np.array_equal(found.plot_times[found.rows], found.table.times)
    assert found.table.times[found.seen - 1] == section.LAST_YEAR
    errors = found.model_errors()["Lotka-Volterra"]
    assert errors[-1] < min(e[-1] for e in found.naive_errors().values())
    assert 0 <= found.count_inside() <= found.truth.size == 10


def test_tighter_tolerances_cost_more_and_err_less(found: Findings):
    [dial] = found.dials
    assert (np.diff(np.log(dial.errors[2:])) < 0).all()
    assert (np.diff(dial.evaluations[2:]) > 0).all()


def test_the_page_of_the_section(found: Findings, tmp_path, monkeypatch):
    monkeypatch.setattr(section, "fit_models", lambda stages, **settings: found)
    report = run_demo(tmp_path, stages=Stages(shown=False), sections=[section.LYNX_HARE])
    page = report.read_text()
    numbers = json.loads((tmp_path / "metrics.json").read_text())["sections"]["lynx_hare"]
    best = numbers["forecast_rmse"]["Lotka-Volterra"]["both"]
    assert f"Lotka-Volterra ({format_number(best, 3)}) beat" in page
    assert f"{found.count_inside()} of the 10 held-out values" in page
    pictures = {file.stem for file in tmp_path.glob("*.png")}
    assert pictures == {
        *("forecasts", "forecast-errors", "phase-portrait", "tolerances"),
        *("training-lotka-volterra", "training-neural-network"),
    }
    assert 'src="http' not in page
