"""Figure 7's scores, on estimates whose distance from the truth is known."""

import numpy as np

from neurode.reproduce import fig7_poisson as page
from neurode.reproduce.results import read_paper


def test_scores_of_known_estimates():
    t = np.linspace(0, page.END, page._FINE)
    truth = page.RATES["sine"](t)
    scores = page.score(truth, np.stack([truth, 2 * truth]), t)
    assert np.allclose(scores.absolute, [0, 1])
    assert np.allclose(scores.gap, [0, 1 - np.log(2)])


def test_drawn_events_have_their_rate():
    random = np.random.default_rng(0)
    for truth in page.RATES.values():
        t = np.linspace(0, page.END, page._FINE)
        assert 0 < truth(t).min() <= truth(t).max() <= page._MOST
        counts = [len(page.draw(truth, random)) for _ in range(50)]
        expected = np.trapezoid(truth(t), t)
        assert abs(np.mean(counts) - expected) < 4 * np.sqrt(expected / 50)


def test_rows_have_a_place():
    rows = {row.row for row in read_paper("fig7")}
    assert {f"{m}, {n}" for m in ("latent ODE", "kernel", "constant") for n in page.RATES} == rows
