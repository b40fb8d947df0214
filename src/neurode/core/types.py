"""Names for the types that every room uses."""

from collections.abc import Callable
from typing import Any, TypeAlias

from jaxtyping import Array, Float, Inexact, PyTree, Shaped

State: TypeAlias = PyTree[Inexact[Array, "..."]]
"""The state y: any pytree of real or complex arrays."""

Scalar: TypeAlias = Float[Array, ""]
"""A real scalar array: a time, a step size, a norm."""

Times: TypeAlias = Float[Array, " times"]

VectorField: TypeAlias = Callable[[Scalar, State], State]
"""f(t, y) -> dy/dt, with everything else already bound."""

Rows: TypeAlias = PyTree[Shaped[Array, "times ..."]]
"""A pytree whose leaves have one leading entry per save time."""

Norm: TypeAlias = Callable[[Any], Scalar]
