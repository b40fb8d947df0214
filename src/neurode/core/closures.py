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
from .lanes import unmarked, vary_over, varying_axes


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
        return isinstance(other, Code) and self._hash == other._hash and self._key == other._key


class Hoisted(eqx.Module):
    """A traced function of which every array is a leaf.

    Attributes:
        held: the arrays and numbers of its bound arguments.
        consts: the arrays it closed over.
    """

    held: list[Any]
    consts: list[Any]
    code: Code = eqx.field(static=True)

    def __call__(self, *args: Any) -> Any:
        """The function's result."""
        operands = [*self.held, *jax.tree_util.tree_leaves(args)]
        run = jex.jaxpr_as_fun(jex.ClosedJaxpr(self.code.jaxpr, self.consts))
        return jax.tree_util.tree_unflatten(self.code.out_tree, run(*operands))


def hoist(
    function: Callable, args: Sequence[Any], bound: Sequence[Any] = (), reuse: bool = False
) -> Hoisted:
    """Trace `function(*args, *bound)` and hoist what it holds and closes over.

    Args:
        function: any callable.
        args: example arguments (arrays or `jax.ShapeDtypeStruct`), free in the result.
        bound: further arguments, bound in the result. Their arrays and numbers become leaves.
        reuse: whether an earlier trace may serve again, when the static part of `bound` is the
            same and the earlier trace closed over no array. Then, as under `jax.jit`, changed
            Python globals go unseen: for functions whose data are all in their fields.
    """
    leaves, treedef = jax.tree_util.tree_flatten(tuple(bound))
    is_held = [_is_number_or_array(x) for x in leaves]
    held = [jnp.asarray(x) for x, holds in zip(leaves, is_held, strict=True) if holds]
    static = tuple(None if holds else x for x, holds in zip(leaves, is_held, strict=True))

    def traced(held, *args):
        fresh = iter(held)
        restored = [next(fresh) if holds else x for x, holds in zip(static, is_held, strict=True)]
        return function(*args, *jax.tree_util.tree_unflatten(treedef, restored))

    key = _trace_key(function, args, held, static, treedef) if reuse else None
    if key is not None and key in _TRACES:
        return Hoisted(held, [], _TRACES[key])
    # Over a mesh, what does not vary is made to before a loop begins: made to inside of it, its
    # cotangent would be summed over the devices in every step, and they take different numbers.
    axes = varying_axes(args)
    held = vary_over(axes, held)
    closed, out_shape = jax.make_jaxpr(traced, return_shape=True)(held, *args)
    if axes and closed.consts:
        held = [*vary_over(axes, closed.consts), *held]
        example = [*held, *jax.tree_util.tree_leaves(tuple(args))]
        closed = jax.make_jaxpr(lambda *xs: unmarked(closed.jaxpr, *xs))(*example)
    code = Code(closed.jaxpr, jax.tree_util.tree_structure(out_shape))
    if key is not None and not closed.consts:
        if len(_TRACES) >= _MAX_TRACES:
            _TRACES.pop(next(iter(_TRACES)))
        _TRACES[key] = code
    return Hoisted(held, list(closed.consts), code)


_TRACES: dict[Any, Code] = {}
_MAX_TRACES = 256


def _trace_key(function: Callable, args: Any, held: Any, static: Any, treedef: Any) -> Any:
    """What a trace depends on besides Python globals, or None when that cannot be told."""
    shapes = tuple(
        (x.shape, x.dtype, getattr(x, "weak_type", False))
        for x in (*jax.tree_util.tree_leaves(args), *held)
    )
    axes = varying_axes((args, held))
    key = (function, jax.tree_util.tree_structure(args), shapes, static, treedef, axes)
    try:
        hash(key)
    except TypeError:
        return None
    modes = ("jax_enable_x64", "jax_default_matmul_precision")
    return (*key, *(getattr(jax.config, mode) for mode in modes))


def output_shape(hoisted: Hoisted) -> Any:
    """The result's pytree of `jax.ShapeDtypeStruct`."""
    avals: list[Any] = [v.aval for v in hoisted.code.jaxpr.outvars]
    shapes = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in avals]
    return jax.tree_util.tree_unflatten(hoisted.code.out_tree, shapes)


def _is_number_or_array(x: Any) -> bool:
    if isinstance(x, bool):
        return False
    return isinstance(x, (jax.Array, np.ndarray, np.generic, int, float, complex))
