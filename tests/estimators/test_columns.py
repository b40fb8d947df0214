"""Transformations of columns: Jacobians, inverses and bounds."""

import jax.numpy as jnp
import numpy as np
import pytest

from neurode.estimators.columns import Columns, dequantisation_nodes, fit_columns

NAMES = ("plain", "share", "price", "debt", "count")
BOUNDS = {"share": (0, 1), "price": (0, None), "debt": (None, 5), "count": (0, 3)}
X = np.array(
    [
        [1.5, 0.2, 3.0, 4.0, 0.0],
        [-2.0, 0.9, 0.1, -7.0, 3.0],
        [0.3, 0.5, 9.0, 2.0, 2.0],
        [4.0, 0.1, 1.0, 0.0, 1.0],
    ]
)


@pytest.fixture
def columns():
    return fit_columns(X, NAMES, discrete=["count"], bounds=BOUNDS, standardize=True, robust=False)


def test_there_and_back(columns):
    y, _ = columns.forward(X)
    np.testing.assert_allclose(columns.inverse(y), X, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(y[:, :4].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(y[:, :4].std(axis=0), 1, atol=1e-12)
    y, _ = columns.forward(X, 0.93)  # any noise is taken off whole numbers again
    np.testing.assert_allclose(columns.inverse(y)[:, 4], X[:, 4])


def test_the_jacobian_is_the_derivative(columns):
    step = 1e-6
    _, slopes = columns.forward(X)
    up, down = (columns.forward(X + s)[0] for s in (step, -step))
    expected = np.log((up - down) / (2 * step)).sum(axis=1)
    np.testing.assert_allclose(slopes, expected, rtol=1e-6)


def test_numpy_and_jax_agree(columns):
    y, slopes = columns.forward(X)
    also = columns.forward(jnp.asarray(X), 0.5, jnp)
    np.testing.assert_allclose(also[0], y, rtol=1e-5)
    np.testing.assert_allclose(also[1], slopes, rtol=1e-5)


def test_outside_the_bounds_there_is_no_density(columns):
    for column, value in ((1, 1.0), (1, -0.1), (2, 0.0), (3, 5.0), (4, -1.0), (4, 4.0)):
        row = X[:1].copy()
        row[0, column] = value
        y, slopes = columns.forward(row)
        assert slopes[0] == -np.inf
        assert np.isfinite(y).all()


def test_json_round_trip(columns):
    again = Columns.from_json(columns.to_json())
    np.testing.assert_array_equal(again.forward(X)[0], columns.forward(X)[0])


def test_nodes_fill_the_cube():
    nodes = dequantisation_nodes(2)
    assert nodes.min() >= 0
    assert nodes.max() < 1
    # As good as a quadrature: far better than the 0.05 of as many random points.
    assert abs(np.mean(nodes[:, 0] * nodes[:, 1]) - 0.25) < 0.01
    assert abs(np.mean(np.exp(dequantisation_nodes(1))) - (np.e - 1)) < 0.01
