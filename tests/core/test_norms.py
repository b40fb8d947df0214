"""Norms over pytrees, and the scaled norm that ignores what is not controlled."""

import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

import neurode as nd
from neurode.core.norms import Tolerance, scaled_norm

TREE = {"a": jnp.array([3.0, -4.0]), "b": (jnp.array([[12j]]), jnp.zeros((0,)))}


def test_norms_go_over_all_entries_of_all_leaves():
    assert_allclose(nd.rms_norm(TREE), np.sqrt((9 + 16 + 144) / 3))
    assert nd.max_norm(TREE) == 12
    assert nd.rms_norm(TREE).dtype == nd.max_norm(TREE).dtype == jnp.float32


def test_norms_of_half_precision_are_taken_in_single():
    values = jnp.full(10_000, 1 / 64, jnp.bfloat16)
    assert nd.rms_norm(values).dtype == jnp.float32
    assert_allclose(nd.rms_norm(values), 1 / 64, rtol=1e-2)


def test_scale_is_the_error_that_is_tolerated():
    tolerance = Tolerance({"y": jnp.float32(0.1)}, {"y": jnp.array([1.0, 2.0])})
    scale = tolerance.scale({"y": jnp.array([1.0, -30.0])}, {"y": jnp.array([-5.0, 3.0])})
    assert_allclose(scale["y"], [1 + 0.1 * 5, 2 + 0.1 * 30])


def test_entries_of_infinite_scale_do_not_count():
    error = {"y": jnp.array([3.0, 4.0]), "q": jnp.full(100, 1e20)}
    scale = {"y": jnp.ones(2), "q": jnp.full(100, jnp.inf)}
    assert_allclose(scaled_norm(error, scale, None), np.sqrt(25 / 2))
    assert scaled_norm(error, scale, nd.max_norm) == 4
    nothing = {"q": jnp.full(3, jnp.inf)}
    assert scaled_norm({"q": jnp.ones(3)}, nothing, None) == 0


def test_nan_is_never_lost():
    for bad in (jnp.nan, jnp.inf):
        error = {"y": jnp.array([0.0, bad]), "q": jnp.array(bad)}
        scale = {"y": jnp.ones(2), "q": jnp.array(jnp.inf)}
        assert not np.isfinite(scaled_norm(error, scale, None))
        only_q = {"y": jnp.zeros(2), "q": jnp.array(bad)}
        assert np.isnan(scaled_norm(only_q, scale, None))
