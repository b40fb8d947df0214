"""`over_lanes` is `jax.vmap` over the last axis, whatever the function does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from neurode.core.lanes import any_lane, while_any
from neurode.core.lanes_last import compute_once, over_lanes, runtime_one

SIZE = 5
WEIGHTS = np.linspace(-1, 1, 12).reshape(3, 4)


def draw(*shapes):
    rng = np.random.default_rng(0)
    return tuple(jnp.asarray(rng.normal(size=(*shape, SIZE))) for shape in shapes)


def count_up(y):
    def wants(carry):
        return carry[0] < 3 + y[0]

    def body(carry):
        go = wants(carry)
        return jnp.where(go, carry[0] + 1, carry[0]), jnp.where(go, 2 * carry[1], carry[1])

    return while_any(wants, body, (jnp.zeros(()), y))


CASES = {
    "vector times matrix": (lambda y: jnp.tanh(y @ WEIGHTS) @ WEIGHTS.T * 2 + 1, [(3,)]),
    "matrix times vector": (lambda y: WEIGHTS.T @ y, [(3,)]),
    "rows times matrix": (lambda y: y @ WEIGHTS, [(5, 3)]),
    "matrix times rows": (lambda y: WEIGHTS.T @ y, [(3, 5)]),
    "a matrix per lane": (lambda y, m: m @ y, [(3,), (2, 3)]),
    "einsum": (lambda y: jnp.einsum("ij,j,kj->ik", WEIGHTS, jnp.append(y, y[0]), WEIGHTS), [(3,)]),
    "stack": (lambda y, mu: jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]]), [(2,), ()]),
    "reduce": (lambda y: (jnp.sqrt(jnp.mean(y**2)), y.max(0), jnp.cumsum(y, 1)), [(2, 3)]),
    "own entry": (lambda y, i: y[(jnp.abs(i) * 2).astype(int) % 4], [(4,), ()]),
    "own entry of a shared array": (
        lambda i: jnp.arange(4.0)[(jnp.abs(i) * 2).astype(int) % 4],
        [()],
    ),
    "custom derivatives": (lambda y: jax.nn.softplus(y) + jax.nn.relu(y) + jax.nn.gelu(y), [(3,)]),
    "select": (lambda y, c: jnp.where(c > 0, y, 0.0), [(3,), ()]),
    "softmax": (lambda y: jax.nn.softmax(y) * jax.nn.logsumexp(y), [(3,)]),
    "scan": (lambda y: jax.lax.scan(lambda c, x: (c + x * y, c.sum()), y, jnp.arange(3.0)), [(3,)]),
    "linear solve": (lambda y, m: jnp.linalg.solve(m + 3 * jnp.eye(3), y), [(3,), (3, 3)]),
    "one branch for all": (
        lambda y: jax.lax.cond(any_lane(y[0] > 0), lambda: 2 * y, lambda: y),
        [(3,)],
    ),
    "own branch": (lambda y: jax.lax.cond(y[0] > 0, lambda: 2 * y, lambda: y), [(3,)]),
    "turn": (lambda y: jnp.roll(y, 1) + y[::-1] + jnp.pad(y, (1, 2))[:5], [(5,)]),
    "write": (lambda y: y.at[1].set(3.0).at[0].add(y[2]), [(5,)]),
    "sort": (lambda y: (jnp.sort(y), jnp.argmax(y)), [(4,)]),
    "convolve": (
        lambda y: jax.lax.conv(y[None, None], WEIGHTS[None, None, :2, :2], (1, 1), "SAME"),
        [(4, 4)],
    ),
    "complex": (lambda y: jnp.real(jnp.exp(1j * y) * (y + 2j)), [(3,)]),
    "nothing of the lane": (lambda y: (jnp.ones(2), y), [()]),
}


def total(function, *args):
    outs = jax.tree.leaves(function(*args))
    return sum(jnp.sum(jnp.sin(x)) for x in outs if jnp.issubdtype(x.dtype, jnp.inexact))


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_vmap(x64, name):
    function, shapes = CASES[name]
    args = draw(*shapes)
    expected = jax.vmap(function, -1, -1)(*args)
    found = over_lanes(function)(*args)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-12, atol=1e-12), found, expected)
    every = tuple(range(len(args)))
    jax.tree.map(
        lambda a, b: assert_allclose(a, b, rtol=1e-10, atol=1e-12),
        jax.grad(lambda *xs: total(over_lanes(function), *xs), every)(*args),
        jax.grad(lambda *xs: total(jax.vmap(function, -1, -1), *xs), every)(*args),
    )


def test_loops_end_together(x64):
    args = draw((3,))
    found, expected = over_lanes(count_up)(*args), jax.vmap(count_up, -1, -1)(*args)
    jax.tree.map(assert_allclose, found, expected)


def test_lanes_stay_last():
    """A network on many lanes: matrix products and arithmetic, and no array is turned over."""
    text = str(jax.make_jaxpr(over_lanes(CASES["vector times matrix"][0]))(jnp.ones((3, 64))))
    assert "transpose" not in text.replace("transpose(jvp", "")
    assert "[4,64]" in text.replace(" ", "")


def test_shared_weights_get_one_cotangent():
    def loss(weights, y):
        return jnp.sum(over_lanes(lambda y: jnp.tanh(y @ weights))(y))

    text = str(jax.make_jaxpr(jax.grad(loss))(jnp.ones((3, 4)), jnp.ones((3, 64))))
    assert "64,3,4" not in text.replace(" ", "")
    assert "3,4,64" not in text.replace(" ", "")


def test_computing_once_changes_nothing():
    tree = {"a": jnp.array([0.0, -0.0, jnp.inf, jnp.nan, 1e-30]), "b": jnp.arange(3)}
    for first in (jnp.nan, -jnp.inf, 0.0, 3.5):
        found = jax.jit(lambda t, x: compute_once(t, runtime_one(x)))(tree, jnp.array([first, 2.0]))
        assert_allclose(found["a"], tree["a"])
        assert_allclose(found["b"], tree["b"])
