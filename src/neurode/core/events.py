"""Events: real functions of time and state whose sign changes end a solve."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from .trees import is_differentiable, real_dtype, tree_map
from .types import Scalar, State, VectorField


class Event(eqx.Module):
    """An event that ends a solve, where a function of time and state changes its sign.

    Gradients flow to everything the function holds, closes over or is given in args.

    Args:
        fn: `fn(t, y, *args)`, one real number. An `equinox.Module` may hold trainable arrays.
        direction: which sign changes count, in the direction of integration: +1 from negative to
            positive, -1 from positive to negative, 0 both.

    Raises:
        TypeError: when fn is not a function.
        ValueError: when direction is not -1, 0 or 1.
    """

    fn: Callable
    direction: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        if not callable(self.fn):
            raise TypeError(f"Event(fn) takes a function fn(t, y, *args), got {self.fn!r}")
        if isinstance(self.direction, bool) or self.direction not in (-1, 0, 1):
            raise ValueError(
                f"Event(direction=...) is +1 (rising), -1 (falling) or 0 (both), "
                f"got {self.direction!r}"
            )


class Events(NamedTuple):
    """Several events as one function; a pytree."""

    function: Any
    """Hoisted (t, y) -> [events]."""
    directions: jax.Array
    """[events], each -1, 0 or 1."""

    def has_crossed(self, side: jax.Array, values: jax.Array) -> jax.Array:
        """Which events lie on the other side than before (side: -1, 1; 0 not known yet)."""
        now = jnp.sign(values)
        return (side * now < 0) & ((self.directions == 0) | (self.directions == now))


def total_derivative(
    function: Callable, field: VectorField, t: Scalar, y: State
) -> tuple[jax.Array, jax.Array]:
    """The function g(t, y), and dg/dt along the solution."""
    return jax.jvp(function, (t, y), (jnp.ones_like(t), field(t, y)))


def blank(tree: Any, is_missing: jax.Array) -> Any:
    """NaN where the mask holds (of the leading axes), and an infinite derivative there.

    A loss that depends on what is missing is NaN, and so must be its gradient. Multiplying twice by
    the largest number makes every cotangent infinite but zero, and leaves zero what it is.
    """

    def leaf(x):
        if not is_differentiable(x):
            return x
        mask = is_missing.reshape(is_missing.shape + (1,) * (x.ndim - is_missing.ndim))
        factor = jnp.where(mask, jnp.asarray(jnp.finfo(x.dtype).max, real_dtype(x)), 0)
        return jnp.where(mask, jnp.nan, x) + (x - jax.lax.stop_gradient(x)) * factor * factor

    return tree_map(leaf, tree)
