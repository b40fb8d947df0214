"""A Jacobian, and what was factorised with it, that several steps use again."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ..core.lanes import any_lane
from ..core.trees import select
from ..core.types import Scalar
from .implicit import Flat
from .jacobians import Jacobian

Factorise = Callable[[Any, Scalar], Any]
"""(J, c) -> I - c J, factorised; or several such matrices."""


class Linearisation(NamedTuple):
    """What Newton's method iterates with."""

    jacobian: Any
    factors: Any
    c: Scalar
    """The c that the factors are for."""
    is_stale: jax.Array
    """Whether the Jacobian is that of an earlier step."""
    wants_jacobian: jax.Array
    """Whether to evaluate it anew before it is used."""


def unlinearised(kind: Jacobian, factorise: Factorise, flat: Flat, t: Scalar) -> Linearisation:
    """Without a Jacobian yet."""

    def example(x):
        jacobian = kind.evaluate(flat.f, t, x)
        return jacobian, factorise(jacobian, jnp.zeros((), x.dtype))

    shapes = jax.eval_shape(example, flat.x)
    jacobian, factors = jax.tree_util.tree_map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    no = jnp.asarray(False)
    return Linearisation(jacobian, factors, jnp.zeros((), flat.x.dtype), no, ~no)


def refresh(
    kind: Jacobian,
    factorise: Factorise,
    flat: Flat,
    t: Scalar,
    x: jax.Array,
    c: Scalar,
    old: Linearisation,
) -> Linearisation:
    """Evaluate the Jacobian at (t, x) where it is wanted; factorise where it or c is another."""
    c = lax.stop_gradient(c)
    wants = old.wants_jacobian

    def evaluate():
        return select(wants, kind.evaluate(flat.f, t, x), old.jacobian)

    jacobian = lax.stop_gradient(lax.cond(any_lane(wants), evaluate, lambda: old.jacobian))
    is_other = wants | (c != old.c)

    def make_factors():
        return select(is_other, factorise(jacobian, c), old.factors)

    factors = lax.cond(any_lane(is_other), make_factors, lambda: old.factors)
    is_stale = old.is_stale & ~wants
    return Linearisation(jacobian, lax.stop_gradient(factors), c, is_stale, wants)
