"""Reversible solvers, and the exact gradient in constant memory through them."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit

TS = np.array([0.0, 0.7, 0.7, 1.3, 2.0])
Y0 = np.array([1.0, -0.2])


def field(t, y, rate):
    return jnp.array([y[1], -rate * jnp.sin(y[0]) + 0.3 * jnp.cos(2 * t)])


def loss(y0, rate, ts, **options):
    ys = nd.solve(field, y0, ts, (rate,), **options).ys
    return jnp.sum(jnp.sin(ys) * jnp.arange(1.0, 1 + 2 * len(ts)).reshape(-1, 2))


ADAPTIVE = dict(rtol=1e-5, atol=1e-7, max_steps=1024)
CASES = {
    "1000 steps": (nd.ReversibleRK(nd.Bosh3()), dict(stepsize=nd.ConstantSteps(1000))),
    "adaptive": (nd.ReversibleRK(nd.Bosh3(), coupling=0.99), ADAPTIVE),
    "asynchronous leapfrog": (nd.AsynchronousLeapfrog(), dict(stepsize=nd.ConstantSteps(50))),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_direct_gradient(x64, name):
    """The same discretisation, with respect to the state, a parameter and all times."""
    solver, options = CASES[name]
    # The tape's gradient is the same (test_discretisation), and compiles in a third of the time.
    direct = nd.Direct() if name == "1000 steps" else nd.Checkpointed()
    exact, found = (
        jit(jax.grad(functools.partial(loss, solver=solver, gradient=g, **options), (0, 1, 2)))
        for g in (direct, nd.Reversible())
    )
    for a, b in zip(found(Y0, 1.7, TS), exact(Y0, 1.7, TS), strict=True):
        assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def temporaries(count):
    def last(y0):
        ts, stepsize = np.array([0.0, 5.0]), nd.ConstantSteps(count)
        options = dict(solver=nd.ReversibleRK(nd.Bosh3()), gradient=nd.Reversible())
        return nd.solve(field, y0, ts, (1.0,), stepsize=stepsize, **options).ys[-1].sum()

    return jit(jax.grad(last)).lower(Y0).compile().memory_analysis().temp_size_in_bytes


def test_memory_does_not_grow_with_the_steps(x64):
    assert temporaries(100) == temporaries(10_000)


def test_a_symmetric_composition_is_reversible(x64):
    pendulum = nd.Hamiltonian(lambda t, p: p, lambda t, q: jnp.sin(q))

    def angle(q, gradient):
        options = dict(solver=nd.ForestRuth(), stepsize=nd.ConstantSteps(40), gradient=gradient)
        return nd.solve(pendulum, (q, 0.0), np.array([0.0, 3.0]), **options).ys[0][-1]

    exact, found = (jax.grad(angle)(1.0, g) for g in (nd.Checkpointed(), nd.Reversible()))
    assert_allclose(found, exact, rtol=1e-12)
    assert not nd.Ruth3().is_reversible


def test_a_way_back_that_misses_warns():
    """In float32 a coupling of 0.5 doubles rounding errors in each of 60 steps."""

    def run(coupling):
        solver, stepsize = nd.ReversibleRK(nd.Midpoint(), coupling), nd.ConstantSteps(60)
        options = dict(solver=solver, stepsize=stepsize, gradient=nd.Reversible())
        jax.grad(functools.partial(loss, **options))(jnp.float32(Y0), 1.7, np.float32(TS))
        jax.effects_barrier()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(0.99)
    with pytest.warns(RuntimeWarning, match=r"missed y0 by .* times the tolerance.*Checkpointed"):
        run(0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": nd.Tsit5()}, r"Tsit5\(\) is not one: use solver=nd.ReversibleRK\(nd.Tsit5\(\)"),
        ({"solver": nd.Kvaerno3()}, r"Kvaerno3\(\) is not one.*ReversibleRK.*Checkpointed\(\)"),
        ({"dense": True}, r"cannot differentiate dense output.*Checkpointed\(\)"),
        ({"stepsize": nd.IController(jump_at=[0.5])}, r"jump_at.*step_at"),
    ],
)
def test_what_cannot_be_undone_is_refused(options, message):
    options = {"solver": nd.ReversibleRK(), "gradient": nd.Reversible()} | options
    with pytest.raises(ValueError, match=message):
        nd.solve(field, Y0, TS, (1.7,), **options)


def test_options_are_checked():
    with pytest.raises(TypeError, match="explicit Runge-Kutta"):
        nd.ReversibleRK(nd.Kvaerno3())
    with pytest.raises(ValueError, match=r"coupling.*\(0, 1\]"):
        nd.ReversibleRK(nd.Tsit5(), coupling=0.0)
    with pytest.raises(ValueError, match=r"damping.*0\.5"):
        nd.AsynchronousLeapfrog(damping=0.5)
