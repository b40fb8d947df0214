"""Functions turned into data: everything a function closes over becomes an argument.

`hoist` traces a function once and returns a `Hoisted`, a pytree whose leaves are the arrays that
the function held or closed over (tracers of surrounding transformations among them), and whose
static part is its jaxpr. Two functions with equal jaxprs have equal static parts, so that a
compiled solve is found again by what a function computes, never by which object it is. A cache
keyed on identity would bake closed-over values in.
"""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core as jex

from .fingerprints import jaxpr_key


class Code:
    """A jaxpr with open constants, hashable and comparable by structure."""

    def __init__(self, jaxpr: jex.Jaxpr, out_tree: Any):
        self.jaxpr = jaxpr
        self.out_tree = out_tree
        self._key = (jaxpr_key(jaxpr), out_tree)
        self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: Any) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Code) and self._hash == other._hash and self._key == other._key
        )


class Hoisted(eqx.Module):
    """A traced function of which every array is a leaf.

    Attributes:
        held: the array leaves of the function itself (when it is a pytree) and of its bound
            arguments, in tracing order.
        consts: the arrays it closed over.
    """

    held: list[Any]
    consts: list[Any]
    code: Code = eqx.field(static=True)

    def __call__(self, *args: Any) -> Any:
        operands = [*self.held, *jax.tree_util.tree_leaves(args)]
        run = jex.jaxpr_as_fun(jex.ClosedJaxpr(self.code.jaxpr, self.consts))
        return jax.tree_util.tree_unflatten(self.code.out_tree, run(*operands))


def hoist(function: Callable, args: Sequence[Any], bound: Sequence[Any] = ()) -> Hoisted:
    """Trace `function(*args, *bound)` and hoist what it holds and closes over.

    Args:
        function: any callable; when it is a pytree its arrays become leaves of the result.
        args: example arguments (arrays or `jax.ShapeDtypeStruct`), free in the result.
        bound: further arguments, bound in the result. Their arrays and numbers become leaves.
    """
    holders = (function if _is_pytree_callable(function) else None, tuple(bound))
    leaves, treedef = jax.tree_util.tree_flatten(holders)
    is_dynamic = [_is_array_like(x) for x in leaves]
    held = [_as_array(x) for x, dynamic in zip(leaves, is_dynamic, strict=True) if dynamic]

    def traced(held, *args):
        fresh = iter(held)
        restored = [
            next(fresh) if dynamic else x for x, dynamic in zip(leaves, is_dynamic, strict=True)
        ]
        held_function, held_bound = jax.tree_util.tree_unflatten(treedef, restored)
        return (function if held_function is None else held_function)(*args, *held_bound)

    closed, out_shape = jax.make_jaxpr(traced, return_shape=True)(held, *args)
    out_tree = jax.tree_util.tree_structure(out_shape)
    return Hoisted(held, list(closed.consts), Code(closed.jaxpr, out_tree))


def output_shape(hoisted: Hoisted) -> Any:
    """The result's pytree of `jax.ShapeDtypeStruct`."""
    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in hoisted.code.jaxpr.outvars]
    return jax.tree_util.tree_unflatten(hoisted.code.out_tree, shapes)


def _is_pytree_callable(function: Callable) -> bool:
    """Whether the callable is a pytree node, so that its leaves can be taken out."""
    return not jax.tree_util.all_leaves([function])


def _is_array_like(x: Any) -> bool:
    return isinstance(x, (jax.Array, np.ndarray, np.generic, float, complex)) or (
        isinstance(x, int) and not isinstance(x, bool)
    )


def _as_array(x: Any) -> Any:
    return x if isinstance(x, jax.Array) else jnp.asarray(x)
