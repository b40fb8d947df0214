"""Cotangents of many lanes, as those of the inputs that the lanes share or have for themselves."""

from typing import Any

import jax
import jax.numpy as jnp

from ..core.trees import is_differentiable, per_row


def sum_shared(cotangents: Any, inputs: Any, batched: tuple[bool, ...]) -> Any:
    """Add up, over lanes, what stands per lane although the input is shared.

    Args:
        cotangents: like the inputs.
        inputs: with a leading axis of lanes where they differ.
        batched: which leaves differ.
    """
    leaves, treedef = jax.tree_util.tree_flatten(cotangents)
    primals = jax.tree_util.tree_leaves(inputs)
    summed = [
        jnp.sum(x, axis=0) if not is_own and jnp.ndim(x) > jnp.ndim(primal) else x
        for x, is_own, primal in zip(leaves, batched, primals, strict=True)
    ]
    return treedef.unflatten(summed)


def spoil_lanes(cotangents: Any, batched: tuple[bool, ...], is_spoilt: jax.Array) -> Any:
    """NaN for some lanes, [lanes], and for what they share with the others."""
    leaves, treedef = jax.tree_util.tree_flatten(cotangents)

    def leaf(x, is_own):
        if not is_differentiable(x):
            return x
        spoilt = per_row(is_spoilt, x) if is_own else jnp.any(is_spoilt)
        return jnp.where(spoilt, jnp.nan, x)

    return treedef.unflatten([leaf(x, b) for x, b in zip(leaves, batched, strict=True)])
