"""Time as an unevaluated sum hi + lo, so that a long float32 integration never stalls.

Compensated summation (Knuth's two-sum): what a step adds is kept to the precision of the step
itself, even where `hi + h == hi` in floating point.
"""

from typing import NamedTuple

import jax.numpy as jnp

from .types import Scalar


class Clock(NamedTuple):
    """The time hi + lo, with |lo| below half a unit in the last place of hi."""

    hi: Scalar
    lo: Scalar


def start(t: Scalar) -> Clock:
    """A clock that shows exactly t."""
    return Clock(t, jnp.zeros_like(t))


def advance(clock: Clock, h: Scalar) -> Clock:
    """The clock after a (signed) step h, by two-sum."""
    step = clock.lo + h
    hi = clock.hi + step
    part = hi - clock.hi
    lo = (clock.hi - (hi - part)) + (step - part)
    return Clock(hi, lo)


def until(clock: Clock, t: Scalar) -> Scalar:
    """The signed time from the clock to t."""
    return (t - clock.hi) - clock.lo


def resolution(t: Scalar) -> Scalar:
    """The smallest step worth taking at t: what a compensated clock can still add up."""
    eps = jnp.finfo(t.dtype).eps
    return 16 * eps * eps * jnp.maximum(jnp.abs(t), jnp.finfo(t.dtype).tiny / eps**3)
