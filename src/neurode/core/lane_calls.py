"""Functions that are told when they are vmapped, and how.

`jax.vmap` normally rewrites a program operation by operation. A loop of independent systems is
better served by a program of its own, which knows that it has lanes. `lane_call` hands a function
over to whoever transforms it: called plainly it computes one system; under `jax.vmap` the function
is called once more with a `Lanes`, which says how many there are and what differs between them.

This is `jax.custom_batching.custom_vmap` with two more properties that solves need: derivatives
pass through it (a `jax.custom_vjp` inside is differentiated after the lanes are known, so that the
cotangent of what all lanes share is one sum and never an array per lane), and further vmaps
lengthen the lanes.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core as jex
from jax.interpreters import ad, batching, mlir

_WORTH_COPYING = 4  # times what differs: about as much as the stages of one step


@dataclass(frozen=True)
class Lanes:
    """How a function's arguments are batched.

    Attributes:
        size: how many lanes.
        batched: per leaf of the arguments, whether it has a leading axis of lanes.
    """

    size: int
    batched: tuple[bool, ...]

    def split(self, args: Any) -> tuple[Any, Any]:
        """The leaves that differ between lanes, and those that all lanes share; None elsewhere."""
        leaves, treedef = jax.tree_util.tree_flatten(args)
        own = [x if b else None for x, b in zip(leaves, self.batched, strict=True)]
        shared = [None if b else x for x, b in zip(leaves, self.batched, strict=True)]
        return treedef.unflatten(own), treedef.unflatten(shared)

    def widen(self, args: Any) -> Any:
        """The same with a leading axis of lanes on every leaf, as if nothing were shared."""
        leaves, treedef = jax.tree_util.tree_flatten(args)
        pairs = zip(leaves, self.batched, strict=True)
        return treedef.unflatten(
            [x if b else jnp.broadcast_to(x, (self.size, *x.shape)) for x, b in pairs]
        )


@dataclass(frozen=True)
class _Call:
    """What is known about a call when it is traced."""

    function: Callable
    static: tuple[Hashable, ...]
    in_tree: Any
    lanes: Lanes | None
    copies: bool


def lane_call(
    function: Callable,
    static: tuple[Hashable, ...],
    *args: Any,
    copies: bool = False,
) -> Any:
    """function(lanes, *static, *args), where lanes is None, or says how args are batched.

    Args:
        function: closes over no arrays. Without lanes it returns a pytree of arrays; with lanes
            a pair, that pytree and a matching one of booleans: which leaves have a leading axis of
            lanes. The rest is one value for all lanes together.
        static: hashable arguments.
        args: pytrees of arrays.
        copies: whether a further vmap always lengthens the lanes, however much of what they shared
            must be copied for it. Else, where that is much, it vmaps the program that was made for
            the lanes.

    Returns:
        The pytree.
    """
    flat, in_tree = jax.tree_util.tree_flatten(args)
    outs, out_tree, _ = _bind(_Call(function, static, in_tree, None, copies), flat)
    return jax.tree_util.tree_unflatten(out_tree, outs)


def _bind(call: _Call, flat: list) -> tuple[list, Any, list[bool]]:
    found: dict[str, Any] = {}

    def run(*leaves):
        result = call.function(call.lanes, *call.static, *call.in_tree.unflatten(leaves))
        batched = None
        if call.lanes is not None:
            result, batched = result
        outs, found["tree"] = jax.tree_util.tree_flatten(result)
        if batched is not None:
            batched = jax.tree_util.tree_leaves(jax.tree_util.tree_broadcast(batched, result))
        found["batched"] = batched or [False] * len(outs)
        return outs

    jaxpr = jax.make_jaxpr(run)(*flat)
    outs = _lane_call_p.bind(*jaxpr.consts, *flat, jaxpr=jaxpr.jaxpr, call=call)
    return outs, found["tree"], found["batched"]


def _run(*operands: Any, jaxpr: jex.Jaxpr, call: _Call) -> list:
    del call
    n = len(jaxpr.constvars)
    return jex.jaxpr_as_fun(jex.ClosedJaxpr(jaxpr, operands[:n]))(*operands[n:])


def _jvp(primals, tangents, *, jaxpr, call):
    # What is not differentiated stays out of it, so that a `custom_vjp` inside can see that.
    active = [not isinstance(t, ad.Zero) for t in tangents]

    def run(*xs):
        given = iter(xs)
        operands = [next(given) if a else p for p, a in zip(primals, active, strict=True)]
        return _run(*operands, jaxpr=jaxpr, call=call)

    chosen = [(p, t) for p, t, a in zip(primals, tangents, active, strict=True) if a]
    primals_in, tangents_in = zip(*chosen, strict=True)
    return jax.jvp(run, primals_in, tangents_in)


def _batch(axis_data, operands, dims, *, jaxpr, call: _Call):
    if all(d is None for d in dims):
        return _lane_call_p.bind(*operands, jaxpr=jaxpr, call=call), [None] * len(jaxpr.outvars)
    count = len(jaxpr.constvars)
    new = [d is not None for d in dims]
    size = axis_data.size
    flat = [x if d is None else jnp.moveaxis(x, d, 0) for x, d in zip(operands, dims, strict=True)]
    if any(new[:count]) or not _can_merge(call, flat[count:], new[count:], size):
        run = lambda *xs: _run(*xs, jaxpr=jaxpr, call=call)  # noqa: E731
        axes = tuple(0 if b else None for b in new)
        outs = jax.vmap(run, axes, axis_size=size, spmd_axis_name=axis_data.spmd_name)(*flat)
        return outs, [0] * len(outs)
    if call.lanes is None:
        call = replace(call, lanes=Lanes(size, tuple(new[count:])))
        outs, _, batched = _bind(call, flat[count:])
        return outs, [0 if b else None for b in batched]
    old = call.lanes
    pairs = list(zip(new[count:], old.batched, strict=True))
    merged = [
        _merge(x, b, was, size, old.size) for x, (b, was) in zip(flat[count:], pairs, strict=True)
    ]
    lanes = Lanes(size * old.size, tuple(b or was for b, was in pairs))
    outs, _, batched = _bind(replace(call, lanes=lanes), merged)
    outs = [
        x.reshape(size, old.size, *x.shape[1:]) if b else x
        for x, b in zip(outs, batched, strict=True)
    ]
    return outs, [0 if b else None for b in batched]


def _can_merge(call: _Call, flat: list, new: list[bool], size: int) -> bool:
    """Whether a further batch axis may simply lengthen the lanes.

    What lanes shared and now differs between groups of them must be copied for each. That is
    worth it while it is not much beside what differs between lanes anyway, as a few parameters
    are; weights stay one matrix for every group.
    """
    old = call.lanes
    if old is None or call.copies:
        return True
    copied = differing = 0
    for x, is_new, was_batched in zip(flat, new, old.batched, strict=True):
        if was_batched:
            differing += x.size * (1 if is_new else size)
        elif is_new:
            copied += x.size * old.size
    return old.size == 1 or copied <= _WORTH_COPYING * differing


def _merge(x: jax.Array, is_new: bool, was_batched: bool, size: int, old_size: int) -> jax.Array:
    """An argument with one axis of lanes in place of two, if it differs along either."""
    if is_new and not was_batched:
        x = jnp.broadcast_to(x[:, None], (size, old_size, *x.shape[1:]))
    elif was_batched and not is_new:
        x = jnp.broadcast_to(x, (size, *x.shape))
    elif not was_batched:
        return x
    return x.reshape(size * old_size, *x.shape[2:])


_lane_call_p = jex.Primitive("lane_call")
_lane_call_p.multiple_results = True
_lane_call_p.def_impl(jax.jit(_run, static_argnames=("jaxpr", "call")))
_lane_call_p.def_abstract_eval(lambda *_, jaxpr, call: [v.aval for v in jaxpr.outvars])
mlir.register_lowering(_lane_call_p, mlir.lower_fun(_run, multiple_results=True))
ad.primitive_jvps[_lane_call_p] = _jvp
batching.fancy_primitive_batchers[_lane_call_p] = _batch
