"""Radau IIA beside SciPy's, its kinds of linear systems, and what it carries from step to step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from benchmarks import stiff
from compiling import jit


def test_is_as_accurate_as_scipys_with_as_few_evaluations(x64):
    """Robertson's problem to 1e11."""
    problem = stiff.PROBLEMS["Robertson"]
    ts = [0.0, problem.t1]

    @jit
    def run(rtol):
        return nd.solve(
            problem.f, problem.y0, ts, solver=nd.Radau(), rtol=rtol,
            atol=rtol * problem.atol_share,
        )  # fmt: skip

    for rtol in (1e-4, 1e-6):
        y, evals, jacobians = stiff.by_scipy(problem, "Radau", rtol)
        sol = run(rtol)
        scale = rtol * (problem.atol_share + np.abs(problem.reference))
        error, theirs = (np.abs((x - problem.reference) / scale).max() for x in (sol.ys[-1], y))
        assert error < max(1.5 * theirs, 1e-3)
        assert sol.stats.num_f_evals + sol.stats.num_jacobians < 1.5 * (evals + jacobians)
        assert sol.stats.num_jacobians < 0.7 * sol.stats.num_steps  # they are used again


KINDS = {
    "dense": nd.Dense(),
    "banded": nd.Banded(1, 1),
    "bicgstab": nd.MatrixFree(rtol=1e-10),
}


@pytest.fixture(scope="module")
def rods():
    """Heat in a rod, with a source: two large steps, and the derivative by the source's rate."""

    def f(t, y, rate):
        wide = jnp.pad(y, 1)
        return 49 * (wide[2:] - 2 * y + wide[:-2]) + rate * y**2 * (1 + t)

    def last(rate, kind):
        sol = nd.solve(
            f, jnp.sin(jnp.linspace(0, 3, 7)), [0.0, 0.1, 0.3], (rate,), solver=nd.Radau(kind),
            stepsize=nd.ConstantSteps(2), rtol=1e-12, atol=1e-12,
        )  # fmt: skip
        return jnp.sum(sol.ys[1:] ** 2)

    with jax.enable_x64(True):
        return {
            name: jit(jax.value_and_grad(lambda rate, kind=kind: last(rate, kind)))(2.0)
            for name, kind in KINDS.items()
        }


@pytest.mark.parametrize("kind", ["banded", "bicgstab"])
def test_kinds_of_jacobian_solve_the_same_equations(rods, kind):
    assert_allclose(rods[kind][0], rods["dense"][0], rtol=1e-10)
    assert_allclose(rods[kind][1], rods["dense"][1], rtol=1e-8)


def test_stages_are_predicted_from_the_step_before(x64):
    """Of a cubic, the last step's polynomial is the next one's solution: Newton checks it once."""
    sol = nd.solve(
        lambda t, y: 3 * t**2 + 0 * y, 0.5, [0.0, 0.3, 1.0], solver=nd.Radau(), dense=True,
        stepsize=nd.ConstantSteps(4), rtol=1e-8, atol=1e-8,
    )  # fmt: skip
    assert_allclose(sol.ys, 0.5 + np.array([0.0, 0.3, 1.0]) ** 3, rtol=1e-14)
    assert_allclose(sol(0.6), 0.5 + 0.6**3, rtol=1e-14)
    assert sol.stats.num_jacobians == 1
    # One at the start, twice three in the first step, then three in each.
    assert sol.stats.num_f_evals <= 1 + 6 + 3 * 3


def test_goes_on_where_it_left_off(x64):
    def run(y0, ts, **options):
        return nd.solve(
            lambda t, y: -20 * (y - jnp.cos(3 * t)), y0, ts, solver=nd.Radau(), rtol=1e-6,
            atol=1e-6, **options,
        )  # fmt: skip

    first = run(0.0, [0.0, 1.0])
    anew = run(first.ys[-1], [1.0, 2.0])
    on = run(first.ys[-1], [1.0, 2.0], resume=first.resume)
    assert on.ys[-1] == pytest.approx(float(anew.ys[-1]), abs=1e-6)
    assert on.stats.num_f_evals < anew.stats.num_f_evals


def test_starts_anew_after_a_jump(x64):
    def f(t, y):
        return -1e3 * (y - jnp.where(t < 1, 0.0, 3.0))

    sol = nd.solve(
        f, 1.0, [0.0, 2.0], solver=nd.Radau(), rtol=1e-8, atol=1e-8,
        stepsize=nd.IController(jump_at=[1.0]),
    )  # fmt: skip
    assert sol.ys[-1] == pytest.approx(3.0, abs=1e-8)
