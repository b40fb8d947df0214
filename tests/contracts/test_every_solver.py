"""The laws that every solver keeps."""

import copy
import dataclasses
import pickle

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from contracts.solvers import ADAPTIVE, SOLVERS

TS = np.linspace(0.0, 1.0, 6)


@pytest.fixture(params=SOLVERS)
def solver(request):
    return SOLVERS[request.param]


def test_is_a_frozen_value(solver):
    again = type(solver)()
    assert solver == again
    assert hash(solver) == hash(again)
    assert pickle.loads(pickle.dumps(solver)) == copy.deepcopy(solver) == solver
    assert sum(solver == other for other in SOLVERS.values()) == 1
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        solver.tableau = None


def test_every_public_solver_is_in_the_table():
    classes = {type(s).__name__ for s in SOLVERS.values()}
    public = {n for n in nd.__all__ if isinstance(getattr(nd, n), type) and n not in ("Solver",)}
    solvers = {n for n in public if hasattr(getattr(nd, n), "tableau")}
    assert solvers == classes


def test_a_polynomial_of_its_order_is_exact(solver, x64):
    # y' = p t^(p-1): a quadrature that a method of order p makes without error, between the
    # steps too, as far as its interpolant goes.
    p = solver.order

    def f(t, y):
        return p * t ** (p - 1) * jnp.ones_like(y)

    sol = nd.solve(f, 0.0, TS, solver=solver, stepsize=nd.ConstantSteps(5), dense=True)
    assert_allclose(sol.ys, TS**p, atol=1e-13)
    assert int(sol.stats.num_accepted) == int(sol.stats.num_steps) == 5
    assert_allclose(sol(TS), sol.ys, atol=1e-13)


def test_what_stands_still_stays(solver, x64):
    y0 = {"a": jnp.array([1.0, -2.0]), "b": jnp.array(3.0 + 1.0j)}
    sol = nd.solve(
        lambda t, y: {"a": 0 * y["a"], "b": 0 * y["b"]},
        y0,
        [0.0, 0.5, 7.0],
        solver=solver,
        stepsize=nd.ConstantSteps(3),
    )
    for name, value in y0.items():
        assert (sol.ys[name] == value).all()


def test_back_and_forth(solver, x64):
    # Twice as many steps leave about 2^-p of what is lost on the way there and back.
    def lost(n):
        options = {"solver": solver, "stepsize": nd.ConstantSteps(n)}
        there = nd.solve(lambda t, y: jnp.sin(y) + t, 1.0, [0.0, 1.0], **options).ys[-1]
        back = nd.solve(lambda t, y: jnp.sin(y) + t, there, [1.0, 0.0], **options).ys[-1]
        return abs(float(back) - 1.0)

    coarse, fine = lost(8), lost(16)
    assert fine <= 3 * 0.5**solver.order * coarse + 1e-14


def test_the_interpolant_is_continuous(solver, x64):
    sol = nd.solve(
        lambda t, y: -y * jnp.cos(3 * t), 1.0, [0.0, 2.0], solver=solver,
        stepsize=nd.ConstantSteps(7), dense=True,
    )  # fmt: skip
    joints = np.asarray(sol.steps)[1:7]
    left, right = sol(np.nextafter(joints, 0)), sol(np.nextafter(joints, 3))
    assert_allclose(left, right, rtol=1e-12)
    assert_allclose(sol(0.0), 1.0)
    assert_allclose(sol(2.0), sol.ys[-1], rtol=1e-13)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_a_tighter_tolerance_costs_more_and_errs_less(name, x64):
    errors, evals = [], []
    for tolerance in (1e-3, 1e-6):
        sol = nd.solve(
            lambda t, y: -y * jnp.cos(t), 1.0, [0.0, 6.0], solver=ADAPTIVE[name],
            rtol=tolerance, atol=tolerance, max_steps=20_000,
        )  # fmt: skip
        errors.append(abs(float(sol.ys[-1]) - np.exp(-np.sin(6.0))))
        evals.append(int(sol.stats.num_f_evals))
    assert errors[0] <= 50e-3
    assert errors[1] <= 50e-6
    assert errors[1] <= errors[0] / 10
    assert evals[1] > evals[0]


@pytest.mark.parametrize("name", SOLVERS.keys() - ADAPTIVE.keys())
def test_without_an_error_estimate_it_asks_for_steps(name):
    with pytest.raises(ValueError, match=r"no error estimate.*ConstantSteps"):
        nd.solve(lambda t, y: -y, 1.0, [0.0, 1.0], solver=SOLVERS[name])
