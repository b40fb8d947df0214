"""The history of a multistep method as modified divided differences of f.

Krogh's (1969) and Shampine & Gordon's (1975) form of the Adams methods with variable steps, as in
Hairer, Norsett & Wanner (1993), "Solving Ordinary Differential Equations I", III.5:

    Phi_j(n)  = prod_(i<j) (x_n - x_(n-1-i)) f[x_n, ..., x_(n-j)]                      (5.9)
    Phi*_j(n) = beta_j Phi_j(n),  beta_j = prod_(i<j) (x_(n+1) - x_(n-i)) / (x_n - x_(n-1-i))

so that the polynomial through the last k derivatives is sum_(j<k) Q_j Phi*_j(n), with
Q_j(theta) = prod_(i<j) (x - x_(n-i)) / (x_(n+1) - x_(n-i)) at x = x_n + theta h.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..core.trees import tree_map
from ..core.types import Scalar, State


class History(NamedTuple):
    """What a multistep method remembers."""

    phi: State
    """Phi_0 ... Phi_m, stacked along a leading axis of every leaf."""
    sizes: jax.Array
    """The last (signed) step sizes, latest first."""


class Nodes(NamedTuple):
    """How the points of the history lie, seen from a step."""

    shares: jax.Array
    """r_i = h / (x_(n+1) - x_(n-i)); Q_(j+1) = Q_j (1 - r_j (1 - theta))."""
    beta: jax.Array
    """Factors from Phi_j to Phi*_j."""


def begin(dy: State, columns: int, dtype: Any) -> History:
    """A history of one point."""
    phi = tree_map(lambda x: jnp.zeros((columns, *x.shape), x.dtype).at[0].set(x), dy)
    return History(phi, jnp.zeros(columns, dtype))


def nodes(history: History, h: Scalar) -> Nodes:
    """The points' places relative to a step of size h."""
    back = jnp.cumsum(history.sizes)  # x_n - x_(n-1-i)
    # From x_(n+1) to x_(n-i). Points that are not there yet have distance zero.
    ahead = h + jnp.concatenate([jnp.zeros_like(back[:1]), back[:-1]])
    shares = jnp.where(ahead == 0, 1, h / jnp.where(ahead == 0, 1, ahead)).at[0].set(1)
    ratios = ahead / jnp.where(back == 0, 1, back)
    ratios = jnp.where(back == 0, 0, ratios)
    beta = jnp.concatenate([jnp.ones_like(back[:1]), jnp.cumprod(ratios)[:-1]])
    return Nodes(shares, beta)


def integrals(shares: jax.Array) -> jax.Array:
    """g_j, the integral of Q_j over the step in units of h, for j = 0 ... len(shares).

    By Gauss' rule with enough points to be exact: it needs products only, no recursion.
    """
    count = shares.shape[0]
    points, weights = np.polynomial.legendre.leggauss(count // 2 + 1)
    rest = jnp.asarray((1 - points) / 2, shares.dtype)
    weights = jnp.asarray(weights / 2, shares.dtype)
    product = jnp.ones_like(rest)
    found = [jnp.ones((), shares.dtype)]
    for i in range(count):
        product = product * (1 - shares[i] * rest)
        found.append(jnp.sum(weights * product))
    return jnp.stack(found)


def shifted(history: History, beta: jax.Array, count: Any) -> State:
    """Phi*_j for j < count, zero beyond."""
    weights = jnp.where(jnp.arange(beta.shape[0]) < count, beta, 0)
    return tree_map(lambda x: _weigh(weights, x) * x, history.phi)


def differences(star: State, dy: State, count: Any) -> State:
    """Phi_j(n+1) for j < count, zero beyond: dy - Phi*_0 - ... - Phi*_(j-1)."""

    def leaf(star, dy):
        total = jnp.cumsum(star, axis=0)
        before = jnp.concatenate([jnp.zeros_like(total[:1]), total[:-1]])
        kept = jnp.arange(star.shape[0]) < count
        return jnp.where(kept.reshape(-1, *[1] * dy.ndim), dy - before, 0)

    return tree_map(leaf, star, dy)


def weighted(weights: jax.Array, phi: State) -> State:
    """sum_j weights_j Phi_j."""
    return tree_map(lambda x: jnp.tensordot(weights.astype(x.dtype), x, 1), phi)


def column(phi: State, j: Any) -> State:
    """Phi_j."""
    return tree_map(lambda x: jax.lax.dynamic_index_in_dim(x, j, keepdims=False), phi)


def follow(history: History, phi: State, h: Scalar) -> History:
    """The history one step later."""
    sizes = jnp.concatenate([h[None].astype(history.sizes.dtype), history.sizes[:-1]])
    return History(phi, sizes)


def powers(shares: jax.Array, terms: State) -> tuple[State, ...]:
    """Coefficients of the integral of sum_j Q_j terms_j, as dense output takes them.

    The recursion adds positive numbers only, so that nothing cancels.
    """
    count = jax.tree_util.tree_leaves(terms)[0].shape[0]
    rows = [jnp.zeros(count, shares.dtype).at[0].set(1)]
    for i in range(count - 1):
        last = rows[-1]
        raised = jnp.concatenate([jnp.zeros_like(last[:1]), last[:-1]])
        rows.append((1 - shares[i]) * last + shares[i] * raised)
    matrix = jnp.stack(rows, axis=1) / jnp.arange(1, count + 1, dtype=shares.dtype)[:, None]
    stacked = tree_map(lambda x: jnp.tensordot(matrix.astype(x.dtype), x, 1), terms)
    return tuple(tree_map(lambda x, m=m: x[m], stacked) for m in range(count))


def _weigh(weights: jax.Array, rows: jax.Array) -> jax.Array:
    return weights.astype(rows.dtype).reshape(-1, *[1] * (rows.ndim - 1))
