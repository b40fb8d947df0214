"""Counted loops that can be differentiated, at a cost that follows the count."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from ..core.lanes import any_lane, freeze, while_any
from ..core.trees import select

_BASE = 16


def bounded_loop(
    count: jax.Array, body: Callable[[jax.Array, Any], Any], carry: Any, bound: int
) -> Any:
    """carry = body(i, carry) for i in 0 ... count - 1, where count <= bound.

    Nested scans of length 16, each level rematerialised and skipped once the count is reached, so
    that memory in reverse mode grows with the logarithm of the bound.

    Args:
        count: how often, known at run time; may differ between lanes.
        body: the loop's body.
        carry: where it starts.
        bound: the largest possible count.
    """
    if bound == 1:
        return _once(count, body, jnp.zeros((), jnp.int32), carry)
    level, width = 0, 1
    while width < bound:
        level, width = level + 1, width * _BASE
    return _level(count, body, jnp.zeros((), jnp.int32), carry, level)


def counted_loop(
    count: jax.Array, body: Callable[[jax.Array, Any], Any], carry: Any, bound: int
) -> Any:
    """The same by one while loop: cheaper, but with derivatives in forward mode only."""
    del bound

    def step(state):
        index, carry = state
        is_wanted = index < count
        return index + is_wanted, freeze(is_wanted, body(index, carry), carry)

    zero = jnp.zeros((), jnp.int32)
    return while_any(lambda state: state[0] < count, step, (zero, carry))[1]


def _once(count, body, index, carry):
    return select(index < count, body(index, carry), carry)


def _level(count, body, first, carry, level):
    if level == 0:
        return _once(count, body, first, carry)
    width = _BASE ** (level - 1)

    @jax.checkpoint
    def run(first, carry):
        return _level(count, body, first, carry, level - 1)

    def scanned(carry, i):
        start = first + i * width
        is_needed = any_lane(start < count)
        return jax.lax.cond(is_needed, run, lambda _, same: same, start, carry), None

    return jax.lax.scan(scanned, carry, jnp.arange(_BASE, dtype=jnp.int32))[0]
