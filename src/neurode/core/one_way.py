"""Values that may be differentiated in one mode only, and say so.

JAX explains a derivative that it cannot take in terms of its own loops. These marks raise in terms
of the solve instead, at the moment when the missing derivative is asked for.
"""

from typing import Any

import jax
from jax.extend import core as jex
from jax.interpreters import ad, batching, mlir

from .trees import is_differentiable


def forward_only(tree: Any, why: str) -> Any:
    """The tree, whose transpose (reverse mode) raises a TypeError that says why."""
    return _mark(_forward_only_p, tree, why)


def reverse_only(tree: Any, why: str) -> Any:
    """The tree, whose forward derivative raises a TypeError that says why."""
    return _mark(_reverse_only_p, tree, why)


def _mark(primitive: jex.Primitive, tree: Any, why: str) -> Any:
    def leaf(x):
        return primitive.bind(x, why=why) if is_differentiable(x) else x

    return jax.tree_util.tree_map(leaf, tree)


def _refuse(*_: Any, why: str) -> Any:
    raise TypeError(why)


def _identity(name: str) -> jex.Primitive:
    primitive = jex.Primitive(name)
    primitive.def_impl(lambda x, why: x)
    primitive.def_abstract_eval(lambda x, why: x)
    mlir.register_lowering(primitive, lambda ctx, x, why: [x])
    batching.primitive_batchers[primitive] = lambda operands, dims, why: (
        primitive.bind(*operands, why=why),
        dims[0],
    )
    return primitive


_forward_only_p = _identity("forward_only")
_reverse_only_p = _identity("reverse_only")
ad.deflinear2(_forward_only_p, _refuse)
ad.primitive_jvps[_reverse_only_p] = _refuse
