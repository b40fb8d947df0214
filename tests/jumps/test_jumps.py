"""Solves with jumps: a ball that bounces, doses, a neuron that fires."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit


def fall(t, y, g, e):
    return jnp.stack([y[1], -g])


def bounce(t, y, g, e):
    return jnp.stack([y[0], -e * y[1]])


def ball(p, ts, **options):
    event = nd.Event(lambda t, y, g, e: y[0], -1)
    y0 = jnp.stack([p["height"], p["speed"]])
    options = {"solver": nd.Bosh3(), "max_steps": 64} | options
    return nd.solve_with_jumps(fall, y0, ts, (p["g"], p["e"]), event=event, jump=bounce, **options)


def exact_ball(p, count, t):
    """The times of the bounces, and the state at a time after the last."""
    speed = jnp.sqrt(p["speed"] ** 2 + 2 * p["g"] * p["height"])
    times = [(p["speed"] + speed) / p["g"]]
    for _ in range(count - 1):
        speed = speed * p["e"]
        times.append(times[-1] + 2 * speed / p["g"])
    since = t - times[-1]
    speed = speed * p["e"]
    state = jnp.stack([speed * since - p["g"] * since**2 / 2, speed - p["g"] * since])
    return jnp.stack(times), state


def test_a_bouncing_ball(x64):
    """Times and state after five bounces, and their derivatives, to 1e-8 of the exact ones."""
    p = {k: jnp.asarray(v) for k, v in {"height": 1.0, "speed": 0.5, "g": 9.81, "e": 0.8}.items()}
    end = float(exact_ball(p, 5, 0.0)[0][-1]) + 0.1
    ts = jnp.array([0.0, 0.2, 1.0, end])

    def found(p):
        sol = ball(p, ts, max_jumps=5)
        return jnp.concatenate([sol.jump_times, sol.ys[-1]]), sol

    jacobian, sol = jit(jax.jacrev(found, has_aux=True))(p)
    times, state = exact_ball(p, 5, end)
    assert sol.status == nd.Status.SUCCESS
    assert sol.num_jumps == 5
    assert_allclose(sol.jump_times, times, rtol=1e-11)
    assert_allclose(sol.ys[-1], state, rtol=1e-10)
    assert_allclose(sol.ys[1], [1 + 0.5 * 0.2 - 9.81 * 0.02, 0.5 - 9.81 * 0.2], rtol=1e-11)
    assert_allclose(sol.after[:, 1], -0.8 * sol.before[:, 1], rtol=1e-12)
    expected = jax.jacrev(lambda p: jnp.concatenate(exact_ball(p, 5, end)))(p)
    for key in p:
        assert_allclose(jacobian[key], expected[key], rtol=1e-8, err_msg=key)


def test_balls_that_run_out_of_jumps_or_of_time(x64):
    """Each lane has its own fate; a plain call says it in words."""
    lanes = {"height": jnp.ones(3), "speed": jnp.zeros(3), "g": jnp.full(3, 9.81)}
    lanes["e"] = jnp.array([0.8, 0.05, 0.0])
    ts = jnp.array([0.0, 0.3, 2.6])
    sols = jit(jax.vmap(lambda p: ball(p, ts, max_jumps=16)))(lanes)
    assert list(sols.status) == [nd.Status.SUCCESS, nd.Status.ZENO, nd.Status.ZENO]
    assert sols.num_jumps[0] == 5
    assert 5 < sols.num_jumps[1] < 16
    assert sols.num_jumps[2] == 0
    assert np.isfinite(sols.ys[:, 1]).all()
    assert np.isfinite(sols.ys[0]).all()
    assert np.isnan(sols.ys[1:, 2]).all()
    with pytest.raises(nd.SolveError, match=r"after 2 jumps, the last at t=1.17.*MAX_JUMPS"):
        ball({"height": 1.0, "speed": 0.0, "g": 9.81, "e": 0.8}, ts, max_jumps=2)


def test_doses(x64):
    """Elimination at a constant rate: the amount is a sum of exponentials, left limits at doses."""
    ts = jnp.array([0.0, 1.0, 2.0, 3.5])

    def amount(rate, times, doses):
        schedule = nd.Schedule(times, lambda k, t, y, rate: y + doses[k])
        return nd.solve_with_jumps(
            lambda t, y, rate: -rate * y, 0.0, ts, (rate,), schedule=schedule, max_jumps=4,
            rtol=1e-9, atol=1e-9,
        ).ys  # fmt: skip

    def exact(rate, times, doses):
        since = ts[:, None] - times
        return jnp.sum(jnp.where(since > 0, doses * jnp.exp(-rate * since), 0.0), axis=1)

    inputs = (jnp.asarray(0.7), jnp.array([0.0, 0.4, 2.0, 9.0]), jnp.array([2.0, 1.0, 3.0, 5.0]))
    weights = jnp.array([1.0, 2.0, 0.5, 3.0])
    rows, pull = jax.vjp(jax.jit(amount), *inputs)
    expected, pull_exact = jax.vjp(exact, *inputs)
    assert_allclose(rows, expected, rtol=1e-7)
    for found, wanted in zip(pull(weights), pull_exact(weights), strict=True):
        assert_allclose(found, wanted, rtol=1e-6, atol=1e-9)


def test_a_neuron_that_fires_and_is_driven():
    """Leaky integrate and fire, and a kick at a known time: both kinds of jump in one solve."""
    sol = nd.solve_with_jumps(
        lambda t, v, current: current - v, 0.0, [0.0, 5.0], (1.5,),
        event=nd.Event(lambda t, v, current: v - 1.0, +1), jump=lambda t, v, current: 0.0 * v,
        schedule=nd.Schedule([4.0], lambda k, t, v, current: v - 1.0), rtol=1e-5, atol=1e-6,
    )  # fmt: skip
    period = np.log(1.5 / 0.5)
    assert_allclose(sol.jump_times[:4], [period, 2 * period, 3 * period, 4.0], rtol=1e-5)
    assert list(sol.jump_index[:5]) == [0, 0, 0, 1, -1]
    v = 1.5 * (1 - np.exp(-(4.0 - 3 * period))) - 1.0
    assert_allclose(sol.ys[-1], 1.5 + (v - 1.5) * np.exp(-1.0), rtol=1e-4)


BAD = {
    "no jump": ({"event": nd.Event(lambda t, y: y)}, ValueError, "go together"),
    "nothing": ({}, ValueError, "nothing to jump at"),
    "dense": ({"dense": True}, TypeError, "takes no dense=; the pieces"),
    "unknown": ({"colour": 1}, TypeError, "takes no colour=; it takes atol"),
    "budget": ({"max_jumps": 0}, ValueError, "positive whole number, got 0"),
    "two jumps": (
        {"event": nd.Event(lambda t, y: y), "jump": (abs, abs)}, ValueError, "each of the 1 events",
    ),
    "shape": (
        {"event": nd.Event(lambda t, y: y), "jump": lambda t, y: jnp.ones(2)},
        ValueError, r"jump must return the state after it.*got \(2,\)",
    ),
    "no function": ({"event": nd.Event(lambda t, y: y), "jump": 1}, TypeError, "a function"),
    "schedule": ({"schedule": [1.0]}, TypeError, "nd.Schedule"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments(name):
    options, error, words = BAD[name]
    with pytest.raises(error, match=words):
        nd.solve_with_jumps(lambda t, y: -y, 1.0, [0.0, 1.0], **options)


def test_forward_mode_is_refused_in_words():
    with pytest.raises(TypeError, match=r"use gradient=nd.Direct\(\)"):
        jax.jvp(
            lambda y: nd.solve_with_jumps(
                lambda t, y: -y, y, [0.0, 1.0], schedule=nd.Schedule([0.5], lambda k, t, y: y + 1)
            ).ys,
            (1.0,), (1.0,),
        )  # fmt: skip


def test_bad_times():
    with pytest.raises(ValueError, match=r"times\[0\]=2 is followed by times\[1\]=1"):
        nd.Schedule([2.0, 1.0], lambda k, t, y: y)
    with pytest.raises(ValueError, match="goes forwards in time"):
        nd.solve_with_jumps(
            lambda t, y: y, 1.0, [1.0, 0.0], schedule=nd.Schedule([0.5], lambda k, t, y: y)
        )
