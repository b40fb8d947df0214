"""Banded linear systems as block tridiagonal ones, by cyclic reduction.

With blocks of max(lower, upper) rows a banded matrix is block tridiagonal. Eliminating every
second block row at once halves their number, so that n blocks take log2(n) steps of batched
arithmetic instead of n small ones (Golub & Van Loan 2013, "Matrix Computations", 4.5.4). The last
few rows are one dense matrix: halving on would take as long, and each halving has to be compiled.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

DENSE_SIZE = 32
"""So many rows and columns are inverted as they are."""


SMALL = 4
"""Products of blocks up to this size are sums, which XLA fuses; larger ones, matrix products."""


class Level(NamedTuple):
    """One halving. With rows counted from 0, the odd ones are eliminated."""

    lower: jax.Array
    """A_i D_(i-1)^-1 of the even rows i, [rows, block, block]: couples to the odd row before."""
    upper: jax.Array
    """C_i D_(i+1)^-1 of the even rows i: couples to the odd row after."""
    before: jax.Array
    """D_i^-1 A_i of the odd rows i: their dependence on the even row before."""
    after: jax.Array
    """D_i^-1 C_i of the odd rows i: on the even row after."""
    inverse: jax.Array
    """D_i^-1 of the odd rows."""


class BlockTridiagonal(NamedTuple):
    """A factorised matrix: the halvings, and the inverse of the blocks that are left."""

    levels: tuple[Level, ...]
    last: jax.Array


def banded_from_columns(columns: jax.Array, lower: int, upper: int) -> jax.Array:
    """The band of a matrix from its products with colours.

    Args:
        columns: J @ seed_k for each colour k, [colours, n]; seed_k is one where j % width == k.
        lower: the number of diagonals below the main one.
        upper: the number of diagonals above it.

    Returns:
        Rows of the band, [lower + upper + 1, n]: entry [upper + i - j, j] is J_ij, zero outside.
    """
    width, n = lower + upper + 1, columns.shape[1]
    j = jnp.arange(n)
    i = j + jnp.arange(-upper, lower + 1)[:, None]
    values = columns[j % width, jnp.clip(i, 0, n - 1)]
    return jnp.where((i >= 0) & (i < n), values, 0)


def factorise_banded(band: jax.Array, lower: int, upper: int) -> BlockTridiagonal:
    """Factorise a banded matrix, given as `banded_from_columns` returns it."""
    before, diagonal, after = _blocks(band, lower, upper)
    levels = []
    while diagonal.shape[0] * diagonal.shape[1] > DENSE_SIZE and diagonal.shape[0] > 1:
        inverse = _inverse(diagonal[1::2])
        odd = Level(
            before[0::2],
            after[0::2],
            _times(inverse, before[1::2]),
            _times(inverse, after[1::2]),
            inverse,
        )
        # The neighbours of even row i are odd rows number i/2 - 1 and i/2; beyond the ends, zero.
        count = odd.lower.shape[0]
        left = Level(*(_shift(x, count) for x in odd))
        right = Level(*(_fit(x, count) for x in odd))
        diagonal = diagonal[0::2] - _times(odd.lower, left.after) - _times(odd.upper, right.before)
        before = -_times(odd.lower, left.before)
        after = -_times(odd.upper, right.after)
        to_left, to_right = _times(odd.lower, left.inverse), _times(odd.upper, right.inverse)
        levels.append(odd._replace(lower=to_left, upper=to_right))
    return BlockTridiagonal(tuple(levels), _inverse(_joined(before, diagonal, after)[None])[0])


def solve_banded(factors: BlockTridiagonal, b: jax.Array) -> jax.Array:
    """x with A x = b, for the A that was factorised; linear in b."""
    block = (factors.levels[0].inverse if factors.levels else factors.last).shape[-1]
    rows = -(-b.size // block)
    x = jnp.pad(b, (0, rows * block - b.size)).reshape(rows, block)
    kept = []
    for level in factors.levels:
        even, odd = x[0::2], x[1::2]
        count = even.shape[0]
        x = even - _apply(level.lower, _shift(odd, count)) - _apply(level.upper, _fit(odd, count))
        kept.append(odd)
    x = (factors.last @ x.reshape(-1)).reshape(x.shape)
    for level, odd in zip(reversed(factors.levels), reversed(kept), strict=True):
        count = odd.shape[0]
        solved = (
            _apply(level.inverse, odd)
            - _apply(level.before, x[:count])
            - _apply(level.after, _fit(x[1:], count))
        )
        pairs = jnp.stack([x[:count], solved], axis=1).reshape(2 * count, block)
        x = jnp.concatenate([pairs, x[count:]])
    return x.reshape(-1)[: b.size]


def _joined(before: jax.Array, diagonal: jax.Array, after: jax.Array) -> jax.Array:
    """The matrix of these blocks."""
    rows, block, _ = diagonal.shape
    places = (jnp.eye(rows, k=k, dtype=diagonal.dtype) for k in (-1, 0, 1))
    parts = zip((before, diagonal, after), places, strict=True)
    full = sum(x[:, :, None, :] * place[:, None, :, None] for x, place in parts)
    return jnp.reshape(full, (rows * block, rows * block))


def _inverse(blocks: jax.Array) -> jax.Array:
    """The inverses of blocks [rows, block, block]; the smallest by formula, which compiles fast."""
    size = blocks.shape[-1]
    if size == 1:
        return 1 / blocks
    if size == 2:
        (a, b), (c, d) = (blocks[:, i].T for i in (0, 1))
        adjoint = jnp.stack([jnp.stack([d, -b], -1), jnp.stack([-c, a], -1)], -2)
        return adjoint / (a * d - b * c)[:, None, None]
    return jnp.linalg.inv(blocks)


def _apply(matrices: jax.Array, vectors: jax.Array) -> jax.Array:
    if matrices.shape[-1] <= SMALL:
        return jnp.sum(matrices * vectors[:, None, :], axis=-1)
    return jnp.einsum("nij,nj->ni", matrices, vectors)


def _times(a: jax.Array, b: jax.Array) -> jax.Array:
    if a.shape[-1] <= SMALL:
        return jnp.sum(a[:, :, :, None] * b[:, None, :, :], axis=2)
    return a @ b


def _shift(x: jax.Array, count: int) -> jax.Array:
    """Entry i is x[i - 1], zero beyond the ends; `count` entries."""
    return _fit(jnp.concatenate([jnp.zeros_like(x[:1]), x]), count)


def _fit(x: jax.Array, count: int) -> jax.Array:
    """The first `count` entries, zero beyond the end."""
    missing = max(0, count - x.shape[0])
    return jnp.pad(x, ((0, missing), *[(0, 0)] * (x.ndim - 1)))[:count]


def _blocks(band: jax.Array, lower: int, upper: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The blocks left of the diagonal, on it, and right of it, [rows, block, block] each."""
    n = band.shape[1]
    block = max(lower, upper, 1)
    rows = -(-n // block)
    i = jnp.arange(rows * block).reshape(rows, block, 1)

    def part(offset):
        j = (jnp.arange(rows)[:, None, None] + offset) * block + jnp.arange(block)
        diagonal = upper + i - j
        inside = (diagonal >= 0) & (diagonal <= lower + upper) & (j >= 0) & (j < n) & (i < n)
        values = band[jnp.clip(diagonal, 0, lower + upper), jnp.clip(j, 0, n - 1)]
        # Rows that only fill the last block up are rows of the identity.
        return jnp.where(inside, values, ((i == j) & (i >= n)).astype(band.dtype))

    return part(-1), part(0), part(1)
