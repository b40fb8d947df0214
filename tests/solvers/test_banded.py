"""Banded systems by cyclic reduction, against a dense solve."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from compiling import jit
from neurode.solvers.banded import DENSE_SIZE, factorise_banded, solve_banded


@pytest.mark.parametrize(
    ("n", "lower", "upper", "dtype"),
    [(5, 1, 1, float), (203, 1, 2, float), (150, 2, 1, complex), (270, 4, 3, float)],
)
def test_solves_banded_systems_and_their_transposes(x64, n, lower, upper, dtype):
    rng = np.random.default_rng(n)
    i, j = np.indices((n, n))
    matrix = np.where((i - j <= lower) & (j - i <= upper), rng.normal(size=(n, n)), 0)
    matrix = matrix.astype(dtype) * (1 + 0.5j if dtype is complex else 1)
    matrix += np.diag(np.abs(matrix).sum(axis=1) + 1)
    band = np.zeros((lower + upper + 1, n), dtype)
    inside = matrix != 0
    band[(upper + i - j)[inside], j[inside]] = matrix[inside]
    b = rng.normal(size=n).astype(dtype)

    @jit
    def both(band, b):
        factors = factorise_banded(band, lower, upper)
        transpose = jax.linear_transpose(lambda b: solve_banded(factors, b), b)
        return solve_banded(factors, b), transpose(b)[0], len(factors.levels)

    x, transposed, levels = both(band, b)
    assert_allclose(x, np.linalg.solve(matrix, b), rtol=1e-11)
    assert_allclose(transposed, np.linalg.solve(matrix.T, b), rtol=1e-11)
    assert (levels > 0) == (n > DENSE_SIZE)
