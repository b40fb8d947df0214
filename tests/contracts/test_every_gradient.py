"""The laws that every gradient strategy keeps, with fixed and with adaptive steps."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd

GRADIENTS = {
    "Direct": nd.Direct(),
    "Checkpointed": nd.Checkpointed(),
    "Checkpointed, 2 slots": nd.Checkpointed(max_memory=64),
    "Backsolve": nd.Backsolve(),
}
STEPSIZES = {
    "adaptive": nd.IController(),
    "ConstantSteps": nd.ConstantSteps(40),
    "StepTo": nd.StepTo(np.linspace(0.0, 1.0, 41)),
}
TS = np.array([0.0, 0.3, 1.0])


@pytest.fixture(params=GRADIENTS)
def gradient(request):
    return GRADIENTS[request.param]


def solve(gradient, y0, ts, a, stepsize=STEPSIZES["adaptive"], **options):
    return nd.solve(
        lambda t, y: -a * y * jnp.cos(t), y0, ts, gradient=gradient, stepsize=stepsize,
        rtol=1e-9, atol=1e-9, max_steps=256, **options,
    )  # fmt: skip


def exact_loss(y0, ts, a):
    ys = y0 * jnp.exp(-a * (jnp.sin(ts) - jnp.sin(ts[0])))[:, None]
    return jnp.sum(ys.at[0].set(y0) ** 3)


def test_is_a_frozen_value(gradient):
    assert pickle.loads(pickle.dumps(gradient)) == gradient
    assert hash(gradient) == hash(pickle.loads(pickle.dumps(gradient)))
    with pytest.raises(AttributeError):
        gradient.solver = None


@pytest.mark.parametrize("stepsize", STEPSIZES)
def test_the_gradient_is_right(gradient, stepsize, x64):
    def loss(y0, ts, a):
        return jnp.sum(solve(gradient, y0, ts, a, STEPSIZES[stepsize]).ys ** 3)

    y0, a = jnp.array([1.0, -0.5]), 1.5
    got = jax.jit(jax.grad(loss, (0, 1, 2)))(y0, jnp.array(TS), a)
    expected = jax.grad(exact_loss, (0, 1, 2))(y0, jnp.array(TS), a)
    for x, y in zip(got, expected, strict=True):
        assert_allclose(x, y, rtol=1e-6, atol=1e-7)


def test_values_do_not_depend_on_the_strategy(gradient, x64):
    ys = solve(gradient, jnp.array([1.0, -0.5]), TS, 1.5).ys
    assert_allclose(ys, solve(nd.Direct(), jnp.array([1.0, -0.5]), TS, 1.5).ys, rtol=1e-15)


def test_what_does_not_matter_has_a_zero_gradient(gradient, x64):
    slope = jax.grad(lambda a, b: jnp.sum(solve(gradient, jnp.ones(1), TS, a).ys[0]) + 0 * b)
    assert slope(1.5, 2.0) == 0


def test_lanes_are_independent(gradient, x64):
    def slope(y0, a):
        return jax.grad(lambda a: jnp.sum(solve(gradient, y0, TS, a).ys[-1]))(a)

    y0, a = jnp.array([[1.0], [2.0], [-1.0]]), jnp.array([0.5, 1.5, 30.0])
    lanes = jax.jit(jax.vmap(slope))(y0, a)
    assert_allclose(lanes, [slope(y0[i], a[i]) for i in range(3)], rtol=1e-9)


def test_what_a_strategy_cannot_do_is_refused_in_words():
    with pytest.raises(ValueError, match=r"Backsolve.*dense.*Checkpointed\(\) or Direct\(\)"):
        nd.solve(lambda t, y: -y, 1.0, [0.0, 1.0], gradient=nd.Backsolve(), dense=True)
    with pytest.raises(ValueError, match=r"Euler\(\)\) has no error estimate"):
        nd.solve(lambda t, y: -y, 1.0, [0.0, 1.0], gradient=nd.Backsolve(solver=nd.Euler()))
    for gradient in (nd.Checkpointed(), nd.Backsolve()):
        with pytest.raises(TypeError, match=r"no forward mode.*Direct\(\)"):
            jax.jacfwd(lambda a: solve(gradient, jnp.ones(1), TS, a).ys[-1])(1.5)  # noqa: B023
    with pytest.raises(ValueError, match="max_memory must be a positive number of bytes, got 0"):
        nd.Checkpointed(max_memory=0)
