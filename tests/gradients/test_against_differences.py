"""Gradients against differences of far more accurate solves: the numbers promised to users.

In double precision, solving to 1e-9: relative error at most 1e-6 for Direct and Checkpointed,
1e-5 for Backsolve, with respect to every kind of input.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from compiling import jit
from gradients.losses import (
    MAX_ERROR,
    STRATEGIES,
    TIMES,
    WEIGHTS,
    differences,
    errors,
    inputs,
    loss,
    reference_loss,
)

SHARED = ("args", "closure", "module")


@functools.cache
def expected():
    """One gradient per row of TIMES, stacked."""
    perturbed = jit(jax.vmap(reference_loss))
    with jax.enable_x64(True):
        found = [differences(perturbed, inputs() | {"ts": jnp.asarray(ts)}) for ts in TIMES]
        return jax.tree.map(lambda *xs: jnp.stack(xs), *found)


@functools.cache
def gradient(strategy):
    return jit(jax.grad(functools.partial(loss, gradient=STRATEGIES[strategy])))


@functools.cache
def single(strategy):
    """The same shape, solve by solve."""
    with jax.enable_x64(True):
        found = [gradient(strategy)(inputs() | {"ts": jnp.asarray(ts)}) for ts in TIMES]
        return jax.tree.map(lambda *xs: jnp.stack(xs), *found)


def check(strategy, found, wanted):
    for name, error in errors(found, wanted).items():
        assert error <= MAX_ERROR[strategy], (name, error)


def lanes():
    """Inputs for every row of TIMES: y0 and ts per lane, the rest shared."""
    p = inputs()
    batched = {"y0": jnp.tile(p["y0"], (len(TIMES), 1)), "ts": jnp.asarray(TIMES)}
    return batched, {name: p[name] for name in SHARED}


@pytest.mark.parametrize("row", range(len(TIMES)))
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gradient(x64, strategy, row):
    pick = functools.partial(jax.tree.map, lambda x: x[row])
    check(strategy, pick(single(strategy)), pick(expected()))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_vmap_of_grad(x64, strategy):
    batched, shared = lanes()
    one = jax.grad(functools.partial(loss, gradient=STRATEGIES[strategy]))
    found = jit(jax.vmap(lambda batched: one(batched | shared)))(batched)
    check(strategy, found, expected())
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(single(strategy)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)  # lanes change nothing


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_grad_of_vmap(x64, strategy):
    batched, shared = lanes()

    def total(batched, shared):
        one = functools.partial(loss, gradient=STRATEGIES[strategy])
        return jnp.sum(jax.vmap(lambda b: one(b | shared))(batched))

    of_batched, of_shared = jit(jax.grad(total, (0, 1)))(batched, shared)
    wanted = expected()
    check(strategy, of_batched, {name: wanted[name] for name in batched})
    check(strategy, of_shared, {name: wanted[name].sum(0) for name in SHARED})


@pytest.mark.parametrize("row", range(len(TIMES)))
def test_checkpointed_and_direct_differentiate_the_same_discretisation(x64, row):
    pick = functools.partial(jax.tree.map, lambda x: x[row])
    found = errors(pick(single("Checkpointed")), pick(single("Direct")))
    assert max(found.values()) < 1e-11, found


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_empty_interval_has_the_derivatives_of_the_flow(x64, strategy):
    """ts all equal: dy/dts_i is f for i > 0, minus the sum of these for t0, and nothing else."""
    p = inputs() | {"ts": jnp.asarray(TIMES[-1])}
    found = gradient(strategy)(p)
    z, x = p["y0"][0] + 1j * p["y0"][1], p["y0"][2:]
    t = TIMES[-1, 0]
    dz = (1j * p["args"] - 0.3) * z + 0.2 * x[0] * np.cos(t)
    dx = np.tanh(p["module"] @ x) * z.real + p["closure"] * np.sin(3 * t)
    slopes = np.array([dz.real, 2 * z.imag * dz.imag, dx[0], np.cos(x[1]) * dx[1]])
    np.testing.assert_allclose(found["ts"][1:], WEIGHTS[1:] @ slopes, rtol=1e-12)
    np.testing.assert_allclose(found["ts"][0], -np.sum(WEIGHTS[1:] @ slopes), rtol=1e-12)
    for name in SHARED:
        assert (found[name] == 0).all()
