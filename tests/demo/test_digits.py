"""The section on digits: what it says of made-up findings, and its page."""

import numpy as np
import pytest

from neurode.demo.digits_findings import NETS, Digits, flatten_features
from neurode.demo.digits_page import present, spell_lead, spell_saving
from neurode.estimators import ToleranceDial
from neurode.report import Page

RNG = np.random.default_rng(0)


def findings(lead=0.0):
    """An ODE-Net that reads a share `lead` more of 200 images right."""
    base = np.arange(200) < 150
    ours = np.arange(200) < 150 + 200 * lead
    tolerances = np.array([1e-5, 1e-3, 1e-1])
    dial = ToleranceDial(
        *(tolerances, np.array([0.9, 0.9, 0.8]), np.array([0, 1e-4, 1e-2])),
        *(np.array([40.0, 20.0, 10.0]), np.full(3, 1e-5), 1e-3, "accuracy"),
    )
    history = {"step": np.arange(1.0, 31), "loss": np.linspace(2, 0.1, 30)}
    counts = {"nfe_forward": np.full(30, 20.0), "nfe_backward": np.full(30, 18.0)}
    return Digits(
        images=np.zeros((2, 8, 8)),
        labels=np.arange(200) % 10,
        learned=100,
        right={NETS[0]: ours, NETS[1]: base},
        parameters={NETS[0]: 6000, NETS[1]: 24000},
        blocks=6,
        dial=dial,
        trained_at=1e-5,
        depths=(0.0, 1.0),
        features=RNG.normal(size=(2, 200, 2)),
        histories={NETS[0]: history | counts, NETS[1]: history},
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("lead", "verdict"), [(0.1, "better"), (-0.1, "worse"), (0.005, "The two are level")]
)
def test_the_verdict_follows_from_the_images(lead, verdict):
    assert verdict in spell_lead(findings(lead))


def test_the_page():
    result = present(findings(0.1))
    assert "25% of the residual network's parameters" in result.summary
    assert "50% of the evaluations" in spell_saving(findings())
    page = Page("demo")
    result.write(page)
    text = page.render()
    assert "Features over depth" in text
    assert result.numbers["accuracy"] == {"ODE-Net": 0.85, "ResNet": 0.75}


def test_features_are_shown_where_they_spread_most_at_the_end():
    states = np.zeros((2, 50, 5))
    states[-1, :, 3], states[-1, :, 1] = np.linspace(-9, 9, 50), np.cos(np.arange(50))
    flat = flatten_features(states)
    assert flat.shape == (2, 50, 2)
    np.testing.assert_allclose(np.abs(flat[-1, :, 0]), np.abs(states[-1, :, 3]), atol=0.3)
