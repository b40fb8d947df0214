"""Vector fields whose weights change along the depth of an ODE."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class DepthVarying(eqx.Module):
    """dy/dt = field(t, y) with weights w(t) = c0 P0(s) + c1 P1(s) + …, s = 2 t - 1.

    The P are Legendre polynomials, so that the field stays smooth in t and a solver keeps its
    order. A stack of residual blocks has weights of its own in every block; this is its
    continuous counterpart, with degree + 1 times the weights of a field.

    Source: S. Massaroli et al., "Dissecting Neural ODEs", NeurIPS 2020, section 3 (Galerkin).

    Attributes:
        coefficients: the field, each array with a new first axis of length degree + 1.
    """

    coefficients: Callable[..., Any]

    def __init__(self, field: Callable[..., Any], degree: int):
        """Start as the field itself: all coefficients but the first are zero.

        Args:
            field: a module (t, y) -> dy/dt.
            degree: of the polynomials; 0 is the field itself.
        """

        def spread(weights):
            zeros = jnp.zeros((degree, *weights.shape), weights.dtype)
            return jnp.concatenate([weights[None], zeros])

        arrays, rest = eqx.partition(field, eqx.is_inexact_array)
        self.coefficients = eqx.combine(jax.tree.map(spread, arrays), rest)

    def __call__(self, t: Float[Array, ""], y: Any) -> Any:
        """Evaluate the field with the weights of depth t in [0, 1]."""
        arrays, rest = eqx.partition(self.coefficients, eqx.is_inexact_array)
        degree = len(jax.tree.leaves(arrays)[0]) - 1
        basis = evaluate_legendre(2 * t - 1, degree)
        weights = jax.tree.map(lambda c: jnp.tensordot(basis.astype(c.dtype), c, 1), arrays)
        return eqx.combine(weights, rest)(t, y)


def evaluate_legendre(s: Float[Array, ""], degree: int) -> Float[Array, " degree+1"]:
    """The Legendre polynomials P0(s), …, by Bonnet's recursion.

    Args:
        s: from -1 to 1.
        degree: of the last one.
    """
    values = [jnp.ones_like(s), s]
    for n in range(1, degree):
        values.append(((2 * n + 1) * s * values[n] - n * values[n - 1]) / (n + 1))
    return jnp.stack(values[: degree + 1])
