"""Arithmetic on pytrees of arrays, in the words of linear algebra."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

tree_map = jax.tree_util.tree_map


def real_dtype(x: jax.Array) -> jnp.dtype:
    """The dtype of |x|."""
    return jnp.finfo(x.dtype).dtype


def scale(factor: ArrayLike, tree: Any) -> Any:
    """factor * tree, keeping every leaf's dtype."""
    return tree_map(lambda x: jnp.asarray(factor, real_dtype(x)) * x, tree)


def add(a: Any, b: Any) -> Any:
    """a + b, leaf by leaf."""
    return tree_map(jnp.add, a, b)


def subtract(a: Any, b: Any) -> Any:
    """a - b, leaf by leaf."""
    return tree_map(jnp.subtract, a, b)


def combine(weights: Sequence[float], trees: Sequence[Any]) -> Any:
    """sum_i weights[i] * trees[i], with the zero weights left out."""
    terms = [(w, tree) for w, tree in zip(weights, trees, strict=True) if w != 0]
    if not terms:
        return tree_map(jnp.zeros_like, trees[0])

    def leaf(*xs):
        total = terms[0][0] * xs[0]
        for (w, _), x in zip(terms[1:], xs[1:], strict=True):
            total = total + w * x
        return total

    return tree_map(leaf, *(tree for _, tree in terms))


def displace(y: Any, h: ArrayLike, dy: Any) -> Any:
    """y + h * dy, keeping every leaf's dtype."""
    return tree_map(lambda a, b: a + jnp.asarray(h, real_dtype(a)) * b, y, dy)


def select(condition: jax.Array, a: Any, b: Any) -> Any:
    """a where the scalar condition holds, else b."""
    return tree_map(lambda x, z: jnp.where(condition, x, z), a, b)


def per_row(mask: jax.Array, rows: jax.Array) -> jax.Array:
    """A mask of rows [n], shaped to stand beside an array of rows [n, ...]."""
    return mask.reshape(-1, *[1] * (rows.ndim - 1))


def row(tree: Any, index: ArrayLike) -> Any:
    """Entry `index` of every leaf's leading axis."""
    return tree_map(lambda x: jax.lax.dynamic_index_in_dim(x, index, keepdims=False), tree)


def set_row(tree: Any, index: ArrayLike, value: Any) -> Any:
    """The tree with entry `index` of every leaf's leading axis replaced."""
    return tree_map(
        lambda x, v: jax.lax.dynamic_update_index_in_dim(x, v.astype(x.dtype), index, 0),
        tree,
        value,
    )


def all_finite(tree: Any) -> jax.Array:
    """Whether every entry of every leaf is finite (a boolean scalar)."""
    checks = [jnp.all(jnp.isfinite(x)) for x in jax.tree_util.tree_leaves(tree)]
    return jnp.all(jnp.stack(checks)) if checks else jnp.asarray(True)


def is_differentiable(x: Any) -> bool:
    """Whether a leaf is a real or complex array, so that it can have a cotangent."""
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.inexact)


def zero_cotangent(tree: Any) -> Any:
    """Cotangents of zero: zeros for real and complex leaves, float0 for integers and keys."""
    return tree_map(
        lambda x: (
            jnp.zeros_like(x) if is_differentiable(x) else np.zeros(jnp.shape(x), jax.dtypes.float0)
        ),
        tree,
    )


def nbytes(tree: Any) -> int:
    """The memory of all leaves together, in bytes."""
    leaves = jax.tree_util.tree_leaves(tree)
    return sum(int(np.prod(x.shape)) * x.dtype.itemsize for x in leaves)
