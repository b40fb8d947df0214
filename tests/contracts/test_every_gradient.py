"""The laws that every gradient strategy obeys. A new one is one line in table.py."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit
from contracts.table import GRADIENTS
from contracts.values import check_different, check_value
from neurode.gradients import GradientStrategy

every_gradient = pytest.mark.parametrize("name", GRADIENTS)
TS = [0.2, 0.9, 1.7]


def test_every_strategy_is_in_the_table():
    exported = {getattr(nd, n) for n in nd.__all__ if isinstance(getattr(nd, n), type)}
    strategies = {x for x in exported if issubclass(x, GradientStrategy)}
    # These two need another mode or another solver: see test_forward.py and test_reversible.py.
    elsewhere = {nd.Forward, nd.Reversible}
    assert {type(make()) for make in GRADIENTS.values()} == strategies - elsewhere


@every_gradient
def test_it_is_a_value(name):
    check_value(GRADIENTS[name])


def test_no_two_are_equal():
    check_different(GRADIENTS)


@every_gradient
def test_against_the_closed_form(x64, name):
    """y' = c + a y: every derivative is known, and the value is that of a plain solve."""

    def rows(p, gradient):
        shift = p["c"]
        return nd.solve(
            lambda t, y, rate: shift + rate * y, p["y0"], p["ts"], (p["a"],), rtol=1e-7,
            atol=1e-7, solver=nd.Bosh3(), gradient=gradient, max_steps=200,
        ).ys  # fmt: skip

    def exact(p):
        grown = jnp.exp(p["a"] * (p["ts"] - p["ts"][0]))
        return grown * p["y0"] + p["c"] * (grown - 1) / p["a"]

    weights = jnp.array([0.5, -1.0, 2.0])
    p = {"y0": 0.8, "c": 0.3, "a": -1.2, "ts": jnp.array(TS)}
    p = jax.tree.map(jnp.asarray, p)
    value, found = jit(jax.value_and_grad(lambda p: jnp.sum(weights * rows(p, GRADIENTS[name]()))))(
        p
    )
    wanted, expected = jax.value_and_grad(lambda p: jnp.sum(weights * exact(p)))(p)
    assert_allclose(value, wanted, rtol=1e-6)
    for key in p:
        assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-6, err_msg=key)


@every_gradient
def test_it_changes_no_value(x64, name):
    """Whatever it stores for the way back, the way there is the same."""

    def rows(y0, gradient):
        return nd.solve(
            lambda t, y: -y * jnp.cos(t), y0, TS, solver=nd.HeunEuler(), gradient=gradient,
            max_steps=200,
        ).ys  # fmt: skip

    y0 = jnp.array([1.0, 2.0])
    plain = rows(y0, nd.Checkpointed())
    forward, _ = jax.vjp(lambda y0: rows(y0, GRADIENTS[name]()), y0)
    np.testing.assert_array_equal(rows(y0, GRADIENTS[name]()), plain)
    assert_allclose(forward, plain, rtol=1e-15)


@every_gradient
def test_dense_output_is_differentiated_or_refused(x64, name):
    def at(rate):
        sol = nd.solve(
            lambda t, y: rate * y, 1.0, [0.0, 1.0], solver=nd.RK4(),
            stepsize=nd.ConstantSteps(16), gradient=GRADIENTS[name](), dense=True,
        )  # fmt: skip
        return sol(0.5)

    if name.startswith("Backsolve"):
        with pytest.raises(ValueError, match=r"Checkpointed\(\)"):  # the one that can
            jit(jax.grad(at))(-1.0)
        return
    assert_allclose(jit(jax.grad(at))(-1.0), 0.5 * np.exp(-0.5), rtol=1e-5)


@every_gradient
def test_the_time_of_an_event(x64, name):
    """y' = -a y meets y = c at t0 + log(y0 / c) / a, where c is a parameter of the event."""

    def found(p, gradient):
        sol = nd.solve(
            lambda t, y, rate: -rate * y, p["y0"], jnp.stack([p["t0"], 5.0]), (p["a"],),
            event=nd.Event(lambda t, y, rate: y - p["c"]), rtol=1e-7, atol=1e-7,
            solver=nd.Bosh3(), gradient=gradient, max_steps=200,
        )  # fmt: skip
        return sol.event_time + 2 * sol.event_y

    def exact(p):
        return p["t0"] + jnp.log(p["y0"] / p["c"]) / p["a"] + 2 * p["c"]

    p = jax.tree.map(jnp.asarray, {"y0": 0.8, "a": 1.2, "c": 0.3, "t0": 0.2})
    value, gradient = jit(jax.value_and_grad(lambda p: found(p, GRADIENTS[name]())))(p)
    expected_value, expected = jax.value_and_grad(exact)(p)
    assert_allclose(value, expected_value, rtol=1e-6)
    for key in p:
        assert_allclose(gradient[key], expected[key], rtol=1e-5, err_msg=key)
