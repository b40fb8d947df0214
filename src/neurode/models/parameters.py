"""Named parameters of an ODE, and the free numbers behind them that an optimiser may move."""

import math
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


@jax.tree_util.register_pytree_with_keys_class
class Parameters(dict):
    """The p of `ode(t, y, p)`: parameters by name, as `p["alpha"]` or `p.alpha`."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __missing__(self, name: Any) -> Any:
        raise UnknownParameter(
            f"the ODE asks for a parameter {name!r}, which is not among {', '.join(self)}; add it "
            "to parameters={…} with a start value, or correct its name in the ODE"
        )

    def tree_flatten_with_keys(self):
        """The values with their names, for JAX."""
        return [(jax.tree_util.DictKey(k), v) for k, v in self.items()], tuple(self)

    @classmethod
    def tree_unflatten(cls, names, values) -> "Parameters":
        """The inverse, for JAX."""
        return cls(zip(names, values, strict=True))


class UnknownParameter(AttributeError, ValueError):
    """An ODE used a parameter that nobody named."""


class ParameterSpace(eqx.Module):
    """Which values the parameters may take, as a smooth bijection from all of R^k.

    Between two bounds it is the logistic function, above or below one bound the exponential, and
    without bounds a rescaling by the start value's size, so that a unit step of a free number is
    a change of comparable weight for every parameter.

    Attributes:
        names: the k parameters.
        lower: a lower bound for each, -inf for none.
        upper: an upper bound for each, inf for none.
        units: the size of each start value, used where there is no bound.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    lower: tuple[float, ...] = eqx.field(static=True)
    upper: tuple[float, ...] = eqx.field(static=True)
    units: Float[Array, " k"]

    @classmethod
    def around(
        cls, start: Mapping[str, float], bounds: Mapping[str, tuple[float, float]]
    ) -> "ParameterSpace":
        """The space around start values.

        Args:
            start: a value per parameter, strictly inside its bounds.
            bounds: (lower, upper) of some or all of them; infinite for none.
        """
        pairs = [bounds.get(name, (-math.inf, math.inf)) for name in start]
        sizes = [abs(value) or 1.0 for value in start.values()]
        lower, upper = (tuple(float(pair[i]) for pair in pairs) for i in (0, 1))
        return cls(tuple(start), lower, upper, jnp.asarray(sizes, jnp.result_type(float)))

    def values(self, free: Float[Array, " k"]) -> Float[Array, " k"]:
        """The parameters at some free numbers."""
        columns = zip(self.lower, self.upper, self.units, free, strict=True)
        return jnp.stack([_bounded(*column) for column in columns])

    def free(self, values: Any) -> np.ndarray:
        """The free numbers of parameters that lie strictly inside their bounds."""
        columns = zip(self.lower, self.upper, np.asarray(self.units), values, strict=True)
        return np.array([_unbounded(*column) for column in columns])

    def named(self, values: Float[Array, " k"]) -> Parameters:
        """The parameters by name, as an ODE takes them."""
        return Parameters(zip(self.names, values, strict=True))


def _bounded(lower: float, upper: float, unit: Any, free: Any) -> Any:
    has_lower, has_upper = math.isfinite(lower), math.isfinite(upper)
    if has_lower and has_upper:
        return lower + (upper - lower) * jax.nn.sigmoid(free)
    if has_lower:
        return lower + jnp.exp(free)
    if has_upper:
        return upper - jnp.exp(free)
    return unit * free


def _unbounded(lower: float, upper: float, unit: Any, value: Any) -> float:
    has_lower, has_upper = math.isfinite(lower), math.isfinite(upper)
    if has_lower and has_upper:
        return math.log((value - lower) / (upper - value))
    if has_lower:
        return math.log(value - lower)
    if has_upper:
        return math.log(upper - value)
    return float(value / unit)
