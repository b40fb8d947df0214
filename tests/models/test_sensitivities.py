import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd
from neurode.models import ParameterSpace, ParametricODE, SolveOptions

TS = jnp.array([[0.0, 0.7, 2.0, 5.0], [1.0, 1.2, 4.0, 4.0]])
BOUNDS = {"a": (0.0, np.inf), "b": (0.0, 1.0)}


def lotka_volterra(t, y, values):
    a, b, c = values
    return jnp.stack([a * y[0] - b * y[0] * y[1], b * y[0] * y[1] - c * y[1]])


@pytest.fixture
def model(x64):
    space = ParameterSpace.around({"a": 1.0, "b": 0.5, "c": 0.8}, BOUNDS)
    return ParametricODE(
        lotka_volterra, space, jnp.array([1.0, 2.0]), SolveOptions(rtol=1e-6, atol=1e-6)
    )


def starting(local, fixed):
    return jnp.append(fixed[0], jnp.exp(local[0]))


def test_they_are_the_exact_derivatives_of_the_discretised_solution(model):
    shared = jnp.asarray(model.space.free([1.0, 0.5, 0.8]))
    local = jnp.array([[0.1], [-0.2]])
    fixed = jnp.array([[1.0, np.nan], [0.5, np.nan]])

    def through_the_solver(shared, local, fixed, ts):
        ys = nd.solve(
            lambda t, y: lotka_volterra(t, y, model.space.values(shared)),
            starting(local, fixed),
            ts,
            rtol=1e-6,
            atol=1e-6 * model.magnitude,
            gradient=nd.Direct(),
        ).ys
        return ys, ys

    derive = jax.jit(jax.jacfwd(through_the_solver, argnums=(0, 1), has_aux=True))
    found = jax.jit(lambda a, b: model.sensitivities(a, b, starting, fixed, TS))(shared, local)
    for i in range(2):
        (by_shared, by_local), states = derive(shared, local[i], fixed[i], TS[i])
        np.testing.assert_allclose(found.states[i], states, rtol=1e-12)
        np.testing.assert_allclose(found.by_shared[i], by_shared, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(found.by_local[i], by_local, rtol=1e-9, atol=1e-11)
    assert (found.status == nd.Status.SUCCESS).all()
