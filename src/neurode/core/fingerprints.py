"""What a jaxpr computes, as a hashable key: equal keys mean equal programs.

When in doubt two keys differ, which costs a compilation and never a wrong answer.
"""

import types
from typing import Any

import jax
import numpy as np
from jax.extend import core as jex


def jaxpr_key(jaxpr: jex.Jaxpr) -> tuple:
    """A nested tuple that is equal for two jaxprs only if they compute the same."""
    numbers: dict[Any, int] = {}

    def number(var):
        if isinstance(var, jex.Literal):
            return ("literal", _aval_key(var.aval), np.asarray(var.val).tobytes())
        return numbers.setdefault(var, len(numbers))

    inputs = tuple((number(v), _aval_key(v.aval)) for v in (*jaxpr.constvars, *jaxpr.invars))
    equations = tuple(
        (
            eqn.primitive,
            tuple(number(v) for v in eqn.invars),
            tuple((number(v), _aval_key(v.aval)) for v in eqn.outvars),
            tuple((name, _value_key(value)) for name, value in sorted(eqn.params.items())),
        )
        for eqn in jaxpr.eqns
    )
    return (len(jaxpr.constvars), inputs, equations, tuple(number(v) for v in jaxpr.outvars))


def _aval_key(aval: Any) -> tuple:
    return tuple(getattr(aval, name, None) for name in ("shape", "dtype", "weak_type"))


class _Identity:
    """An object compared by identity and kept alive, for what has no usable equality."""

    def __init__(self, value: Any):
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _Identity) and self.value is other.value


def _value_key(value: Any) -> Any:
    """A hashable stand-in for a parameter of an equation."""
    if isinstance(value, jex.Jaxpr):
        return jaxpr_key(value)
    if isinstance(value, jex.ClosedJaxpr):
        return (jaxpr_key(value.jaxpr), tuple(_value_key(c) for c in value.consts))
    if isinstance(value, (tuple, list)):
        return (type(value), tuple(_value_key(v) for v in value))
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: str(item[0]))
        return tuple((str(name), _value_key(v)) for name, v in items)
    if isinstance(value, np.ndarray) and value.dtype != object:
        return ("array", value.shape, value.dtype, value.tobytes())
    if isinstance(value, jax.Array):
        return _Identity(value)
    if isinstance(value, types.FunctionType) or type(value).__name__ == "WrappedFun":
        return _rule_key(value)
    try:
        hash(value)
    except TypeError:
        return _Identity(value)
    return (type(value), value)


# JAX wraps the rules of custom_jvp and custom_vjp functions in fresh closures at every trace. What
# such a closure does is decided by the functions and the data it wraps; memo tables, stores and
# the trace that made it carry no meaning.
_BOOKKEEPING = ("DynamicJaxprTrace", "EqualStore", "Store", "DebugInfo", "dict", "object")


def _rule_key(rule: Any) -> Any:
    if type(rule).__name__ == "WrappedFun":
        transforms = tuple(
            (_rule_key(part[0]), tuple(_wrapped_key(p) for p in part[1]))
            for part in rule.transforms
        )
        return ("wrapped", _rule_key(rule.f), transforms)
    is_wrapper = (
        isinstance(rule, types.FunctionType)
        and (rule.__module__ or "").startswith("jax._src")
        and rule.__closure__ is not None
        and "<locals>" in rule.__qualname__
    )
    if not is_wrapper:
        return _Identity(rule)
    return (
        rule.__code__,
        tuple(_wrapped_key(cell.cell_contents) for cell in rule.__closure__ or ()),
    )


def _wrapped_key(value: Any) -> Any:
    if type(value).__name__ in _BOOKKEEPING:
        return type(value).__name__
    if isinstance(value, (tuple, list)):
        return tuple(_wrapped_key(v) for v in value)
    return _value_key(value)
