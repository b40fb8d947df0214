"""Automatic switching between an explicit and a stiff method."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit


def van_der_pol(t, y, mu):
    return jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


def run(mu, t1, solver, **options):
    return nd.solve(
        van_der_pol, jnp.array([2.0, 0.0]), jnp.array([0.0, 0.4, 1.0]) * t1, (mu,), solver=solver,
        rtol=1e-6, atol=1e-6, **options,
    )  # fmt: skip


def test_stays_explicit_where_the_problem_is_not_stiff(x64):
    plain, auto = (run(1.0, 20.0, solver) for solver in (nd.Tsit5(), nd.AutoSwitch()))
    assert auto.stats.num_jacobians == 0
    assert auto.stats.num_f_evals == plain.stats.num_f_evals
    assert_allclose(auto.ys, plain.ys, rtol=1e-12)


def test_changes_where_it_is_stiff_in_every_lane(x64):
    mus, ends = jnp.array([1.0, 1e3]), jnp.array([5.0, 1.5e3])
    both = jit(jax.vmap(lambda mu, t1: run(mu, t1, nd.AutoSwitch())))(mus, ends)
    assert both.stats.num_jacobians[0] == 0
    stiff = run(1e3, 1.5e3, nd.Rodas5P())
    assert both.stats.num_jacobians[1] > 0
    assert both.stats.num_f_evals[1] < 1.5 * stiff.stats.num_f_evals
    assert_allclose(both.ys[1], stiff.ys, rtol=1e-3)


@pytest.mark.parametrize("gradient", [nd.Checkpointed(), nd.Direct()], ids=["taped", "direct"])
def test_gradients_through_a_switch(x64, gradient):
    def last(y0, solver, gradient, tol):
        sol = nd.solve(
            lambda t, y: -3000 * (1 + jnp.tanh(20 * (t - 1))) * (y - jnp.cos(t)) - 0.3 * y, y0,
            [0.0, 2.0], solver=solver, gradient=gradient, rtol=tol, atol=tol, max_steps=400,
        )  # fmt: skip
        return sol.ys[-1] + y0, sol.stats.num_jacobians

    solver = nd.AutoSwitch(nd.Dopri5(), nd.Kvaerno3())
    found, jacobians = jit(jax.grad(lambda y: last(y, solver, gradient, 1e-7), has_aux=True))(0.7)
    assert jacobians > 0
    expected = jit(jax.grad(lambda y: last(y, nd.Rodas5P(), nd.Checkpointed(), 1e-10)[0]))(0.7)
    assert found == pytest.approx(float(expected), rel=1e-5)
    assert np.isfinite(found)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nd.AutoSwitch(nd.Rodas5P()), TypeError, r"AutoSwitch\(nonstiff=...\).*Tsit5"),
        (lambda: nd.AutoSwitch(stiff=nd.Tsit5()), TypeError, r"AutoSwitch\(stiff=...\).*Rodas5P"),
        (lambda: nd.AutoSwitch(nd.RK4()), ValueError, r"nd\.Tsit5\(\) or.*not RK4\(\)"),
        (lambda: nd.AutoSwitch(stiff=nd.BDF()), ValueError, r"one-step.*BDF\(\) would start"),
        (lambda: run(1.0, 1.0, nd.AutoSwitch(), gradient=nd.Backsolve()), ValueError, "stiff"),
    ],
)
def test_is_refused_in_words(make, error, message):
    with pytest.raises(error, match=message):
        make()
