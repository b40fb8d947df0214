"""The functions users write: called as they expect, checked, and told apart by what they do."""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jex
from jaxtyping import Array

from neurode.estimators.estimator import SettingError
from neurode.models import Parameters, UnknownParameter


def wrap_ode(ode: Callable, size: int) -> Callable:
    """`ode(t, y, p)` with its result as an array [size].

    A list or tuple of `size` numbers is stacked, so that an ODE can be written as in a textbook.

    Raises (when called):
        SettingError: the result is no such array, or an unknown parameter was asked for.
    """

    def rate(t: Array, y: Array, p: Parameters) -> Array:
        try:
            result = ode(t, y, p)
        except UnknownParameter as error:
            raise SettingError(str(error)) from None
        return as_rate(result, size)

    return rate


class FittedODE(eqx.Module):
    """An ODE with its parameters put in: `field(t, y) -> dy/dt`.

    Attributes:
        ode: the user's `ode(t, y, p)`.
        names: its parameters.
        values: their values, [k].
    """

    ode: Callable = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    values: Any

    def __call__(self, t: Array, y: Array) -> Array:
        """The rate of y at time t."""
        p = Parameters(zip(self.names, jnp.asarray(self.values), strict=True))
        return wrap_ode(self.ode, y.shape[-1])(t, y, p)


def as_rate(result: Any, size: int) -> Array:
    """A field's result as an array [size].

    Raises:
        SettingError: it is none.
    """
    try:
        if isinstance(result, (list, tuple)):
            result = jnp.stack([jnp.asarray(part) for part in result])
        result = jnp.asarray(result)
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"the field must return {size} numbers, the rate of each variable; it returned "
            f"{result!r}"
        ) from error
    if result.shape != (size,):
        raise SettingError(
            f"the field must return an array of shape ({size},), the rate of each of the {size} "
            f"variables; it returned one of shape {result.shape}. Components of the state that are "
            "not in the data are named with unobserved={name: guess}"
        )
    return result


def trace_ode(ode: Callable, names: Sequence[str], size: int) -> jex.ClosedJaxpr:
    """What `ode(t, y, p)` computes, in double precision.

    Raises:
        SettingError: it does not return `size` numbers, or uses a parameter that is not in
            `names`, or leaves one of them unused.
    """
    with jax.enable_x64(True):
        number = jax.ShapeDtypeStruct((), float)
        parameters = Parameters({name: number for name in names})
        state = jax.ShapeDtypeStruct((size,), float)
        jaxpr = jax.make_jaxpr(wrap_ode(ode, size))(number, state, parameters)
    used = _used_inputs(jaxpr.jaxpr)
    # The leaves of p stand in the order of its names, behind t and y.
    for name, is_used in zip(names, used[2:], strict=True):
        if not is_used:
            raise SettingError(
                f"parameter {name!r} is not used by the ODE, so no data can determine it: leave "
                "it out of parameters={…}, or use p." + name
            )
    return jaxpr


def trace_field(field: Callable, size: int, dtype: Any) -> jex.ClosedJaxpr:
    """What `field(t, y)` computes; its arrays are inputs, so that their values do not matter.

    Raises:
        SettingError: it does not return `size` numbers.
    """
    arrays, rest = eqx.partition(field, eqx.is_array)

    def rate(arrays, t, y):
        result = eqx.combine(arrays, rest)(t, y)
        if isinstance(result, (list, tuple)):
            raise SettingError(
                f"the field must return one array, the rate of y; it returned a "
                f"{type(result).__name__}: wrap it in jnp.stack"
            )
        return as_rate(result, size)

    with jax.enable_x64(np.dtype(dtype) == np.float64):
        number = jax.ShapeDtypeStruct((), dtype)
        state = jax.ShapeDtypeStruct((size,), dtype)
        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arrays)
        return jax.make_jaxpr(rate)(shapes, number, state)


def fingerprint(jaxpr: jex.ClosedJaxpr) -> str:
    """A SHA-256 of a program and its constants, the same in every process.

    It depends on how JAX writes programs down, so another version of JAX may give another one.
    """
    # Addresses in memory, as functions print them, mean nothing to another process.
    digest = hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", str(jaxpr.jaxpr)).encode())
    for const in jaxpr.consts:
        value = np.asarray(const)
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def _used_inputs(jaxpr: jex.Jaxpr) -> list[bool]:
    """Whether each input can reach an output."""
    needed = {var for var in jaxpr.outvars if not isinstance(var, jex.Literal)}
    for equation in reversed(jaxpr.eqns):
        if needed.intersection(equation.outvars):
            needed.update(v for v in equation.invars if not isinstance(v, jex.Literal))
    return [var in needed for var in jaxpr.invars]
