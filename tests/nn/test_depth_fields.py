"""Weights as polynomials in depth."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.polynomial import legendre

from neurode.nn import DepthVarying, MLPField
from neurode.nn.depth_fields import evaluate_legendre


def test_polynomials_are_legendre():
    s = np.linspace(-1, 1, 7)
    found = jax.vmap(lambda s: evaluate_legendre(s, 4))(jnp.asarray(s))
    np.testing.assert_allclose(found, legendre.legvander(s, 4), atol=1e-6)
    assert evaluate_legendre(jnp.asarray(0.3), 0).shape == (1,)


def test_it_starts_as_the_field_and_then_varies():
    field = MLPField(2, (3,), key=jax.random.key(0))
    varying = DepthVarying(field, 2)
    y = jnp.array([[1.0, -2.0]])
    for t in (0.0, 0.7):
        np.testing.assert_allclose(varying(jnp.asarray(t), y), field(t, y), rtol=1e-6)
    bias = varying.coefficients.layers[-1].bias
    assert bias.shape == (3, 2)
    turned = eqx.tree_at(lambda f: f.coefficients.layers[-1].bias, varying, bias.at[1].set(5.0))
    moved = turned(jnp.asarray(1.0), y) - turned(jnp.asarray(0.0), y)
    np.testing.assert_allclose(moved, [[10.0, 10.0]], rtol=1e-5)  # P1(1) - P1(-1) = 2
