"""What all implicit methods share: a state as one flat vector, and a way to Jacobians of f."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ..core.types import Scalar, State, VectorField
from .jacobians import Dense, FlatField, Jacobian
from .solver import Solver


class Flat(NamedTuple):
    """An initial value problem for one vector."""

    f: FlatField
    x: jax.Array
    unflatten: Callable[[jax.Array], State]
    norm: Callable[[jax.Array], Scalar]


def flatten(field: VectorField, y: State, norm: Callable[[State], Scalar]) -> Flat:
    """The state, the field and the norm, on vectors."""
    x, unflatten = ravel_pytree(y)
    return Flat(
        lambda t, x: ravel_pytree(field(t, unflatten(x)))[0],
        x,
        unflatten,
        lambda x: norm(unflatten(x)),
    )


@dataclass(frozen=True)
class ImplicitSolver(Solver):
    """A method that solves equations with the Jacobian of f.

    Args:
        jacobian: how Jacobians are evaluated and solved with: `Dense()`, `Banded(lower, upper)`
            or `MatrixFree()`.
    """

    jacobian: Jacobian = Dense()
    is_implicit: ClassVar[bool] = True
    why_no_adjoints: ClassVar[str | None] = (
        "which is for stiff problems: solved backwards in time, what decays fast grows as fast"
    )

    def __post_init__(self) -> None:
        if not isinstance(self.jacobian, Jacobian):
            raise TypeError(
                f"{type(self).__name__}(jacobian=...) takes nd.Dense(), nd.Banded(lower, upper) "
                f"or nd.MatrixFree(), got {self.jacobian!r}"
            )

    def check(self, field: VectorField, y: State) -> None:
        """A real state, of a size that the Jacobian can take."""
        del field
        leaves = jax.tree_util.tree_leaves(y)
        if any(jnp.iscomplexobj(x) for x in leaves):
            raise TypeError(
                f"{type(self).__name__}() takes real states only, since f need not have a complex "
                f"derivative: write the real and imaginary parts as two real arrays, or use an "
                f"explicit solver such as nd.Tsit5()"
            )
        size = sum(x.size for x in leaves)
        self.jacobian.check(size, jnp.result_type(*leaves).itemsize)


def combine_flat(weights: Any, vectors: Any, like: jax.Array) -> jax.Array:
    """sum_i weights[i] vectors[i], zero for no terms; zero weights are left out."""
    terms = [w * v for w, v in zip(weights, vectors, strict=True) if w != 0]
    return sum(terms[1:], start=terms[0]) if terms else jnp.zeros_like(like)  # pyright: ignore[reportReturnType]
