"""Arrays of many lanes: which lanes, which rows of each, and where the lanes lie."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..core.trees import tree_map


def lanes_last(tree: Any) -> Any:
    """Arrays with their leading axis, the lanes, moved to the end."""
    return tree_map(lambda x: jnp.moveaxis(x, 0, -1), tree)


def lanes_first(tree: Any) -> Any:
    """Arrays with their last axis, the lanes, moved to the front."""
    return tree_map(lambda x: jnp.moveaxis(x, -1, 0), tree)


def take(tree: Any, ids: jax.Array) -> Any:
    """Some of the lanes."""
    return tree_map(lambda x: jnp.take(x, ids, axis=-1, mode="clip"), tree)


def put(tree: Any, ids: jax.Array, part: Any) -> Any:
    """The tree with some lanes replaced."""
    return tree_map(lambda x, v: x.at[..., ids].set(v), tree, part)


def borrow(own: Any, is_idle: jax.Array) -> Any:
    """What differs between lanes, where the idle ones have another lane's.

    They are computed along with the others and multiplied by zero; NaN would remain.
    """
    order = jnp.where(is_idle, jnp.argmin(is_idle), jnp.arange(len(is_idle)))
    return lax.cond(jnp.any(is_idle), lambda own: take(own, order), lambda own: own, own)


def first_where(chosen: jax.Array) -> jax.Array:
    """All lanes' numbers, those of the chosen first. A sort would take three times as long."""
    number, before = jnp.arange(len(chosen)), jnp.cumsum(chosen) - chosen
    to = jnp.where(chosen, before, jnp.sum(chosen) + number - before)
    return number.at[to].set(number, unique_indices=True, mode="promise_in_bounds")


def window(n: int) -> jax.Array:
    """Numbers of the rows that are looked at together, [rows, 1], when there are n."""
    return jnp.arange(min(4, n))[:, None]


def save_times(ts: jax.Array, numbers: jax.Array) -> jax.Array:
    """The save times with these numbers [rows, lanes], of times [rows] or [rows, lanes]."""
    if ts.ndim == 1:
        return jnp.take(ts, numbers, mode="clip")
    return jnp.take_along_axis(ts, numbers, axis=0, mode="clip")


def put_windows(rows: jax.Array, at: jax.Array, values: jax.Array) -> jax.Array:
    """Flat rows with values [window, ..., lanes], where `at` is the first row of each lane's."""
    values = values.reshape(len(values), -1, values.shape[-1])
    numbers = lax.ScatterDimensionNumbers((0, 1), (), (0,))
    return lax.scatter(
        rows, at[:, None], values, numbers, unique_indices=True, mode="promise_in_bounds"
    )
