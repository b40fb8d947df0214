"""Dense output: the solution inside a step as a polynomial in the fraction of the step."""

import jax.numpy as jnp

from ..core.trees import displace, tree_map
from ..core.types import Scalar, State


def evaluate(y: State, coefficients: tuple[State, ...], elapsed: Scalar, h: Scalar) -> State:
    """y(t + elapsed) = y + elapsed * sum_m coefficients[m] * (elapsed / h)**m.

    Written as a displacement from y, so that a step of zero length has the right derivative with
    respect to time (the first coefficient is then f).

    Args:
        y: the state at the beginning of the step.
        coefficients: one pytree like y per power, lowest first.
        elapsed: time since the beginning of the step (signed like h).
        h: the (signed) step size.
    """
    is_empty = h == 0
    fraction = jnp.where(is_empty, 0, elapsed / jnp.where(is_empty, 1, h))
    slope = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        slope = displace(coefficient, fraction, slope)
    return displace(y, elapsed, tree_map(lambda s, x: s.astype(x.dtype), slope, y))
