"""The loop of one system: what it counts, and that time never stands still."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import neurode as nd
from loops.counting import Counted


def swing(t, y):
    return jnp.array([y[1], -jnp.sin(y[0]) * (1 + 30 * jnp.exp(-50 * (t - 1) ** 2))])


TWO, FIVE = np.array([0.0, 2.0]), np.array([0.0, 0.5, 1.0, 1.0, 2.0])
CASES = {
    "adaptive, first same as last": dict(solver=nd.Bosh3(), ts=TWO),
    "adaptive, no sharing": dict(solver=nd.HeunEuler(), ts=FIVE),
    "first step given": dict(
        solver=nd.HeunEuler(), ts=TWO, stepsize=nd.IController(first_step=1.0)
    ),
    "dense": dict(solver=nd.Bosh3(), ts=TWO, dense=True),
    "extra stages for rows": dict(solver=nd.Dopri8(), ts=FIVE),
    "jumps": dict(
        solver=nd.Bosh3(), ts=TWO, stepsize=nd.IController(step_at=[0.3], jump_at=[0.9, 1.1])
    ),
    "constant steps": dict(solver=nd.RK4(), ts=FIVE, stepsize=nd.ConstantSteps(7)),
    "grid": dict(solver=nd.Bosh3(), ts=TWO, stepsize=nd.StepTo([1.5, 0.5])),
    "backwards": dict(solver=nd.Bosh3(), ts=TWO[::-1].copy()),
}


@pytest.mark.parametrize("name", CASES)
def test_statistics_count_every_evaluation(name):
    f = Counted(swing)
    options = dict(CASES[name])
    y0, ts = jnp.array([2.0, 0.0]), options.pop("ts")
    sol, counts = f.during(lambda: nd.solve(f, y0, ts, **options))
    stats = sol.stats
    assert counts["evaluations"] == stats.num_f_evals
    assert stats.num_steps == stats.num_accepted + stats.num_rejected
    if options.get("stepsize") is None:
        assert stats.num_rejected > 0  # else this case shows nothing about rejected steps
    if name == "constant steps":
        assert stats.num_steps == stats.num_accepted == 7
        # Four stages each, and the slope at the end of the two steps that hold a save time.
        assert stats.num_f_evals == 7 * 4 + 2
    if name == "grid":
        assert stats.num_steps == stats.num_accepted == 3


def test_budget_counts_attempts(x64):
    solve = functools.partial(nd.solve, swing, jnp.array([2.0, 0.0]), TWO, solver=nd.HeunEuler())
    enough = int(solve().stats.num_steps)
    assert solve(max_steps=enough).status == nd.Status.SUCCESS
    short = solve(max_steps=enough - 1, throw=False)
    assert short.status == nd.Status.MAX_STEPS
    assert short.stats.num_steps == enough - 1


@functools.cache
def shifted_decay(stepsize):
    """An autonomous decay over one unit of time, which may start at any time."""

    def solve(t0):
        ts = t0 + jnp.array([0.0, 0.5, 1.0], jnp.float32)
        sol = nd.solve(
            lambda t, y: -20 * y, jnp.float32(1), ts, stepsize=stepsize, solver=nd.Bosh3(),
            rtol=1e-5, atol=1e-12, dense=True,
        )  # fmt: skip
        return sol.ys, sol(ts), sol.stats.num_accepted, sol.status

    return jax.jit(solve)


@pytest.mark.parametrize("stepsize", [nd.IController(), nd.ConstantSteps(1000)])
@pytest.mark.parametrize("t0", [1e6, -1e6, 4e6])
def test_time_never_stalls_in_single_precision(stepsize, t0):
    start = jnp.float32(t0)
    assert start + jnp.float32(0.01) == start  # the steps are below what time can show
    here, _, steps, status = shifted_decay(stepsize)(jnp.float32(0))
    there, there_dense, there_steps, there_status = shifted_decay(stepsize)(start)
    assert status == there_status == nd.Status.SUCCESS
    assert abs(int(steps) - int(there_steps)) <= 2
    assert steps > 50
    assert_allclose(here, np.exp([0.0, -10.0, -20.0]), rtol=2e-3)
    assert_allclose(there, here, rtol=1e-3)
    assert_allclose(there_dense, here, rtol=1e-3)


def test_many_small_steps_add_up_in_single_precision():
    """t = 1000 in steps of 0.01: naive summation in float32 would lose the phase."""
    sol = nd.solve(
        lambda t, y: jnp.cos(t), jnp.float32(0), np.array([0.0, 1000.0]),
        solver=nd.RK4(), stepsize=nd.ConstantSteps(100_000),
    )  # fmt: skip
    assert_allclose(sol.ys[-1], np.sin(1000.0), atol=3e-3)


def test_an_empty_interval_takes_one_empty_step(x64):
    sol = nd.solve(swing, jnp.array([2.0, 0.0]), np.array([1.0, 1.0]), solver=nd.HeunEuler())
    assert_array_equal(sol.ys[1], sol.ys[0])
    assert sol.status == nd.Status.SUCCESS
    assert sol.stats.num_steps == 1


def test_a_batch_inside_the_state_is_one_joint_system(x64):
    def f(t, y):
        return -y * jnp.array([1.0, 100.0])

    ts = np.array([0.0, 1.0])
    joint = nd.solve(f, jnp.ones(2), ts, solver=nd.Bosh3())
    lanes = jax.vmap(lambda rate: nd.solve(lambda t, y: -rate * y, 1.0, ts, solver=nd.Bosh3()))(
        jnp.array([1.0, 100.0])
    )
    assert joint.stats.num_steps.shape == ()
    assert lanes.stats.num_steps.shape == (2,)
    assert lanes.stats.num_steps[0] < joint.stats.num_steps / 4
