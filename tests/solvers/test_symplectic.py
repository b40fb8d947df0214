"""Symplectic methods: orders, energy that does not drift, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit

METHODS = {nd.Leapfrog: 2, nd.Ruth3: 3, nd.ForestRuth: 4, nd.Yoshida6: 6}
every_method = pytest.mark.parametrize("make", METHODS)
# A pendulum with a mass and a gravity that both change with time.
DRIVEN = nd.Hamiltonian(
    lambda t, p, k: p * (1 + 0.3 * jnp.sin(t)), lambda t, q, k: k * (1 + 0.2 * t) * jnp.sin(q)
)
KEPLER = nd.Hamiltonian(lambda t, p: p, lambda t, q: q / jnp.sum(q**2) ** 1.5)
START = (np.array([0.5, 0.0]), np.array([0.0, np.sqrt(3.0)]))  # eccentricity 1/2, period 2 pi


def energy(y):
    q, p = y
    return jnp.sum(p**2) / 2 - 1 / jnp.sqrt(jnp.sum(q**2))


@every_method
def test_order_of_convergence(x64, make):
    def last(solver, **options):
        return nd.solve(DRIVEN, (1.0, 0.3), [0.0, 3.0], (1.3,), solver=solver, **options).ys

    exact = last(nd.Dopri8(), rtol=1e-13, atol=1e-13)
    errors = []
    for n in (30, 60):
        found = last(make(), stepsize=nd.ConstantSteps(n))
        errors.append(np.hypot(found[0][-1] - exact[0][-1], found[1][-1] - exact[1][-1]))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(METHODS[make], abs=0.3)


@every_method
def test_energy_of_an_orbit_does_not_drift(x64, make):
    periods = 40
    part = np.arange(1, 17) / 16  # a revolution, looked at from its beginning to its end
    ts = 2 * np.pi * np.concatenate([[0.0], part, periods - 1 + part])
    sol = nd.solve(KEPLER, START, ts, solver=make(), stepsize=nd.ConstantSteps(200 * periods))
    errors = np.abs(jax.vmap(energy)(sol.ys) - energy(START))[1:].reshape(2, -1).max(axis=1)
    assert errors[1] < 1.2 * errors[0] + 1e-7


def test_leapfrog_can_be_reversed(x64):
    there = nd.solve(
        KEPLER, START, [0.0, 5.0], solver=nd.Leapfrog(), stepsize=nd.ConstantSteps(200)
    )
    end = jax.tree.map(lambda x: x[-1], there.ys)
    back = nd.solve(KEPLER, end, [5.0, 0.0], solver=nd.Leapfrog(), stepsize=nd.ConstantSteps(200))
    jax.tree.map(lambda a, b: assert_allclose(a[-1], b, atol=1e-11), back.ys, START)


@pytest.mark.parametrize("gradient", [nd.Checkpointed(), nd.Direct()], ids=["taped", "direct"])
def test_gradients(x64, gradient):
    def last(k):
        sol = nd.solve(
            DRIVEN, (1.0, 0.3), [0.0, 0.7, 3.0], (k,), solver=nd.ForestRuth(), gradient=gradient,
            stepsize=nd.ConstantSteps(20),
        )  # fmt: skip
        return sol.ys[0][1] + sol.ys[1][-1]

    found = jit(jax.grad(last))(1.3)
    assert_allclose(found, (last(1.3 + 1e-5) - last(1.3 - 1e-5)) / 2e-5, rtol=1e-7)


def test_any_solver_takes_a_hamiltonian(x64):
    sol = nd.solve(KEPLER, START, [0.0, 2 * np.pi], rtol=1e-9, atol=1e-9)
    assert_allclose(sol.ys[0][-1], START[0], atol=1e-6)


REFUSALS = {
    "plain field": ({"f": lambda t, y: y}, TypeError, r"f=nd\.Hamiltonian\(dH_dp, dH_dq\)"),
    "one array": ({"y0": np.ones(4)}, TypeError, r"tuple \(q, p\).*y0=\(q0, p0\)"),
    "no fixed steps": ({"stepsize": nd.IController()}, ValueError, r"ConstantSteps\(n\)"),
    "Backsolve": ({"gradient": nd.Backsolve()}, ValueError, r"Hamiltonians only.*Checkpointed"),
    "wrong shape": (
        {"f": nd.Hamiltonian(lambda t, p: p[0], lambda t, q: q)},
        ValueError,
        r"shape \(\).*shape \(2,\)",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_is_refused_in_words(name):
    change, error, message = REFUSALS[name]
    good = {"f": KEPLER, "y0": START, "solver": nd.Leapfrog(), "stepsize": nd.ConstantSteps(3)}
    with pytest.raises(error, match=message):
        nd.solve(ts=[0.0, 1.0], **(good | change))


def test_parts_must_be_functions():
    with pytest.raises(TypeError, match=r"Hamiltonian\(dH_dq=...\).*got 3"):
        nd.Hamiltonian(lambda t, p: p, 3)
