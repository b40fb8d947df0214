"""A field that computes in half precision, with a state and weights of float32."""

import jax
import jax.numpy as jnp
import pytest

import neurode as nd

KEYS = jax.random.split(jax.random.key(0), 3)
WEIGHTS = (jax.random.normal(KEYS[0], (8, 16)) / 3, jax.random.normal(KEYS[1], (16, 8)) / 4)
Y0 = jax.random.normal(KEYS[2], (4, 8))


def field(t, y, weights, dtype):
    w1, w2 = (w.astype(dtype) for w in weights)
    return jnp.tanh(y.astype(dtype) @ w1) @ w2


def value_and_gradient(dtype, tolerance, gradient):
    def loss(weights):
        sol = nd.solve(
            lambda t, y, w: field(t, y, w, dtype), Y0, jnp.array([0.0, 2.0]), (weights,),
            rtol=tolerance, atol=tolerance, gradient=gradient,
        )  # fmt: skip
        return jnp.mean(sol.ys[-1] ** 2), (sol.ys, sol.stats, sol.status)

    return jax.jit(jax.value_and_grad(loss, has_aux=True))(WEIGHTS)


def error(found, exact):
    return float(jnp.linalg.norm(found - exact) / jnp.linalg.norm(exact))


@pytest.fixture(scope="module")
def exact():
    return value_and_gradient(jnp.float32, 1e-6, nd.Checkpointed())


@pytest.mark.parametrize(
    ("dtype", "tolerance", "gradient"),
    [
        (jnp.bfloat16, 1e-2, nd.Checkpointed()),
        (jnp.bfloat16, 1e-3, nd.Backsolve()),
        (jnp.float16, 1e-3, nd.Checkpointed()),
    ],
)
def test_the_error_is_that_of_the_field(exact, dtype, tolerance, gradient):
    allowed = 4 * float(jnp.finfo(dtype).eps)
    (_, (ys, stats, status)), found = value_and_gradient(dtype, tolerance, gradient)
    (_, (exact_ys, _, _)), exact_found = exact
    assert status == nd.Status.SUCCESS
    assert stats.num_f_evals < 100
    assert ys.dtype == jnp.float32
    assert error(ys[-1], exact_ys[-1]) < allowed
    for a, b in zip(found, exact_found, strict=True):
        assert a.dtype == jnp.float32
        assert error(a, b) < allowed


def test_a_tolerance_below_the_precision_of_the_field_costs_steps_but_does_not_stall(exact):
    half = lambda t, y, w: field(t, y, w, jnp.bfloat16)  # noqa: E731
    sol = nd.solve(half, Y0, jnp.array([0.0, 2.0]), (WEIGHTS,), rtol=1e-5, atol=1e-5)
    assert sol.status == nd.Status.SUCCESS
    assert error(sol.ys[-1], exact[0][1][0][-1]) < 1e-2


def test_lanes():
    half = lambda t, y, w: field(t, y, w, jnp.bfloat16)  # noqa: E731

    def one(y0):
        return nd.solve(half, y0, jnp.array([0.0, 2.0]), (WEIGHTS,), rtol=1e-2, atol=1e-2).ys[-1]

    found = jax.jit(jax.vmap(one))(Y0)
    assert found.dtype == jnp.float32
    assert error(found[1], one(Y0[1])) < 1e-2


def test_overflow_of_half_precision_is_a_failure():
    def f(t, y):
        return (y.astype(jnp.float16) * jnp.float16(300)) ** 2

    sol = nd.solve(f, jnp.ones(2), jnp.array([0.0, 1.0]), throw=False)
    assert sol.status != nd.Status.SUCCESS
