"""Steps that are fixed beforehand."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import neurode as nd


def field(t, y):
    return jnp.array([y[1], -y[0] + jnp.cos(t)])


def rk4(y, times):
    """The classical method in NumPy, along a grid."""
    rows = [np.asarray(y)]

    def f(t, y):
        return np.array([y[1], -y[0] + np.cos(t)])

    for t, t_next in zip(times[:-1], times[1:], strict=True):
        h, y = t_next - t, rows[-1]
        k1 = f(t, y)
        k2 = f(t + h / 2, y + h / 2 * k1)
        k3 = f(t + h / 2, y + h / 2 * k2)
        k4 = f(t + h, y + h * k3)
        rows.append(y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4))
    return np.array(rows)


solve = functools.partial(nd.solve, field, np.array([1.0, 0.5]), solver=nd.RK4(), dense=True)


@pytest.mark.parametrize("ts", [[0.0, 3.0], [3.0, 0.0], [2.0, 2.0]])
def test_constant_steps_are_equal_and_exactly_as_many(x64, ts):
    sol = solve(ts, stepsize=nd.ConstantSteps(11))
    grid = np.linspace(*ts, 12)
    assert sol.stats.num_steps == sol.stats.num_accepted == 11
    assert_allclose(sol.steps, grid, rtol=1e-15)
    assert sol.steps[-1] == ts[-1]
    assert_allclose(sol.ys[-1], rk4([1.0, 0.5], grid)[-1], rtol=1e-12)


def test_constant_steps_replace_the_budget(x64):
    sol = solve([0.0, 3.0], stepsize=nd.ConstantSteps(11), max_steps=2)
    assert sol.stats.num_steps == 11


def test_save_times_between_constant_steps_have_the_order_of_the_method(x64):
    def error(n):
        ts = np.linspace(0, 3, 8)
        return np.abs(solve(ts, stepsize=nd.ConstantSteps(n)).ys - exact).max()

    exact = nd.solve(field, np.array([1.0, 0.5]), np.linspace(0, 3, 8), rtol=1e-12, atol=1e-12).ys
    slope = np.log2(error(40) / error(80))
    assert slope > 3  # the cubic interpolant's error is O(h^4), the method's as well


@pytest.mark.parametrize("ts", [[0.0, 3.0], [3.0, 0.0]])
def test_step_to_follows_the_grid(x64, ts):
    inner = [0.5, 2.75, 1.0, 0.5, -4.0, 0.0, 3.0, 17.0]
    sol = solve(ts, stepsize=nd.StepTo(inner))
    grid = np.array([0.0, 0.5, 1.0, 2.75, 3.0])
    grid = grid if ts[0] < ts[1] else grid[::-1]
    assert sol.stats.num_steps == sol.stats.num_accepted == 4
    assert_array_equal(sol.steps[:5], grid)
    assert_allclose(sol(grid), rk4([1.0, 0.5], grid), rtol=1e-12)


def test_step_to_without_a_time_inside_is_one_step(x64):
    sol = solve([0.0, 0.25], stepsize=nd.StepTo(np.array([7.0])))
    assert sol.stats.num_steps == 1
    assert_allclose(sol.ys[-1], rk4([1.0, 0.5], [0.0, 0.25])[-1], rtol=1e-12)


def test_fixed_steps_refuse_what_is_no_count_and_no_grid():
    for n in (0, -3):
        with pytest.raises(ValueError, match=str(n)):
            nd.ConstantSteps(n)
    for n in (2.5, "3", True, None):
        with pytest.raises(TypeError, match=str(n)):
            nd.ConstantSteps(n)
    for grid in ([], 1.0, np.ones((2, 2))):
        with pytest.raises(ValueError, match="grid"):
            nd.StepTo(grid)
