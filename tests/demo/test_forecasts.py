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
    spell_ranking,
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
    made = forecast_naively(past, 4)
    assert np.array_equal(made[LAST], [[4, 9]] * 4)
    assert np.allclose(made[MEAN], [[2, 13 / 3]] * 4)
    assert np.array_equal(made[SEASONAL], [[0, 1], [2, 3], [4, 9], [0, 1]])


def test_errors_of_each_variable_and_of_all():
    errors = measure_errors(np.zeros((2, 2)), np.array([[3.0, 0], [3, 4]]))
    assert np.allclose(errors, [3, np.sqrt(8), np.sqrt(34 / 4)])


@pytest.mark.parametrize(
    ("models", "verdict"),
    [
        ({"A": 1.0, "B": 2.0}, "every model beats"),
        ({"A": 1.0, "B": 4.0}, "only A beats"),
        ({"A": 1.0, "B": 2.0, "C": 9.0}, "only A and B beat the"),
        ({"A": 3.5, "B": 4.0}, "no model beats"),
    ],
)
def test_ranking_says_who_wins(models, verdict):
    text = spell_ranking(models, {"mean": 5.0, "last": 3.0}, "pelts")
    assert verdict in text
    assert "best naive forecast, last" in text
    numbers = [float(part.split(")")[0]) for part in text.split("(")[1:]]
    assert numbers == sorted(numbers)
    assert len(numbers) == len(models) + 2
