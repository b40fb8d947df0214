"""The section on densities: what it says of made-up scores, and its page."""

from types import SimpleNamespace

import numpy as np
import pytest

from neurode.demo.density import fit_usual
from neurode.demo.density_findings import FLOW, KERNEL, MIXTURE, Films, Sample
from neurode.demo.density_page import present, spell_lead
from neurode.report import Page

RNG = np.random.default_rng(0)


def sample(gain, name="Old Faithful", entropy=None):
    """Held-out scores whose flow is better than a kernel density by `gain` on average."""
    base = RNG.normal(-4.0, 1.0, 100)
    scores = {FLOW: base + gain + 0.1 * RNG.normal(size=100), KERNEL: base, MIXTURE: base - 1}
    steps = np.arange(1.0, 301)
    estimator = SimpleNamespace(
        history_={
            "step": steps,
            "loss": 5 - steps / 300,
            "nfe_forward": steps,
            "nfe_backward": steps,
        },
        stats_={"skipped": 2, "seconds": 1.0},
        round_trip_error_=1e-6,
    )
    side = np.linspace(0, 1, 6)
    rows = RNG.random((30, 2))
    return Sample(
        *(name, ("x", "y"), rows, rows[:10], estimator, scores, {KERNEL: "bandwidth 0.1"}),
        *(entropy, (side, side), np.ones((6, 6)), rows),
    )


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.5, "beats"), (-0.5, "loses to"), (0.0, "is level with")]
)
def test_the_verdict_follows_from_the_scores(gain, verdict):
    assert f"it {verdict} the kernel density" in spell_lead(sample(gain))


def test_the_page():
    side = np.linspace(-3, 3, 6)
    films = Films((0.0, 1.0), side, np.ones((2, 6, 6)), np.zeros((2, 5, 2)))
    result = present([sample(0.5), sample(-0.5, "two moons", 1.0)], films)
    page = Page("demo")
    result.write(page)
    text = page.render()
    assert "the entropy" in text
    assert "bandwidth 0.1" in text
    assert result.numbers["two moons"]["entropy"] == 1.0
    assert result.numbers["Old Faithful"]["skipped"] == 2


def test_the_usual_estimators_are_scored_in_the_units_of_the_rows():
    """A normal table in other units: both are near its true density, and choose their settings."""
    x = np.array([100.0, -3.0]) + np.array([10.0, 0.1]) * RNG.normal(size=(300, 2))
    scores, settings = fit_usual(x[:200], x[200:], seed=0)
    z = (x[200:] - np.array([100.0, -3.0])) / np.array([10.0, 0.1])
    truth = -0.5 * (z**2).sum(axis=1) - np.log(2 * np.pi)
    assert abs((scores[MIXTURE] - truth).mean()) < 0.2
    assert abs((scores[KERNEL] - truth).mean()) < 0.4
    assert settings[MIXTURE] in ("n_components 1", "n_components 2")
    assert settings[KERNEL].startswith("bandwidth 0.")
