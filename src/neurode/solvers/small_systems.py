"""Linear systems of a few unknowns, written out row by row.

A library takes about a microsecond for each system, however small, and wants the systems of many
lanes one behind the other. Written out, elimination with partial pivoting is a short program of
whole rows, the same for one system and for thousands side by side.
"""

from functools import partial

import jax
import jax.numpy as jnp

LARGEST = 4
"""The most unknowns for which this is worth its compile time."""

Factors = tuple[jax.Array, tuple[jax.Array, ...]]
"""L below the diagonal and U on it and above, [n, n]; the row that came to each place."""


def factorise(matrix: jax.Array) -> Factors:
    """Gaussian elimination with partial pivoting (Golub & Van Loan 2013, algorithm 3.4.1)."""
    n = matrix.shape[0]
    rows, column = [matrix[i] for i in range(n)], jnp.arange(n)
    pivots = []
    for k in range(n):
        best, pivot = jnp.abs(rows[k][k]), jnp.int32(k)
        for i in range(k + 1, n):
            size = jnp.abs(rows[i][k])
            pivot = jnp.where(size > best, i, pivot)
            best = jnp.maximum(best, size)
        _swap(rows, k, pivot)
        pivots.append(pivot)
        for i in range(k + 1, n):
            factor = rows[i][k] / rows[k][k]
            reduced = rows[i] - factor * rows[k]
            rows[i] = jnp.where(column < k, rows[i], jnp.where(column == k, factor, reduced))
    return jnp.stack(rows), tuple(pivots)


def solve(factors: Factors, b: jax.Array) -> jax.Array:
    """x with A x = b."""
    lu, pivots = factors
    n = len(pivots)
    x = [b[i] for i in range(n)]
    for k in range(n):
        _swap(x, k, pivots[k])
    for i in range(n):
        for k in range(i):
            x[i] = x[i] - lu[i, k] * x[k]
    for i in reversed(range(n)):
        for k in range(i + 1, n):
            x[i] = x[i] - lu[i, k] * x[k]
        x[i] = x[i] / lu[i, i]
    return jnp.stack(x)


def solve_transposed(factors: Factors, b: jax.Array) -> jax.Array:
    """x with A^T x = b."""
    return jax.linear_transpose(partial(solve, factors), b)(b)[0]


def _swap(rows: list[jax.Array], k: int, pivot: jax.Array) -> None:
    """Exchange row k with the row of this number, which is not above it."""
    for i in range(k + 1, len(rows)):
        above, below = rows[k], rows[i]
        rows[k] = jnp.where(pivot == i, below, above)
        rows[i] = jnp.where(pivot == i, above, below)
