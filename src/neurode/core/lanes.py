"""One program for many lanes: how loops stay cheap under `jax.vmap`.

When a while loop's condition differs between lanes, `jax.vmap` copies every array of the loop's
carry in every iteration, buffers included. The loops here therefore run while ANY lane needs it,
and freeze the others themselves: small values by a select, buffers by writing to a spare row.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from equinox.internal import unvmap_any
from jax.extend import core as jex
from jax.interpreters import ad, batching, mlir


def any_lane(condition: jax.Array) -> jax.Array:
    """Whether the condition holds in any lane of the surrounding vmaps; the same for all lanes."""
    return unvmap_any(condition)


def while_any(condition: Callable[[Any], jax.Array], body: Callable, carry: Any) -> Any:
    """`lax.while_loop` that goes on while any lane's condition holds.

    The body must leave a lane as it is where its own condition does not hold.
    """
    return jax.lax.while_loop(lambda carry: any_lane(condition(carry)), body, vary_alike(carry))


def freeze(alive: jax.Array, new: Any, old: Any) -> Any:
    """What a loop's body makes of its carry, but `old` in lanes that are not alive.

    A body that runs has somebody who is alive: without lanes this is `new` itself. (A select there
    would keep `old` beside it, which makes XLA copy every array of the carry in every iteration.)
    """
    new = vary_over(varying_axes((alive, new, old)), new)
    return jax.tree_util.tree_map(lambda x, z: _freeze_p.bind(alive, x, z), new, old)


_freeze_p = jex.Primitive("freeze")
_freeze_p.def_impl(lambda alive, new, old: new)
_freeze_p.def_abstract_eval(lambda alive, new, old: new)
mlir.register_lowering(_freeze_p, lambda context, alive, new, old: [new])


def _freeze_jvp(primals, tangents):
    found = _freeze_p.bind(*primals)
    dots = tangents[1:]
    if all(isinstance(dot, ad.Zero) for dot in dots):
        return found, dots[0]
    return found, _freeze_p.bind(primals[0], *map(ad.instantiate_zeros, dots))


def _freeze_lanes(operands, dims):
    if dims[0] is None and dims[2] is None:
        return _freeze_p.bind(*operands), dims[1]
    return jax.vmap(jnp.where, tuple(dims))(*operands), 0


ad.primitive_jvps[_freeze_p] = _freeze_jvp
batching.primitive_batchers[_freeze_p] = _freeze_lanes


def varying_axes(tree: Any) -> frozenset[str]:
    """Inside `jax.shard_map`: the mesh axes over which any leaf varies; else none."""
    leaves = jax.tree_util.tree_leaves(tree)
    return frozenset().union(*map(_axes, leaves))


def _axes(x: Any) -> frozenset[str]:
    aval = jax.typeof(x)
    if hasattr(aval, "vma"):  # older JAX
        return aval.vma
    return getattr(getattr(aval, "manual_axis_type", None), "varying", frozenset())


def vary_over(axes: frozenset[str], tree: Any) -> Any:
    """Mark every leaf as varying over these mesh axes."""
    if not axes:
        return tree

    def leaf(x):
        missing = tuple(sorted(axes - _axes(x)))
        return jax.lax.pcast(x, missing, to="varying") if missing else x

    return jax.tree_util.tree_map(leaf, tree)


def vary_alike(tree: Any) -> Any:
    """Every leaf varying over the mesh axes that any leaf varies over, as a loop demands."""
    return vary_over(varying_axes(tree), tree)


def unmarked(jaxpr: Any, *operands: Any) -> list:
    """A jaxpr's results, its constants given first, where operands may vary that did not before."""
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), operands, strict=True))
    for eqn in jaxpr.eqns:
        values = [x.val if isinstance(x, jex.Literal) else known[x] for x in eqn.invars]
        if eqn.primitive.name in ("pcast", "pvary"):
            outs = values
        elif eqn.primitive.name in ("pjit", "jit"):
            inner = eqn.params["jaxpr"]
            outs = unmarked(inner.jaxpr, *inner.consts, *values)
        else:
            params = eqn.primitive.get_bind_params(eqn.params)
            outs = eqn.primitive.bind(*vary_alike(values), **params)
            outs = outs if eqn.primitive.multiple_results else [outs]
        known.update(zip(eqn.outvars, outs, strict=True))
    return [x.val if isinstance(x, jex.Literal) else known[x] for x in jaxpr.outvars]


def sum_like(cotangents: Any, primals: Any) -> Any:
    """Cotangents of inputs that do not vary over a mesh axis, summed over that axis."""

    def leaf(cotangent, primal):
        extra = varying_axes(cotangent) - varying_axes(primal)
        return jax.lax.psum(cotangent, tuple(sorted(extra))) if extra else cotangent

    return jax.tree_util.tree_map(leaf, cotangents, primals)
