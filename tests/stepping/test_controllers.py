"""The step size rules, by their formulas and by the steps that come of them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from neurode.stepping.controller import PIDState

TIMES = np.array([0.0, 4.0])


def wave(t, y):
    """A smooth stretch, then a fast one."""
    return jnp.array([y[1], -y[0] * (1 + 400 * (t > 2))])


def steps(sol):
    return np.asarray(sol.steps)[: int(sol.stats.num_accepted) + 1]


@functools.cache
def run(**options):
    with jax.enable_x64(True):
        return nd.solve(
            wave, jnp.array([1.0, 0.0]), TIMES, solver=nd.Bosh3(), dense=True,
            stepsize=nd.IController(**options),
        )  # fmt: skip


# -- the formulas ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "i", "d"), [(0.0, 1.0, 0.0), (0.2, 0.65, 0.0), (0.1, 0.5, 0.05)])
def test_the_factor_is_soederlinds(x64, p, i, d):
    controller = nd.PIDController(p, i, d)
    state = PIDState(jnp.float64(0.3), jnp.float64(0.7), jnp.asarray(False))
    decision = controller.decide(jnp.float64(0.5), jnp.float64(0.1), 3, state)
    factor = 0.9 * 0.5 ** (-(p + i + d) / 3) * 0.3 ** ((p + 2 * d) / 3) * 0.7 ** (-d / 3)
    assert decision.accept
    assert_allclose(decision.next_step, 0.1 * factor)
    assert (decision.state.previous, decision.state.before) == (0.5, 0.3)
    assert not decision.state.rejected


def test_a_rejected_step_shrinks_by_its_own_error_and_does_not_grow_again(x64):
    controller = nd.PIDController(0.2, 0.65, 0.0)
    state = controller.start(jnp.float64)
    rejected = controller.decide(jnp.float64(8.0), jnp.float64(1.0), 3, state)
    assert not rejected.accept
    assert_allclose(rejected.next_step, 0.9 / 2)
    assert rejected.state.previous == state.previous
    after = controller.decide(jnp.float64(1e-9), rejected.next_step, 3, rejected.state)
    assert after.accept
    assert after.next_step == rejected.next_step
    freed = controller.decide(jnp.float64(1e-9), after.next_step, 3, after.state)
    assert freed.next_step > after.next_step


@pytest.mark.parametrize(
    ("error", "factor"), [(0.0, 7.0), (1e300, 0.3), (np.nan, 0.3), (np.inf, 0.3)]
)
def test_factors_are_clipped(x64, error, factor):
    controller = nd.IController(min_factor=0.3, max_factor=7.0)
    state = controller.start(jnp.float64)
    decision = controller.decide(jnp.float64(error), jnp.float64(2.0), 4, state)
    assert decision.accept == (error <= 1)
    assert_allclose(decision.next_step, 2.0 * factor)


def test_named_controllers_are_special_cases():
    assert nd.IController() == nd.PIDController(0.0, 1.0, 0.0)
    assert nd.PIController(first_step=0.1) == nd.PIDController(0.2, 0.65, 0.0, first_step=0.1)
    assert nd.PIController() != nd.IController()


# -- the limits ------------------------------------------------------------------------------------


def test_first_step_is_taken(x64):
    sol = run(first_step=1e-3)
    assert_allclose(steps(sol)[1], 1e-3, rtol=1e-9)
    too_long = run(first_step=100.0)  # cut to the interval, rejected, then as usual
    assert too_long.stats.num_rejected >= 1
    assert_allclose(too_long.ys[-1], sol.ys[-1], atol=1e-2)


def test_first_step_by_hairers_algorithm(x64):
    """By its formulas for y' = lambda y (Hairer, Norsett & Wanner, II.4)."""
    rate, rtol, atol, y0 = -40.0, 1e-4, 1e-6, 3.0
    sol = nd.solve(
        lambda t, y, a: a * y, y0, [0.0, 0.1], (rate,), solver=nd.Bosh3(), rtol=rtol, atol=atol,
        dense=True,
    )  # fmt: skip
    scale = atol + rtol * y0
    d0, d1 = y0 / scale, abs(rate) * y0 / scale
    h0 = 0.01 * d0 / d1
    d2 = abs(rate) * abs(h0 * rate * y0) / scale / h0
    assert sol.stats.num_rejected == 0  # else the step seen is not the one first tried
    assert_allclose(steps(sol)[1], min(100 * h0, (0.01 / max(d1, d2)) ** (1 / 3)), rtol=1e-9)


def test_max_step_is_kept(x64):
    limited = run(max_step=0.05)
    assert np.diff(steps(limited)).max() <= 0.05 * (1 + 1e-4)
    assert np.diff(steps(run())).max() > 0.1


def test_min_step_is_kept_and_accepted(x64):
    limited = run(min_step=0.02)
    sizes = np.diff(steps(limited))
    assert sizes[:-1].min() >= 0.02 * (1 - 1e-9)  # the last step ends at t1
    assert np.diff(steps(run())).min() < 0.015
    assert limited.stats.num_rejected < limited.stats.num_accepted


@pytest.mark.parametrize("backwards", [False, True])
def test_limits_are_sizes_in_either_direction(x64, backwards):
    ts = TIMES[::-1].copy() if backwards else TIMES
    sol = nd.solve(
        lambda t, y: -0.1 * y, jnp.ones(2), ts, solver=nd.HeunEuler(), dense=True,
        stepsize=nd.IController(first_step=0.01, max_step=0.1),
    )  # fmt: skip
    sizes = np.abs(np.diff(steps(sol)))
    assert_allclose(sizes[0], 0.01, rtol=1e-6)
    assert sizes.max() <= 0.1 * (1 + 1e-4)


def test_controllers_refuse_what_controls_nothing():
    for options in (dict(p=0.0, i=0.0), dict(i=-2.0), dict(safety=0.0), dict(min_factor=1.5)):
        with pytest.raises(ValueError, match="|".join([*options, r"p \+ i \+ d"])):
            nd.PIDController(**options)
    for name in ("first_step", "min_step", "max_step"):
        for value in (0.0, -1.0, float("nan")):
            with pytest.raises(ValueError, match=rf"{name}.*{value}"):
                nd.IController(**{name: value})
