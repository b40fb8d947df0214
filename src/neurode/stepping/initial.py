"""The size of the first step."""

from collections.abc import Callable

import jax.numpy as jnp

from ..core.trees import displace, subtract
from ..core.types import Scalar, State, VectorField


def hairer_first_step(
    field: VectorField,
    t: Scalar,
    y: State,
    dy: State,
    direction: Scalar,
    span: Scalar,
    norm: Callable[[State], Scalar],
    error_order: int,
) -> Scalar:
    """A first step of about the right size, for one evaluation of f.

    Hairer, Nørsett & Wanner (1993), "Solving Ordinary Differential Equations I", II.4.

    Args:
        field: the vector field.
        t: the first time.
        y: the first state.
        dy: f(t, y).
        direction: +1 or -1.
        span: |t1 - t0|, an upper bound.
        norm: a norm that is 1 at the tolerance.
        error_order: the local error estimate is of order h**error_order.

    Returns:
        A positive step size, at most span.
    """
    d0, d1 = (norm(v).astype(span.dtype) for v in (y, dy))
    is_small = (d0 < 1e-5) | (d1 < 1e-5)
    h0 = jnp.where(is_small, 1e-6, 0.01 * d0 / jnp.where(is_small, 1, d1))
    h0 = jnp.minimum(h0, span)
    y1 = displace(y, direction * h0, dy)
    change = norm(subtract(field(t + direction * h0, y1), dy)).astype(span.dtype)
    d2 = change / jnp.where(h0 == 0, 1, h0)
    largest = jnp.maximum(d1, d2)
    is_flat = largest <= 1e-15
    h1 = jnp.where(
        is_flat,
        jnp.maximum(1e-6, h0 * 1e-3),
        (0.01 / jnp.where(is_flat, 1, largest)) ** (1 / error_order),
    )
    h = jnp.minimum(jnp.minimum(100 * h0, h1), span)
    # Where f is not finite the loop will say so; here the step size must stay a number.
    return jnp.where(jnp.isfinite(h), h, span).astype(span.dtype)
