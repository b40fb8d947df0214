"""Smoothing splines as linear maps: exact on straight lines, near the truth in noise."""

import numpy as np
import pytest

from neurode.data import DataError
from neurode.estimators.smoothing import smooth

T = np.sort(np.random.default_rng(1).uniform(0, 6, 60))
AT = np.linspace(T[0], T[-1], 50)


def test_a_straight_line_is_reproduced_with_its_slope():
    found = smooth(T, 3 - 2 * T, AT, "y")
    assert np.allclose(found.to_values @ (3 - 2 * T), 3 - 2 * AT, atol=1e-5)
    assert np.allclose(found.to_slopes @ (3 - 2 * T), -2, atol=1e-4)


def test_noise_is_averaged_and_measured():
    y = np.sin(T) + 0.2 * np.random.default_rng(0).normal(size=len(T))
    found = smooth(T, y, AT, "y")
    assert np.sqrt(np.mean((found.to_values @ y - np.sin(AT)) ** 2)) < 0.1
    assert np.sqrt(np.mean((found.to_slopes @ y - np.cos(AT)) ** 2)) < 0.25
    assert 0.15 < np.sqrt(found.variance) < 0.25
    slopes = np.gradient(found.to_values @ y, AT)
    assert np.allclose(slopes[2:-2], (found.to_slopes @ y)[2:-2], atol=0.05)


def test_too_few():
    with pytest.raises(DataError, match="y has 4 observations; a smoothing spline needs 5"):
        smooth(T[:4], T[:4], AT, "y")
