"""The laws that every step size controller obeys. A new one is one line in table.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from contracts.table import CONTROLLERS
from contracts.values import check_different, check_value
from neurode.stepping.controller import Decision

every_controller = pytest.mark.parametrize("name", CONTROLLERS)


@every_controller
def test_it_is_a_value(name):
    check_value(CONTROLLERS[name])


def test_no_two_are_equal():
    check_different(CONTROLLERS)


@every_controller
@pytest.mark.parametrize("error", [0.0, 0.5, 1.0, 2.0, 1e30, np.nan, np.inf])
def test_a_decision_keeps_the_state_and_the_types(x64, name, error):
    """So that it may stand in a loop; and a step size is never NaN, zero or negative."""
    controller = CONTROLLERS[name]()
    for dtype in (jnp.float32, jnp.float64):
        state, h = controller.start(dtype), jnp.asarray(0.1, dtype)
        decision = controller.decide(jnp.asarray(error, dtype), h, 5, state)
        assert isinstance(decision, Decision)
        assert decision.next_step.dtype == dtype
        assert decision.next_step > 0
        kinds = jax.tree.map(
            lambda x: (jnp.shape(x), jnp.asarray(x).dtype), (state, decision.state)
        )
        assert kinds[0] == kinds[1]
        if controller.adaptive:
            assert decision.accept == (error <= 1)
            assert error <= 1 or decision.next_step < h
        else:
            assert decision.accept


@every_controller
def test_both_directions_meet_the_tolerance(x64, name):
    for ts in ([0.0, 1.0], [1.0, 0.0]):
        sol = nd.solve(
            lambda t, y: -y, 1.0, ts, solver=nd.Tsit5(), stepsize=CONTROLLERS[name](), rtol=1e-6
        )
        assert_allclose(sol.ys[-1], np.exp(ts[0] - ts[1]), rtol=1e-4)
