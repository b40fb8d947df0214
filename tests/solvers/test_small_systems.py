"""Linear systems written out row by row, against NumPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurode.solvers import small_systems
from neurode.solvers.jacobians import Dense

SIZES = range(1, small_systems.LARGEST + 1)


def draw(n, dtype, count=40):
    """Matrices [count, n, n], among them some that need their rows exchanged, and vectors."""
    rng = np.random.default_rng(n)
    shape = (count, n, n + 1)
    drawn = rng.normal(size=shape)
    if dtype == np.complex128:
        drawn = drawn + 1j * rng.normal(size=shape)
    matrices, b = drawn[..., :-1].copy(), drawn[..., -1]
    matrices[0] = np.eye(n)[::-1]  # no pivot where it is looked for first
    matrices[1] = np.eye(n)
    matrices[2, 0, 0] = 1e-14
    return matrices, b


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_solutions(n, dtype):
    with jax.enable_x64(True):
        matrices, b = draw(n, dtype)
        # Lanes last, as in the engine of lanes.
        lanes = np.moveaxis(matrices, 0, -1), b.T
        factors = jax.vmap(small_systems.factorise, in_axes=-1, out_axes=-1)(lanes[0])
        for solve, system in (
            (small_systems.solve, matrices),
            (small_systems.solve_transposed, np.swapaxes(matrices, 1, 2)),
        ):
            found = jax.vmap(solve, in_axes=-1, out_axes=-1)(factors, lanes[1])
            expected = np.linalg.solve(system, b[..., None])[..., 0]
            np.testing.assert_allclose(found.T, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", SIZES)
def test_what_has_no_solution_is_never_finite(n):
    b = jnp.ones(n)
    for matrix in (jnp.zeros((n, n)), jnp.ones((n, n)) * jnp.nan):
        factors = small_systems.factorise(matrix)
        assert not np.isfinite(small_systems.solve(factors, b)).any()
        assert not np.isfinite(small_systems.solve_transposed(factors, b)).any()


@pytest.mark.parametrize("n", [small_systems.LARGEST, small_systems.LARGEST + 1])
def test_a_dense_jacobian_solves_alike_on_both_sides_of_the_limit(n):
    with jax.enable_x64(True):
        jacobian, b = (array[5] for array in draw(n, np.float64))
        c = jnp.asarray(0.3)
        factors = Dense().factorise(jnp.asarray(jacobian), c)
        matrix = np.eye(n) - 0.3 * jacobian
        for solve, system in ((Dense().solve, matrix), (Dense().solve_transposed, matrix.T)):
            found = solve(factors, lambda x: x, jnp.asarray(b))
            np.testing.assert_allclose(found, np.linalg.solve(system, b), rtol=1e-10)
