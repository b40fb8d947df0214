"""Times that must be hit, and times at which f jumps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import neurode as nd
from neurode.core.clock import start
from neurode.stepping.controller import Limits
from neurode.stepping.stops import next_stop

LEFT, RIGHT = 4.0, 4.01  # a narrow bump


def steps(sol):
    return np.asarray(sol.steps)[: int(sol.stats.num_accepted) + 1]


@functools.cache
def bump(inclusive, forwards, stops, jumps):
    """y' = -y + 1000 inside the bump; its answer, the error and the number of evaluations."""

    def f(t, y):
        inside = ((t >= LEFT) & (t <= RIGHT)) if inclusive else ((t > LEFT) & (t < RIGHT))
        return 1000.0 * inside - y

    ts = np.array([0.0, 10.0] if forwards else [10.0, 0.0])
    with jax.enable_x64(True):
        sol = nd.solve(
            f, 1.0, ts, rtol=1e-8, atol=1e-8, dense=True,
            stepsize=nd.IController(step_at=stops, jump_at=jumps),
        )  # fmt: skip
    if forwards:
        exact = np.exp(-10) + 1000 * (np.exp(RIGHT - 10) - np.exp(LEFT - 10))
    else:
        exact = np.exp(10) - 1000 * (np.exp(RIGHT) - np.exp(LEFT))
    return sol, abs(float(sol.ys[-1]) - exact) / abs(exact)


@pytest.mark.parametrize("inclusive", [True, False], ids=["f(c) inside", "f(c) outside"])
@pytest.mark.parametrize("forwards", [True, False], ids=["forwards", "backwards"])
def test_a_named_jump_costs_little_and_is_exact(inclusive, forwards):
    sol, error = bump(inclusive, forwards, None, (RIGHT, LEFT))
    plain, plain_error = bump(inclusive, forwards, None, None)
    assert error < 1e-7
    # Without being told, the solver steps over the bump or falls over it.
    assert plain_error > 1e-2 or plain.stats.num_f_evals > 1.3 * sol.stats.num_f_evals
    # Hitting the times alone (step_at) leaves one stage on the wrong side: rejected steps.
    hit, hit_error = bump(inclusive, forwards, (LEFT, RIGHT), None)
    assert hit_error < 1e-4
    assert sol.stats.num_rejected < hit.stats.num_rejected


def test_a_jump_is_seen_from_both_sides(x64):
    sol, _ = bump(True, True, None, (RIGHT, LEFT))
    beside = np.array([LEFT - 1e-9, LEFT + 1e-9])
    below, above = np.asarray(sol(beside))
    assert_allclose(below, above, atol=1e-5)  # y is continuous
    slope = (np.asarray(sol(LEFT + 1e-4)) - above) / 1e-4
    assert_allclose(slope, 1000, rtol=1e-2)
    assert np.isfinite(sol(np.array([LEFT, RIGHT]))).all()
    assert any(0 < t - LEFT < 1e-13 for t in steps(sol))


@pytest.mark.parametrize("inclusive", [True, False], ids=["f(c) after", "f(c) before"])
@pytest.mark.parametrize("at", [0.0, 1e-300, 1.0, -1e6])
def test_a_jump_anywhere_on_the_axis(x64, inclusive, at):
    """Time zero is special: next to it lie only numbers that processors may flush to zero."""

    @jax.jit
    def solve(ts, at):
        def f(t, y):
            return 1000.0 * (t >= at if inclusive else t > at)

        sol = nd.solve(f, 0.0, ts, stepsize=nd.IController(jump_at=at[None]), solver=nd.HeunEuler())
        return sol.ys[-1], sol.stats.num_rejected

    for ts in ([at - 1, at + 1], [at + 1, at - 1]):
        y, rejected = solve(np.array(ts), at)
        assert_allclose(y, np.sign(ts[1] - ts[0]) * 1000, rtol=1e-9)
        assert rejected == 0


def test_step_at_is_hit_exactly():
    times = (3.0, 0.1 + 0.2, 9.999)
    sol, _ = bump(True, True, times, None)
    assert set(times) <= set(steps(sol).tolist())


def test_stops_may_be_traced_and_lie_anywhere(x64):
    """Outside the interval, at its ends, twice, in any order, of any direction: no harm."""

    @jax.jit
    def solve(at, ts):
        stepsize = nd.IController(step_at=at, jump_at=at + 0.25)
        sol = nd.solve(
            lambda t, y: -y, 1.0, ts, solver=nd.Bosh3(), stepsize=stepsize, rtol=1e-6, atol=1e-6,
            dense=True,
        )  # fmt: skip
        return sol.ys, sol.steps, sol.status

    at = np.array([5.0, 0.5, -1.0, 0.0, 0.5, 1.0, 0.75, 2.0])
    for ts in ([0.0, 2.0], [2.0, 0.0], [0.5, 0.5], [0.75, 0.5]):
        ys, times, status = solve(at, np.array(ts))
        assert status == nd.Status.SUCCESS
        assert_allclose(ys[-1], np.exp(ts[0] - ts[1]), rtol=1e-4)
        inside = [t for t in at if min(ts) < t < max(ts)]
        # A jump at the very same time is hit from its near side.
        assert all(np.abs(np.asarray(times) - t).min() <= 1e-14 for t in inside)


number = st.floats(-2, 2).map(lambda x: round(x, 3))


@functools.cache
def jitted_stop():
    def stop(t, t1, step_at, jump_at):
        direction = jnp.where(t1 < t, -1.0, 1.0)
        return next_stop(Limits(step_at=step_at, jump_at=jump_at), start(t), direction, t, t1)

    return jax.jit(stop)


@given(t=number, t1=number, at=st.lists(number, min_size=6, max_size=6))
def test_the_next_stop_is_the_nearest_one_ahead(t, t1, at):
    step_at, jump_at = at[:3], at[3:]
    with jax.enable_x64(True):
        found = jitted_stop()(t, t1, np.array(step_at), np.array(jump_at))
        stop, restart = np.asarray(found.time), np.asarray(found.restart)
    sign = -1 if t1 < t else 1
    ahead = [x for x in at if 0 < sign * (x - t) < sign * (t1 - t)]
    if not ahead:
        assert found.is_end
        assert stop == restart == t1
        return
    nearest = min(ahead, key=lambda x: sign * x)
    assert not found.is_end
    assert_allclose(stop, nearest, rtol=1e-14, atol=1e-14)
    assert found.is_jump == (nearest in jump_at)
    if found.is_jump:
        assert sign * stop < sign * nearest < sign * restart
    else:
        assert stop == restart == nearest
