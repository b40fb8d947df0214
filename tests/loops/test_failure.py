"""A solve that cannot be completed: an error that explains itself, or NaN and a status."""

import functools
import math
import pickle
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import neurode as nd
from neurode.stepping.controller import Limits, PIDController

TIMES = np.array([0.0, 0.5, 0.9, 1.1, 2.0])


def explode(t, y):
    """1 / (1 - t) from y(0) = 1: a pole at t = 1."""
    return y * y


def undefined(t, y):
    """NaN below y = 1/2."""
    return -jnp.sqrt(y - 0.5) - 1


def numbers(text):
    return [float(x) for x in re.findall(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?", text)]


# -- a plain call raises ---------------------------------------------------------------------------


def test_a_pole_raises_and_says_where(x64):
    with pytest.raises(nd.SolveError) as caught:
        nd.solve(explode, 1.0, TIMES)
    error, text = caught.value, str(caught.value)
    assert error.status in (nd.Status.STEP_UNDERFLOW, nd.Status.NON_FINITE)
    assert error.status.name in text
    assert any(abs(x - 1) < 1e-3 for x in numbers(text)), f"the time reached is missing: {text}"
    assert any(0 < x < 1e-6 for x in numbers(text)), f"the step size is missing: {text}"
    assert "step size" in text
    assert "blow up" in text


def test_an_undefined_region_raises_and_says_where(x64):
    with pytest.raises(nd.SolveError) as caught:
        nd.solve(undefined, 2.0, TIMES)
    assert caught.value.status in (nd.Status.NON_FINITE, nd.Status.STEP_UNDERFLOW)
    reached = nd.solve(undefined, 2.0, TIMES, throw=False, dense=True).steps[-1]
    assert any(abs(x - reached) < 1e-3 for x in numbers(str(caught.value)))


def test_a_spent_budget_raises_and_says_what_to_try(x64):
    with pytest.raises(nd.SolveError, match="max_steps") as caught:
        nd.solve(explode, 1.0, [0.0, 0.9], max_steps=3)
    assert caught.value.status == nd.Status.MAX_STEPS
    assert 3 in numbers(str(caught.value))


def test_fixed_steps_into_infinity_raise(x64):
    with pytest.raises(nd.SolveError) as caught:
        nd.solve(explode, 1.0, [0.0, 30.0], solver=nd.Euler(), stepsize=nd.ConstantSteps(30))
    assert caught.value.status == nd.Status.NON_FINITE


def test_min_step_is_accepted_or_given_up(x64):
    stepsize = nd.IController(min_step=1e-3)
    failed = nd.solve(undefined, 2.0, TIMES, stepsize=stepsize, throw=False)
    assert failed.status == nd.Status.NON_FINITE
    assert failed.stats.num_steps < 200


def test_errors_and_solutions_pickle(x64):
    with pytest.raises(nd.SolveError) as caught:
        nd.solve(explode, 1.0, TIMES)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is nd.SolveError
    assert (str(again), again.status) == (str(caught.value), caught.value.status)

    sol = nd.solve(explode, 1.0, [0.0, 0.5], dense=True)
    again = pickle.loads(pickle.dumps(sol))
    jax.tree.map(assert_array_equal, again, sol)
    assert again(0.3) == sol(0.3)
    assert again.stats.num_steps == sol.stats.num_steps


# -- under a transformation: NaN -------------------------------------------------------------------


@functools.cache
def lanes(f, throw):
    """Lanes y0 of f, with rows, status and dense output at the save times."""

    def solve(y0):
        sol = nd.solve(f, y0, TIMES, throw=throw, dense=True)
        return sol.ys, sol.status, sol(TIMES)

    return jax.jit(jax.vmap(solve))


@pytest.mark.parametrize(("f", "y0"), [(explode, [1.0, 0.1]), (undefined, [2.0, 9.0])])
def test_rows_from_the_failure_on_are_nan(x64, f, y0):
    good = {explode: 3, undefined: 2}[f]
    ys, status, dense = lanes(f, True)(np.array(y0))
    assert status[0] in (nd.Status.STEP_UNDERFLOW, nd.Status.NON_FINITE)
    assert status[1] == nd.Status.SUCCESS
    assert np.isfinite(ys[1]).all()
    assert np.isfinite(ys[0, :good]).all()
    assert np.isnan(ys[0, good:]).all()
    assert_array_equal(np.isnan(dense), np.isnan(ys))
    if f is explode:
        assert_allclose(ys[0, :good], 1 / (1 - TIMES[:good]), rtol=1e-2)


def test_without_throw_rows_hold_the_last_good_state(x64):
    ys, status, dense = lanes(explode, False)(np.array([1.0, 0.1]))
    assert status[0] != nd.Status.SUCCESS
    assert np.isfinite(ys).all()
    assert_allclose(ys[0, :3], 1 / (1 - TIMES[:3]), rtol=1e-2)
    assert ys[0, 3] == ys[0, 4] > 1e3
    assert np.isnan(dense[0, 3:]).all()  # never a number where nothing was solved
    plain = nd.solve(explode, 1.0, TIMES, throw=False)
    assert plain.status == status[0]
    assert_allclose(plain.ys[:3], ys[0, :3])


def test_grad_and_vmap_of_a_plain_call_do_not_raise(x64):
    def loss(y0):
        return nd.solve(explode, y0, TIMES, solver=nd.HeunEuler()).ys.sum()

    assert np.isnan(jax.grad(loss)(1.0))
    assert_array_equal(np.isnan(jax.vmap(loss)(jnp.array([1.0, 0.1]))), [True, False])


# -- values that are only known at run time --------------------------------------------------------

GOOD = dict(
    ts=np.array([0.0, 0.5, 1.0]), y0=np.ones(2), rtol=1e-3, atol=np.full(2, 1e-3),
    first_step=0.1, min_step=1e-9, max_step=1.0,
    step_at=np.array([0.2]), jump_at=np.array([0.3]),
)  # fmt: skip
BAD = [
    ("ts", [0.0, 1.0, 0.5]),
    ("ts", [1.0, 0.0, 0.5]),
    ("ts", [0.0, 1.0, 0.0]),
    ("ts", [0.0, math.nan, 1.0]),
    ("ts", [math.nan, 0.5, 1.0]),
    ("ts", [0.0, 0.5, math.inf]),
    ("y0", [1.0, math.nan]),
    ("y0", [math.inf, 1.0]),
    ("rtol", -1e-3),
    ("rtol", math.nan),
    ("rtol", math.inf),
    ("atol", [1e-3, -1e-3]),
    ("atol", [math.nan, 1e-3]),
    ("rtol, atol", (0.0, [1e-3, 0.0])),
    ("first_step", 0.0),
    ("first_step", -0.1),
    ("first_step", math.nan),
    ("min_step", -1.0),
    ("max_step", 0.0),
    ("max_step", math.nan),
    ("step_at", [math.nan]),
    ("jump_at", [math.nan]),
]


@functools.cache
def with_run_time_values():
    def solve(ts, y0, rtol, atol, step_at, jump_at, **sizes):
        stepsize = nd.IController(step_at=step_at, jump_at=jump_at, **sizes)
        sol = nd.solve(
            lambda t, y: -y, y0, ts, rtol=rtol, atol=atol, stepsize=stepsize, dense=True,
            solver=nd.HeunEuler(),
        )  # fmt: skip
        return sol.ys, sol.status, sol(ts), sol.stats.num_steps

    return jax.jit(solve)


def test_good_run_time_values_are_accepted(x64):
    ys, status, _, _ = with_run_time_values()(**GOOD)
    assert status == nd.Status.SUCCESS
    assert_allclose(ys[-1], np.exp(-1) * np.ones(2), rtol=1e-2)


@pytest.mark.parametrize(("names", "value"), BAD)
def test_bad_run_time_values_are_invalid_input(x64, names, value):
    names = names.split(", ")
    values = (value,) if len(names) == 1 else value
    changed = {name: np.asarray(v, float) for name, v in zip(names, values, strict=True)}
    ys, status, dense, steps = with_run_time_values()(**GOOD | changed)
    assert status == nd.Status.INVALID_INPUT
    assert steps == 0
    assert np.isnan(ys[1:]).all()
    y0 = changed.get("y0", GOOD["y0"])
    wrong = ~(np.isnan(dense) | (dense == y0))
    assert not wrong.any(), f"dense output makes up values: {dense}"


def test_a_controller_made_of_traced_values_is_the_one_in_use(x64):
    """That the limits reach the loop at all, so that the test above means something."""
    _, _, _, coarse = with_run_time_values()(**GOOD)
    _, _, _, fine = with_run_time_values()(**GOOD | dict(max_step=np.float64(0.01)))
    assert fine > 90 > coarse
    assert isinstance(nd.IController().limits, Limits)
    assert isinstance(nd.IController(), PIDController)
