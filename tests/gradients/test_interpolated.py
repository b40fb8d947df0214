"""The continuous adjoint along the stored solution: every input, failures, stable where Backsolve
is not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit
from gradients.losses import TIMES, errors, inputs, loss


def test_with_respect_to_every_input(x64):
    """A pytree of complex and real leaves; save times spread, backwards, repeated, all the same."""
    found = jit(jax.grad(functools.partial(loss, gradient=nd.Interpolated())))
    exact = jit(jax.grad(functools.partial(loss, gradient=nd.Checkpointed(), rtol=1e-11)))
    for ts in TIMES:
        p = inputs() | {"ts": jnp.asarray(ts)}
        for name, error in errors(found(p), exact(p)).items():
            assert error < 1e-5, (name, error, ts)


Y0 = np.array([0.5, 0.3])


def forgets(t, y, rate):
    """The first component forgets its past at once, the second remembers it."""
    return jnp.stack([-rate * (y[0] - jnp.cos(t)), y[0] * jnp.sin(y[1])])


def test_it_holds_where_the_backward_solve_is_unstable(x64):
    """Backwards, an error of the first component grows by exp(30)."""

    def last(rate, gradient):
        ts = np.array([0.0, 1.0])
        options = dict(rtol=1e-6, atol=1e-8, max_steps=512, gradient=gradient)
        return nd.solve(forgets, Y0, ts, (rate,), **options).ys[-1, 1]

    exact = jit(jax.grad(functools.partial(last, gradient=nd.Checkpointed())))(30.0)
    stable = jit(jax.grad(functools.partial(last, gradient=nd.Interpolated())))(30.0)
    drifts = jit(jax.grad(functools.partial(last, gradient=nd.Backsolve())))(30.0)
    assert abs(stable / exact - 1) < 1e-3
    assert not abs(drifts / exact - 1) < 1


def test_a_lost_row_and_an_idle_lane(x64):
    """y' = a y^2 blows up in the second lane: nothing of it when masked, NaN when not."""

    def total(rate, mask):
        def lane(y0):
            options = dict(solver=nd.HeunEuler(), max_steps=64, gradient=nd.Interpolated())
            return nd.solve(lambda t, y, a: a * y**2, y0, [0.0, 2.0], (rate,), **options).ys[-1]

        ys = jax.vmap(lane)(jnp.array([0.2, 1.0]))
        return jnp.sum(jnp.where(mask, ys, 0.0))

    gradient = jit(jax.grad(total))
    exact = 2 * 0.2**2 / (1 - 0.4) ** 2
    assert_allclose(gradient(1.0, np.array([True, False])), exact, rtol=1e-2)
    assert np.isnan(gradient(1.0, np.array([True, True])))


def test_what_it_refuses():
    with pytest.raises(ValueError, match=r"windows.*at least 2, got 1"):
        nd.Interpolated(windows=1)
    with pytest.raises(ValueError, match=r"Interpolated\(rtol=...\).*-1"):
        nd.Interpolated(rtol=-1.0)
    options = dict(solver=nd.BDF(), dense=True, gradient=nd.Interpolated(solver=nd.Tsit5()))
    with pytest.raises(ValueError, match=r"dense output of BDF"):
        nd.solve(forgets, Y0, [0.0, 1.0], (1.0,), **options)

    def last(rate):
        return nd.solve(forgets, Y0, [0.0, 1.0], (rate,), gradient=nd.Interpolated()).ys[-1, 1]

    with pytest.raises(TypeError, match=r"Interpolated\(\).*Direct\(\)"):
        jax.jvp(jax.grad(last), (1.0,), (1.0,))
