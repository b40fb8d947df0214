import numpy as np
import pytest

from neurode.data import lynx_hare
from neurode.demo.forecasts import (
    LAST,
    MEAN,
    SEASONAL,
    find_cycle,
    forecast_naively,
    measure_errors,
    propagate_errors,
    spell_losers,
    spell_verdict,
)


@pytest.mark.parametrize("period", [5, 7, 10])
def test_cycle_of_noisy_waves_is_found(period):
    rng = np.random.default_rng(0)
    t = np.arange(40)
    waves = np.stack([np.sin(2 * np.pi * t / period), 50 + 9 * np.cos(2 * np.pi * t / period)], 1)
    noisy = waves[: 3 * period] + [0.05, 0.4] * rng.standard_normal((3 * period, 2))
    assert find_cycle(noisy) % period == 0


def test_cycle_of_the_lynx_is_about_ten_years():
    assert find_cycle(lynx_hare().values[:16]) in (10, 11)


def test_naive_forecasts():
    past = np.array([[0.0, 1], [2, 3], [4, 9], [0, 1], [2, 3], [4, 9], [0, 1], [2, 3], [4, 9]])
    made = forecast_naively(past, 4, 3)
    assert np.array_equal(made[LAST], [[4, 9]] * 4)
    assert np.allclose(made[MEAN], [[2, 13 / 3]] * 4)
    assert np.array_equal(made[SEASONAL], [[0, 1], [2, 3], [4, 9], [0, 1]])


def test_errors_of_each_variable_and_of_all():
    errors = measure_errors(np.zeros((2, 2)), np.array([[3.0, 0], [3, 4]]))
    assert np.allclose(errors, [3, np.sqrt(8), np.sqrt(34 / 4)])
    gaps = measure_errors(np.zeros((2, 2)), np.array([[3.0, np.nan], [np.nan, np.nan]]))
    assert np.array_equal(gaps, [3, np.nan, 3], equal_nan=True)


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ({"A": 2.0, "B": 1.0}, "B (1.00) and A (2.00) beat the best naive forecast, last (3.00). "),
        (
            {"A": 1.0, "B": 4.0},
            "A (1.00) beats the best naive forecast, last (3.00); B (4.00) does ",
        ),
        ({"A": 1.0, "B": 4.0, "C": 5.0}, "; B (4.00) and C (5.00) do not. The smallest error is "),
        (
            {"A": 3.5, "B": 3.0},
            "No model beats the best naive forecast, last (3.00): B (3.00) and ",
        ),
    ],
)
def test_verdict_says_who_wins(models, expected):
    text = spell_verdict(models, {"mean": 5.0, "last": 3.0})
    assert expected in text
    assert ("smallest error is that of" in text) == (min(models.values()) < 3.0)


def test_losers_are_named_for_each_variable():
    models = {"A": np.array([1.0, 4.0, 2.0]), "B": np.array([1.0, 2.0, 1.5])}
    naive = {"last": np.array([2.0, 3.0, 2.5]), "mean": np.array([9.0, 4.0, 7.0])}
    text = spell_losers(models, naive, ["hare", "lynx"])
    assert text == "For lynx alone, A (4.00) loses to last (3.00) and mean (4.00)."
    assert spell_losers({"B": models["B"]}, naive, ["hare", "lynx"]) == ""


def test_spread_of_a_straight_line_is_the_textbook_formula():
    x = np.linspace(0, 1, 11)
    slopes = np.stack([np.ones_like(x), x], axis=1)[:, None, :]
    observed = np.arange(6)
    found = propagate_errors(slopes, observed, np.array([0.3]))[:, 0]
    centre = x[observed].mean()
    spread = np.sum((x[observed] - centre) ** 2)
    assert np.allclose(found, 0.3 * np.sqrt(1 / 6 + (x - centre) ** 2 / spread))
