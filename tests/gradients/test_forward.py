"""Forward mode, and derivatives of second order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit


def pendulum(t, y, rate):
    return jnp.array([y[1], -rate * jnp.sin(y[0])])


def loss(v, gradient):
    """v: the initial state, the squared frequency, t0, a time between, and t1."""
    return loss_at(v[3:], v[:3], gradient)


def loss_at(ts, v, gradient):
    sol = nd.solve(
        pendulum, v[:2], ts, (v[2],), rtol=1e-10, atol=1e-10, gradient=gradient, max_steps=256
    )
    return jnp.sum(jnp.sin(sol.ys) * jnp.arange(1.0, 7.0).reshape(3, 2))


V = np.array([1.0, -0.2, 1.7, 0.1, 0.9, 2.0])


@functools.cache
def gradient():
    return jit(jax.grad(functools.partial(loss, gradient=nd.Checkpointed())))


def test_forward_mode_is_exact(x64):
    """The same discretisation as reverse mode differentiates, also along lanes of tangents."""
    forward = functools.partial(loss, gradient=nd.Forward())
    assert_allclose(jit(jax.jacfwd(forward))(V), gradient()(V), rtol=1e-11)


def test_second_derivatives_of_a_pendulum_against_differences(x64):
    """Forward over reverse through the tape: the initial state, a parameter and all times."""
    taped = functools.partial(loss, gradient=nd.Checkpointed())
    hessian = jit(jax.jacfwd(jax.grad(taped)))(V)
    step = 1e-3
    weights = ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12))
    columns = [sum(w * gradient()(V + k * step * e) for k, w in weights) / step for e in np.eye(6)]
    assert_allclose(hessian, np.stack(columns, 1), rtol=1e-6, atol=1e-6 * np.abs(hessian).max())
    assert_allclose(hessian, hessian.T, atol=1e-6 * np.abs(hessian).max())


def test_times_have_second_derivatives_where_they_have_no_first(x64):
    """Forward mode in the times over a gradient that was not asked for them."""
    taped = functools.partial(loss_at, gradient=nd.Checkpointed())
    mixed = jit(jax.jacfwd(jax.grad(taped, 1), 0))(V[3:], V[:3])
    direct = functools.partial(loss_at, gradient=nd.Direct())
    assert_allclose(mixed, jit(jax.jacfwd(jax.grad(direct, 1), 0))(V[3:], V[:3]), rtol=1e-10)


def test_what_has_no_such_derivative_says_so():
    with pytest.raises(TypeError, match=r"Forward\(\) has forward mode only.*Checkpointed\(\)"):
        jax.grad(functools.partial(loss, gradient=nd.Forward()))(jnp.asarray(V))
    taped = functools.partial(loss, gradient=nd.Checkpointed())
    with pytest.raises(TypeError, match=r"Checkpointed\(\).*jacfwd.*Direct\(\)"):
        jax.grad(lambda v: jax.grad(taped)(v)[0])(jnp.asarray(V))
    with pytest.raises(TypeError, match="probe"):
        nd.solve(pendulum, V[:2], [0.0, 1.0], (1.0,), gradient=nd.Forward(), probe=0.0)
