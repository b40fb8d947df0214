"""The laws that every solver obeys. A new solver is one line in table.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import neurode as nd
from compiling import jit
from contracts.table import CONTROLLERS, SOLVERS
from contracts.values import check_different, check_value
from neurode.core.clock import start
from neurode.solvers import (
    ExplicitRungeKutta,
    FixedOrderAdams,
    SymplecticSolver,
    interpolants,
)
from neurode.solvers.solver import Solver

every_solver = pytest.mark.parametrize("name", SOLVERS)


def field(t, y, kind):
    """Constant, linear in time, and a field of both (by a number, so that one step serves all)."""
    constant = jnp.array([1.0, -2.0])
    linear = constant * t
    smooth = jnp.array([y[1] * jnp.cos(t), jnp.sin(y[0]) - 0.1 * t])
    return jnp.select([kind == 0, kind == 1, kind == 2], [constant, linear, smooth])


def fit_field(name, f):
    """f, in the form that the solver takes: in two halves, or as a separable Hamiltonian."""
    if isinstance(SOLVERS[name](), SymplecticSolver):
        other = jnp.zeros(())  # f's first entry depends on the second of y alone, and so on
        return nd.Hamiltonian(
            lambda t, p: f(t, jnp.stack([other, p]))[0],
            lambda t, q: -f(t, jnp.stack([q, other]))[1],
        )
    half = lambda t, y: jax.tree.map(lambda x: x / 2, f(t, y))  # noqa: E731
    return nd.Split(half, half) if name == "KenCarp4" else f


def fit_state(name, y):
    """y, or the positions and momenta in it."""
    return tuple(y) if isinstance(SOLVERS[name](), SymplecticSolver) else y


def tight(error):
    """A norm that is 1 at a tolerance of 1e-12, for the iterations of implicit methods."""
    return nd.rms_norm(error) / 1e-12


@functools.cache
def step_of(name):
    """One step, and the interpolant at some fractions of it."""
    solver = SOLVERS[name]()

    def run(kind, sign, t, h, y):
        def f(t, y):  # with sign -1: the same flow in reversed time
            return sign * field(sign * t, y, kind)

        clock, f, y = start(t), fit_field(name, f), fit_state(name, y)
        step = solver.step(f, clock, h, y, solver.start(f, t, y), tight)
        coefficients = solver.interpolant(f, clock, h, y, step)
        between = lambda part: jnp.stack(  # noqa: E731
            [*interpolants.evaluate(y, coefficients, part * h, h)]
        )
        inside, slopes = jax.vmap(between), jax.vmap(jax.jacfwd(between))
        fractions = jnp.array([0.0, 0.3, 0.5, 1.0])
        return jnp.stack([*step.y]), step.errors, inside(fractions), slopes(fractions)

    return jit(run)


def take_step(name, kind, t=0.7, h=0.25, sign=1.0, y=(0.4, -1.0)):
    return step_of(name)(kind, sign, jnp.array(t), jnp.array(h), jnp.array(y))


def test_every_solver_is_in_the_table():
    exported = {name for name in nd.__all__ if isinstance(getattr(nd, name), type)}
    solvers = {getattr(nd, name) for name in exported if issubclass(getattr(nd, name), Solver)}
    assert {type(make()) for make in SOLVERS.values()} == solvers


@every_solver
def test_it_is_a_value(name):
    check_value(SOLVERS[name])


def test_no_two_are_equal():
    check_different(SOLVERS)


@every_solver
def test_constant_fields_are_exact(x64, name):
    y1, errors, inside, slopes = take_step(name, kind=0)
    dy = np.array([1.0, -2.0])
    y0 = np.array([0.4, -1.0])
    assert_allclose(y1, y0 + 0.25 * dy, rtol=1e-14)
    # BDF also estimates the errors of the orders beside its own; of order 0 that is the step.
    for error in errors[:1] if name == "BDF" else errors:
        assert_allclose(error, 0, atol=1e-14)
    assert_allclose(inside, y0 + 0.25 * np.array([[0.0], [0.3], [0.5], [1.0]]) * dy, rtol=1e-13)
    assert_allclose(slopes, 0.25 * dy * np.ones((4, 1)), rtol=1e-12)


@every_solver
def test_fields_linear_in_time_are_exact_from_order_two(x64, name):
    y1, _, inside, _ = take_step(name, kind=1)
    at = 0.25 * np.array([[0.0], [0.3], [0.5], [1.0]])
    exact = np.array([0.4, -1.0]) + (0.7 * at + at**2 / 2) * np.array([1.0, -2.0])
    if SOLVERS[name]().order == 1 or name == "BDF":  # which begins with order 1
        assert np.abs(y1 - exact[-1]).max() > 1e-3
        return
    assert_allclose(y1, exact[-1], rtol=1e-14)
    assert_allclose(inside, exact, rtol=1e-13)


@every_solver
def test_reversed_time_reverses_the_step(x64, name):
    """f(t, y) by h from t, and -f(-t, y) by -h from -t, are the same step."""
    forwards = take_step(name, kind=2)
    backwards = take_step(name, kind=2, t=-0.7, h=-0.25, sign=-1.0)
    jax.tree.map(functools.partial(assert_allclose, rtol=1e-13), forwards, backwards)


@every_solver
def test_a_step_of_no_length_stays(x64, name):
    y1, errors, inside, _ = take_step(name, kind=2, h=0.0)
    assert_array_equal(y1, [0.4, -1.0])
    assert_array_equal(inside, np.tile([0.4, -1.0], (4, 1)))
    for error in errors:
        assert_array_equal(error, 0)


@every_solver
def test_the_interpolant_joins_the_ends(x64, name):
    y1, _, inside, _ = take_step(name, kind=2)
    assert_array_equal(inside[0], [0.4, -1.0])
    assert_allclose(inside[-1], y1, rtol=1e-12)
    exact = nd.solve(
        field, jnp.array([0.4, -1.0]), 0.7 + 0.25 * np.array([0.0, 0.3, 0.5, 1.0]), (2,),
        rtol=1e-12, atol=1e-12,
    ).ys  # fmt: skip
    worst = {1: 0.1, 2: 0.01}.get(SOLVERS[name]().order, 1e-3)
    if name in ("Adams", "BDF"):  # they begin with order 1
        worst = 0.1
    assert np.abs(inside - exact).max() < worst


@every_solver
def test_it_counts_what_it_evaluates(name):
    """By tracing: start, step and dense output call f as often as they say."""
    solver, calls = SOLVERS[name](), []
    if solver.is_implicit:
        return  # their Newton iterations are counted at run time

    def f(t, y):
        calls.append(t)
        return y

    if isinstance(solver, SymplecticSolver):  # those of the force count
        f = nd.Hamiltonian(lambda t, p: p, f)
    if isinstance(solver, FixedOrderAdams) and solver.predictor_terms > 1:
        return  # the Runge-Kutta method of the first steps is traced too

    def count(function):
        calls.clear()
        result = function()
        return result, len(calls)

    t, y = jnp.float32(0), fit_state(name, jnp.ones(2))
    state, at_start = count(lambda: solver.start(f, t, y))
    step, in_step = count(lambda: solver.step(f, start(t), t, y, state, tight))
    _, for_dense = count(lambda: solver.interpolant(f, start(t), t, y, step))
    assert (at_start, in_step, for_dense) == solver.evaluations
    assert (solver.error_order is None) == (step.errors == ())


@every_solver
@pytest.mark.parametrize("stepsize", CONTROLLERS)
def test_it_works_with_every_controller_or_says_which(name, stepsize):
    solver, controller = SOLVERS[name](), CONTROLLERS[stepsize]()

    def rows(y0):
        return nd.solve(
            fit_field(name, lambda t, y: -y),
            fit_state(name, y0),
            [0.0, 0.5, 1.0],
            solver=solver,
            stepsize=controller,
            max_steps=8,
        ).ys

    y0 = jax.ShapeDtypeStruct((2,), jnp.float32)
    if controller.adaptive and solver.error_order is None:
        with pytest.raises(
            ValueError, match=rf"{type(solver).__name__}\(\).*ConstantSteps\(n\).*StepTo\(grid\)"
        ):
            jax.eval_shape(rows, y0)
    else:
        shapes = jax.tree.leaves(jax.eval_shape(rows, y0))
        assert all(shape.shape[0] == 3 for shape in shapes)


def test_every_explicit_method_has_its_tableau():
    for make in SOLVERS.values():
        if isinstance(make(), ExplicitRungeKutta):
            assert make().order == make().tableau.order
