"""The spirals: the curves of the script, windows that begin anywhere, noise of the right size."""

import numpy as np
import pytest

from neurode.data import make_spirals
from neurode.data.spirals import spiral_curves


def test_curves():
    clockwise, counter = spiral_curves()
    np.testing.assert_allclose(counter[0], [5, 0])
    np.testing.assert_allclose(np.linalg.norm(counter[-1] - [5, 0]), 0.3 * 6 * np.pi)
    np.testing.assert_allclose(np.linalg.norm(clockwise[-1] - [-5, 0]), 15)
    np.testing.assert_allclose(np.linalg.norm(clockwise[0] - [-5, 0]), 15 / (6 * np.pi + 1))

    def turned(curve, centre):
        x, y = (curve[1:] - centre).T
        return np.diff(np.unwrap(np.arctan2(y, x)))

    assert (turned(counter, [5, 0]) > 0).all()
    assert (turned(clockwise, [-5, 0]) < 0).all()


def test_windows():
    found = make_spirals(60, points=150, noise=0.2, earliest=10, latest=40, seed=3)
    assert found.noisy.shape == found.clean.shape == (60, 150, 2)
    assert found.begins.min() >= 10
    assert found.begins.max() <= 40
    assert found.directions.sum() == 30
    curves = spiral_curves()
    i = 7
    begin = found.begins[i]
    np.testing.assert_array_equal(found.clean[i], curves[found.directions[i], begin : begin + 150])
    assert abs((found.noisy - found.clean).std() - 0.2) < 0.01
    np.testing.assert_allclose(np.diff(found.ts), 6 * np.pi / 999)
    again = make_spirals(60, points=150, noise=0.2, earliest=10, latest=40, seed=3)
    np.testing.assert_array_equal(again.noisy, found.noisy)


def test_a_window_beyond_the_curve_is_refused():
    with pytest.raises(ValueError, match="begin between 0 and 800"):
        make_spirals(4, latest=900)
