"""Derivatives of solves that failed: NaN where they are asked for, exactly zero where not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import neurode as nd
from compiling import jit
from gradients.losses import STRATEGIES

TIMES = np.array([0.0, 0.4, 2.0])
# y' = a y^2 has a pole at 1 / (a y0): behind t1, or between the save times.
GOOD, BAD = 0.2, 1.0


def rows(p, y0, rtol, gradient, ts=TIMES, throw=True):
    shift = p["closure"]
    sol = nd.solve(
        lambda t, y, rate: rate * y**2 + 0 * shift, y0, ts, (p["args"],), rtol=rtol, atol=1e-6,
        solver=nd.HeunEuler(), max_steps=250, gradient=STRATEGIES[gradient], throw=throw,
    )  # fmt: skip
    return sol.ys, sol.status


def parameters():
    return {"args": jnp.array(1.0), "closure": jnp.array(0.3)}


@functools.cache
def value_and_gradient(strategy):
    """With weights on the rows and a mask on the lanes, as a training loop would."""

    def loss(p, y0, ts, rtol, weights, mask):
        def lane(y0, rtol):
            return rows(p, y0, rtol, strategy, ts)

        ys, status = jax.vmap(lane)(y0, rtol)
        used = jnp.where(mask[:, None] & (weights != 0), ys, 0.0)
        return jnp.sum(weights * used), (ys, status)

    return jit(jax.value_and_grad(loss, (0, 1, 2), has_aux=True))


def run(strategy, y0, weights, mask=None, rtol=1e-3):
    y0 = jnp.asarray(y0)
    mask = np.full(y0.shape, True) if mask is None else np.array(mask)
    rtol = np.broadcast_to(rtol, y0.shape)
    loss = value_and_gradient(strategy)
    return loss(parameters(), y0, jnp.asarray(TIMES), rtol, np.asarray(weights, float), mask)


every_strategy = pytest.mark.parametrize("strategy", STRATEGIES)


@every_strategy
def test_a_masked_lane_adds_exactly_nothing(x64, strategy):
    lanes, mask = [GOOD, BAD, 0.1, BAD], [True, False, True, False]
    (value, (ys, status)), gradients = run(strategy, lanes, [1, 2, 3], mask)
    assert_array_equal(status == nd.Status.SUCCESS, mask)
    assert np.isnan(ys[1, 2])
    # The same lanes with healthy ones in the places of the failing.
    healthy = [GOOD, 0.15, 0.1, 0.05]
    (expected_value, (expected_ys, _)), expected = run(strategy, healthy, [1, 2, 3], mask)
    assert value == expected_value
    assert_array_equal(ys[::2], expected_ys[::2])
    jax.tree.map(assert_array_equal, gradients, expected)
    of_p, of_y0, of_ts = gradients
    assert (of_y0[1::2] == 0).all()
    assert of_p["args"] != 0
    assert (np.asarray(of_ts)[1:] != 0).all()


@every_strategy
def test_invalid_lanes_add_nothing_either(x64, strategy):
    rtol = np.array([1e-3, -1.0, 1e-3, np.nan])
    mask = [True, False, True, False]
    (value, (_, status)), gradients = run(strategy, [GOOD] * 4, [1, 2, 3], mask, rtol)
    assert_array_equal(status == nd.Status.INVALID_INPUT, ~np.array(mask))
    (expected_value, _), expected = run(strategy, [GOOD] * 4, [1, 2, 3], mask)
    assert value == expected_value
    jax.tree.map(assert_array_equal, gradients, expected)


@every_strategy
@pytest.mark.parametrize("failure", ["pole", "invalid"])
def test_a_lost_row_leaves_no_finite_gradient(x64, strategy, failure):
    """A finite gradient of a loss that is NaN would be a plausible wrong number."""
    y0, rtol = [GOOD] * 4, np.full(4, 1e-3)
    if failure == "pole":
        y0[1] = BAD
    else:
        rtol[1] = -1
    weights = [1, 1, 1] if failure == "pole" else [0, 1, 1]
    (value, _), (of_p, of_y0, of_ts) = run(strategy, y0, weights, rtol=rtol)
    assert np.isnan(value)
    assert not np.isfinite(of_p["args"])
    assert not np.isfinite(of_y0[1])
    assert not np.isfinite(of_ts[1:]).any()
    assert np.isfinite(of_y0[0])  # lanes are independent


@every_strategy
def test_rows_before_the_failure_keep_their_gradient(x64, strategy):
    mask = [True, False, False, False]
    (value, (ys, _)), (of_p, of_y0, of_ts) = run(strategy, [BAD] * 4, [0, 1, 0], mask)
    assert np.isnan(ys[0, 2])
    t, a, y0 = TIMES[1], 1.0, BAD
    exact = y0 / (1 - a * y0 * t)
    assert_allclose(value, exact, rtol=3e-3)
    assert_allclose(of_y0, [(exact / y0) ** 2, 0, 0, 0], rtol=1e-2)
    assert_allclose(of_p["args"], t * exact**2, rtol=1e-2)
    assert_allclose(of_ts[:2], [-a * exact**2, a * exact**2], rtol=2e-2)
    assert of_ts[2] == 0


def test_backsolve_that_fails_on_its_way_back_gives_nan(x64):
    """The forward solve fits its budget, the adjoint's does not: in one interval, or in two."""

    def loss(p, y0, ts, budget):
        sol = nd.solve(
            lambda t, y, rate: -rate * y, y0, ts, (p["args"],), max_steps=budget,
            gradient=nd.Backsolve(rtol=1e-11, atol=1e-11),
        )  # fmt: skip
        return sol.ys[-1]

    y0 = jnp.array(1.0)
    for ts in ([0.0, 2.0], [0.0, 1.0, 2.0]):
        gradient = jit(jax.value_and_grad(loss, (0, 1, 2)), static_argnums=3)
        value, found = gradient(parameters(), y0, jnp.array(ts), 20)
        assert_allclose(value, np.exp(-2.0), rtol=1e-3)
        found[0].pop("closure")
        assert all(np.isnan(x).any() for x in jax.tree.leaves(found)), found


@every_strategy
def test_without_throw_the_last_good_state_has_its_derivative(x64, strategy):
    """Rows that were not reached repeat the last state; its derivative is finite."""

    @jit
    @jax.grad
    def gradient(y0):
        ys, _ = rows(parameters(), y0, 1e-3, strategy, throw=False)
        return jnp.sum(jnp.log(ys[1:]))

    assert np.isfinite(gradient(jnp.array(GOOD)))
    found = gradient(jnp.array(BAD))
    assert np.isfinite(found)
    assert found > 0


@pytest.mark.parametrize("dense", [False, True])
def test_a_solve_that_took_no_step_adds_nothing(x64, dense):
    """f is NaN where it begins; so is the derivative of f there, of which nothing must be left."""

    def one(weight, rate):
        sol = nd.solve(
            lambda t, y: weight * jnp.sin(rate * y), 1.0, TIMES, dense=dense, throw=False,
            max_steps=64,
        )  # fmt: skip
        return jnp.where(sol.status == nd.Status.SUCCESS, jnp.sum(sol.ys), 0.0)

    assert jit(jax.grad(one))(0.5, jnp.nan) == 0
    lanes = jit(jax.grad(lambda weight, rate: jnp.sum(jax.vmap(one, (None, 0))(weight, rate))))
    rates = jnp.array([1.0, jnp.nan, 2.0])
    assert_allclose(lanes(0.5, rates), lanes(0.5, rates[::2]), rtol=1e-12)
