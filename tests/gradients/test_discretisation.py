"""Direct and Checkpointed give the exact derivative of the steps that were taken."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit
from gradients.losses import differences, errors

EXACT = {"Direct": nd.Direct(), "Checkpointed": nd.Checkpointed()}


def field(t, y, rate):
    return jnp.array([y[1], -rate * jnp.sin(y[0]) + 0.3 * jnp.cos(2 * t)])


def inputs(ts=(0.1, 0.45, 1.2, 2.0)):
    """For 5 equal steps from 0.1 to 2.0: no time lies near the end of a step."""
    return {"y0": jnp.array([1.0, -0.2]), "args": jnp.array(1.7), "ts": jnp.array(ts)}


def by_rows(p, **options):
    sol = nd.solve(field, p["y0"], p["ts"], (p["args"],), **options)
    return jnp.sum(
        jnp.sin(sol.ys * jnp.array([1.0, 2.0])) * (1 + jnp.arange(len(p["ts"])))[:, None]
    )


def by_dense_output(p, **options):
    """At times that move with t0 and t1, and at fixed ones."""
    sol = nd.solve(field, p["y0"], p["ts"], (p["args"],), dense=True, **options)
    t0, t1 = p["ts"][0], p["ts"][-1]
    at = jnp.stack([t0, t1, 0.7 * t0 + 0.3 * t1, jnp.array(0.6), jnp.array(1.4)])
    return jnp.sum(jnp.sin(sol(at)) * jnp.arange(1.0, 6.0)[:, None])


def by_save(p, **options):
    """save closes over what is differentiated, and sees the time."""
    sol = nd.solve(
        field, p["y0"], p["ts"], (p["args"],),
        save=lambda t, y: {"a": p["args"] * y[0] * t**2, "b": (y[1] ** 2,)}, **options,
    )  # fmt: skip
    return jnp.sum(sol.ys["a"]) + jnp.sum(jnp.sin(sol.ys["b"][0]))


# Fixed steps: the solve is a smooth function of its inputs, so that differences of the very same
# computation are its derivative.
FIXED = {
    "rows": (by_rows, dict(solver=nd.Midpoint(), stepsize=nd.ConstantSteps(5))),
    "two times": (by_rows, dict(solver=nd.Bosh3(), stepsize=nd.ConstantSteps(5))),
    "dense": (by_dense_output, dict(solver=nd.Heun(), stepsize=nd.ConstantSteps(5))),
    "grid": (
        by_save,
        dict(solver=nd.HeunEuler(), stepsize=nd.StepTo((0.3, 0.9, 1.7)), max_steps=16),
    ),
}


@pytest.mark.parametrize("name", FIXED)
def test_fixed_steps(x64, name):
    loss, options = FIXED[name]
    p = inputs((0.1, 2.0)) if name in ("two times", "dense") else inputs()
    function = jit(jax.vmap(functools.partial(loss, **options)))
    expected = differences(function, p, step=1e-3)
    found = {
        strategy: jit(jax.grad(functools.partial(loss, gradient=gradient, **options)))(p)
        for strategy, gradient in EXACT.items()
    }
    for strategy, gradient in found.items():
        assert max(errors(gradient, expected).values()) < 1e-8, (strategy, gradient, expected)
    assert max(errors(found["Checkpointed"], found["Direct"]).values()) < 1e-12


# -- adaptive steps: against far more accurate solves ----------------------------------------------


def at_one_time(p, t):
    ts = jnp.stack([p["ts"][0], t])
    options = dict(solver=nd.Dopri8(), rtol=1e-12, atol=1e-12)
    return nd.solve(field, p["y0"], ts, (p["args"],), **options).ys[-1]


def exact_dense(p):
    t0, t1 = p["ts"][0], p["ts"][-1]
    at = jnp.stack([t0, t1, 0.7 * t0 + 0.3 * t1, jnp.array(0.6), jnp.array(1.4)])
    return jnp.sum(
        jnp.sin(jax.vmap(lambda t: at_one_time(p, t))(at)) * jnp.arange(1.0, 6.0)[:, None]
    )


def test_dense_output_of_adaptive_steps(x64):
    p = inputs((0.1, 2.0))
    options = dict(rtol=1e-9, atol=1e-9, max_steps=64)
    found = jit(jax.grad(functools.partial(by_dense_output, **options)))(p)
    expected = differences(jit(jax.vmap(exact_dense)), p)
    assert max(errors(found, expected).values()) < 1e-6


JUMP = 0.8


@functools.cache
def across_a_jump():
    def exact(p):
        """The pieces before and after the jump, each smooth."""
        options = dict(solver=nd.Dopri8(), rtol=1e-12, atol=1e-12)
        t0, t1 = p["ts"][0], p["ts"][-1]
        args = (p["args"],)
        y = nd.solve(field, p["y0"], jnp.stack([t0, jnp.array(JUMP)]), args, **options).ys[-1]
        pushed = lambda t, y, rate: field(t, y, rate) + jnp.array([0.0, 5.0 * rate])  # noqa: E731
        y = nd.solve(pushed, y, jnp.stack([jnp.array(JUMP), t1]), args, **options).ys[-1]
        return jnp.sum(jnp.sin(y))

    return differences(jit(jax.vmap(exact)), inputs((0.1, 2.0)))


@pytest.mark.parametrize("strategy", [*EXACT, "Backsolve"])
def test_jumps(x64, strategy):
    def loss(p):
        def pushed(t, y, rate):
            return field(t, y, rate) + jnp.array([0.0, 5.0 * rate]) * (t >= JUMP)

        sol = nd.solve(
            pushed, p["y0"], p["ts"], (p["args"],), rtol=1e-9, atol=1e-9, max_steps=64,
            stepsize=nd.IController(jump_at=[JUMP]),
            gradient=EXACT.get(strategy, nd.Backsolve()),
        )  # fmt: skip
        return jnp.sum(jnp.sin(sol.ys[-1]))

    found = jit(jax.grad(loss))(inputs((0.1, 2.0)))
    assert max(errors(found, across_a_jump()).values()) < 1e-6


# -- derivatives beyond the first in reverse -------------------------------------------------------


def test_direct_has_forward_mode_and_second_derivatives(x64):
    options = dict(solver=nd.HeunEuler(), stepsize=nd.ConstantSteps(4), gradient=nd.Direct())

    def loss(v):
        return by_rows({"y0": v[:2], "args": v[2], "ts": jnp.stack([v[3], v[4], v[5]])}, **options)

    v = jnp.array([1.0, -0.2, 1.7, 0.1, 0.9, 2.0])
    gradient = jit(jax.grad(loss))
    assert_allclose(jit(jax.jacfwd(loss))(v), gradient(v), rtol=1e-12)
    hessian = jit(jax.hessian(loss))(v)
    assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-10)
    step = 1e-4
    columns = [(gradient(v + step * e) - gradient(v - step * e)) / (2 * step) for e in np.eye(6)]
    assert_allclose(hessian, np.stack(columns, 1), rtol=1e-5, atol=1e-6)


def test_jacobians_need_only_one_strategy(x64):
    """jacrev batches the cotangents alone; jacfwd the tangents."""

    def rows(y0, gradient):
        ts = jnp.array([0.0, 0.5, 1.0])
        return nd.solve(
            field, y0, ts, (1.7,), solver=nd.HeunEuler(), rtol=1e-3, gradient=gradient
        ).ys

    y0 = jnp.array([1.0, -0.2])
    forward = jit(jax.jacfwd(functools.partial(rows, gradient=nd.Direct())))(y0)
    reverse = jit(jax.jacrev(functools.partial(rows, gradient=nd.Checkpointed())))(y0)
    assert forward.shape == (3, 2, 2)
    assert_allclose(forward[0], np.eye(2))
    assert_allclose(reverse, forward, rtol=1e-11)


@pytest.mark.parametrize("strategy", [nd.Checkpointed(), nd.Backsolve()])
def test_forward_mode_is_refused_in_words(strategy):
    def last(y0):
        return nd.solve(field, y0, [0.0, 1.0], (1.7,), gradient=strategy).ys[-1]

    with pytest.raises(TypeError, match=r"Direct\(\)"):
        jax.jacfwd(last)(jnp.array([1.0, -0.2]))
