"""Norms of a state, and the scaled norm by which the step size is controlled."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .trees import tree_map
from .types import Norm, Scalar, State

leaves_of = jax.tree_util.tree_leaves


def _squares(tree: Any) -> Scalar:
    parts = [jnp.sum(jnp.square(jnp.abs(x))) for x in leaves_of(tree)]
    dtype = jnp.result_type(jnp.float32, *parts)
    return sum((p.astype(dtype) for p in parts), start=jnp.zeros((), dtype))


def rms_norm(tree: Any) -> Scalar:
    """Root mean square over all entries of all leaves (Hairer, Nørsett & Wanner 1993, II.4)."""
    count = sum(x.size for x in leaves_of(tree))
    return jnp.sqrt(_squares(tree) / count)


def max_norm(tree: Any) -> Scalar:
    """The largest absolute value over all entries of all leaves."""
    parts = [jnp.max(jnp.abs(x)) for x in leaves_of(tree) if x.size]
    return jnp.max(jnp.stack([p.astype(jnp.result_type(jnp.float32, *parts)) for p in parts]))


class Tolerance(NamedTuple):
    """Relative and absolute tolerances: pytrees like the state, leaves broadcast to its leaves."""

    rtol: Any
    atol: Any

    def scale(self, *ys: State) -> State:
        """atol + rtol * max(|y|, ...), the size of error that is tolerated, entry by entry."""

        def leaf(rtol, atol, *xs):
            size = jnp.abs(xs[0])
            for x in xs[1:]:
                size = jnp.maximum(size, jnp.abs(x))
            return atol.astype(size.dtype) + rtol.astype(size.dtype) * size

        return tree_map(leaf, self.rtol, self.atol, *ys)


def scaled_norm(value: State, scale: State, norm: Norm | None) -> Scalar:
    """The norm of value / scale; entries of infinite scale (quadratures) do not count.

    Args:
        value: an error or a state.
        scale: what `Tolerance.scale` returned.
        norm: a function of the scaled pytree, or None for the root mean square over the
            entries whose tolerance is finite.
    """
    scaled = tree_map(jnp.divide, value, scale)
    if norm is not None:
        return norm(scaled)
    counts = [jnp.sum(jnp.isfinite(x).astype(jnp.float32)) for x in leaves_of(scale)]
    squares = _squares(scaled)
    count = jnp.stack(counts).sum().astype(squares.dtype)
    return jnp.sqrt(squares / jnp.maximum(count, 1))
