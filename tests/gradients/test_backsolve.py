"""The continuous adjoint: what it costs, what it depends on, what it refuses."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit
from gradients.losses import differences, errors


def field(t, y, rate):
    return jnp.array([y[1], -rate * jnp.sin(y[0]) + 0.3 * jnp.cos(2 * t)])


def loss(p, **options):
    sol = nd.solve(field, p["y0"], p["ts"], (p["args"],), **options)
    weights = 1 + jnp.arange(len(p["ts"]))
    return jnp.sum(jnp.sin(sol.ys * jnp.array([1.0, 2.0])) * weights[:, None])


def inputs():
    return {
        "y0": jnp.array([1.0, -0.2]),
        "args": jnp.array(1.7),
        "ts": jnp.array([0.1, 0.45, 1.2, 2.0]),
    }


@functools.cache
def expected():
    tight = functools.partial(loss, solver=nd.Dopri8(), rtol=1e-12, atol=1e-12)
    with jax.enable_x64(True):
        return differences(jit(jax.vmap(tight)), inputs())


FIXED = {
    "equal steps": (nd.Backsolve(), nd.ConstantSteps(100)),
    "grid": (nd.Backsolve(), nd.StepTo(tuple(np.linspace(0.1, 2.0, 101)))),
    "adaptive after fixed": (nd.Backsolve(solver=nd.Tsit5()), nd.ConstantSteps(100)),
}


@pytest.mark.parametrize("name", FIXED)
def test_fixed_steps(x64, name):
    """RK4, 100 steps of 0.019: h^4 = 1.3e-7."""
    gradient, stepsize = FIXED[name]
    one = functools.partial(loss, solver=nd.RK4(), stepsize=stepsize, gradient=gradient)
    found = jit(jax.grad(one))(inputs())
    assert max(errors(found, expected()).values()) < 1e-6


def test_the_adjoint_has_its_own_solver_tolerances_and_norm(x64):
    """The forward solve is the same for all, so that only the adjoint's accuracy shows."""

    def run(gradient):
        def last(y0, probe):
            sol = nd.solve(
                field, y0, np.array([0.0, 5.0]), (1.7,), solver=nd.Bosh3(), rtol=1e-6, atol=1e-6,
                probe=probe, gradient=gradient,
            )  # fmt: skip
            return jnp.sum(jnp.sin(sol.ys[-1]))

        return jit(jax.grad(last, (0, 1)))(inputs()["y0"], 0.0)

    exact, by_another = run(nd.Backsolve(rtol=1e-12, atol=1e-12, solver=nd.Dopri8()))
    by_default, many = run(nd.Backsolve())
    loose, few = run(nd.Backsolve(rtol=1e-3, atol=1e-3))
    strict, more = run(nd.Backsolve(norm=lambda error: 100 * nd.max_norm(error)))
    assert few < many < more
    assert by_another not in (few, many, more)
    size = [np.abs(found - exact).max() for found in (strict, by_default, loose)]
    assert size[0] < size[1] < 1e-4 < size[2] < 1e-1


@pytest.mark.parametrize("count", [1, 100_000])
def test_steps_do_not_depend_on_the_number_of_parameters(x64, count):
    """In the paper's augmented system the parameters' share of the state sets the step size."""

    def last(y0, weights, unused, probe):
        sol = nd.solve(
            lambda t, y, w, unused: -jnp.sin(jnp.mean(w) * y) * jnp.cos(t), y0,
            np.array([0.0, 1.0, 3.0]), (weights, unused), rtol=1e-7, atol=1e-7,
            gradient=nd.Backsolve(), probe=probe, solver=nd.Bosh3(),
        )  # fmt: skip
        return jnp.sum(sol.ys[-1])

    args = (jnp.array([1.0, 2.0]), jnp.full(count, 1.5), jnp.ones(count), 0.0)
    of_y0, of_weights, of_unused, evaluations = jit(jax.grad(last, (0, 1, 2, 3)))(*args)
    assert evaluations == 578
    assert_allclose(of_y0, [0.96378694, 1.2325018], rtol=1e-5)
    assert_allclose(of_weights.sum(), 0.28628688, rtol=1e-5)
    assert (of_unused == 0).all()


def test_memory_does_not_grow_with_the_steps():
    def temporaries(max_steps):
        def last(y0):
            sol = nd.solve(
                lambda t, y: -jnp.sin(y), y0, [0.0, 1.0], solver=nd.HeunEuler(),
                max_steps=max_steps, gradient=nd.Backsolve(),
            )  # fmt: skip
            return sol.ys[-1].sum()

        compiled = jit(jax.grad(last)).lower(jnp.zeros(1000)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporaries(10) == temporaries(100_000)


def test_dense_output_is_refused():
    with pytest.raises(ValueError, match=r"Backsolve\(\).*Checkpointed\(\)"):
        nd.solve(field, jnp.ones(2), [0.0, 1.0], (1.0,), gradient=nd.Backsolve(), dense=True)


def test_an_adjoint_that_cannot_choose_its_steps_is_refused():
    gradient = nd.Backsolve(solver=nd.Euler())
    with pytest.raises(ValueError, match=r"Euler.*error estimate"):
        nd.solve(field, jnp.ones(2), [0.0, 1.0], (1.0,), gradient=gradient)


def test_options_are_checked():
    with pytest.raises(TypeError, match="solver"):
        nd.Backsolve(solver="dopri5")
    with pytest.raises(TypeError, match=r"Tsit5\(\)"):
        nd.Backsolve(solver=nd.Tsit5)
    for name in ("rtol", "atol"):
        for value in (-1e-3, float("nan")):
            with pytest.raises(ValueError, match=rf"{name}.*{value}"):
                nd.Backsolve(**{name: value})
    for value in (0, -5):
        with pytest.raises(ValueError, match=rf"max_memory.*{value}"):
            nd.Checkpointed(max_memory=value)
