"""Recurrent cells: reading in a loop, with its gradient, is reading step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurode.nn.recurrent import CELLS, read_backwards

STEPS, ROWS, INPUTS, HIDDEN = 5, 3, 2, 4


@pytest.mark.parametrize("kind", CELLS)
def test_the_gradient_of_a_reading(kind):
    keys = jax.random.split(jax.random.key(0), 4)
    cell = CELLS[kind](INPUTS, HIDDEN, key=keys[0])
    xs = jax.random.normal(keys[1], (STEPS, ROWS, INPUTS))
    seen = jax.random.bernoulli(keys[2], 0.6, (STEPS, ROWS))
    weights = jax.random.normal(keys[3], (STEPS, ROWS, HIDDEN))

    def ours(cell, xs):
        return read_backwards(cell, jnp.zeros((ROWS, HIDDEN)), xs, seen)

    def plain(cell, xs):
        h, states = jnp.zeros((ROWS, HIDDEN)), []
        for x, is_seen in zip(xs[::-1], seen[::-1], strict=True):
            h = jnp.where(is_seen[:, None], cell(h, x), h)
            states.append(h)
        return jnp.stack(states[::-1])

    found, wanted = (
        jax.jit(jax.value_and_grad(lambda c, x, f=f: jnp.vdot(weights, f(c, x)), (0, 1)))(cell, xs)
        for f in (ours, plain)
    )
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
