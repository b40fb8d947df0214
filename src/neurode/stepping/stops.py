"""The next time at which a step must end: t1, a time to hit, or the near side of a jump of f."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ..core.clock import Clock, until
from ..core.types import Scalar
from .controller import Limits


class Stop(NamedTuple):
    """Where the next step must end at the latest.

    `restart` is where the clock goes on from: the far side of a jump, else the same time.
    """

    time: Scalar
    restart: Scalar
    is_end: Any
    is_jump: Any


def next_stop(limits: Limits, clock: Clock, direction: Scalar, t0: Scalar, t1: Scalar) -> Stop:
    """The nearest stop after the clock's time, in the direction of integration from t0 to t1."""
    if limits.step_at is None and limits.jump_at is None:
        return Stop(t1, t1, jnp.asarray(True), False)
    before, after, jumps = [], [], []
    if limits.step_at is not None:
        before.append(limits.step_at)
        after.append(limits.step_at)
        jumps.append(jnp.zeros(limits.step_at.shape, bool))
    if limits.jump_at is not None:
        at = limits.jump_at
        # So far from the jump that t + h, however rounded, stays on its side.
        largest = jnp.maximum(jnp.abs(at), jnp.maximum(jnp.abs(t0), jnp.abs(t1)))
        gap = direction * 2 * jnp.finfo(at.dtype).eps * largest
        before.append(at - gap)
        after.append(at + gap)
        jumps.append(jnp.ones(at.shape, bool))
    times, restarts, is_jump = (jnp.concatenate(parts) for parts in (before, after, jumps))
    distance = direction * until(clock, times)
    to_end = direction * until(clock, t1)
    # A jump at t1 itself is no jump inside the interval.
    is_inside = (distance > 0) & (direction * (t1 - restarts) >= 0) & (distance < to_end)
    distance = jnp.where(is_inside, distance, jnp.inf)
    nearest = jnp.argmin(distance)
    is_end = ~jnp.any(is_inside)
    return Stop(
        jnp.where(is_end, t1, times[nearest]),
        jnp.where(is_end, t1, restarts[nearest]),
        is_end,
        is_jump[nearest] & ~is_end,
    )
