"""`jax.vmap` with the lanes along the last axis of every array, and kept there.

A processor wants neighbouring lanes side by side in memory: then a step of many small systems is a
few passes over long vectors. `jax.vmap(f, in_axes=-1)` does not keep them there: most of its rules
move the batch axis to the front, and every small state becomes a short inner loop with transposed
copies between. `over_lanes` evaluates a function's jaxpr itself and leaves the lanes where they
are; an operation for which it has no rule goes through `jax.vmap`.

What does not depend on a lane stays one value for all of them, so that a product with weights which
all lanes share is one matrix product.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core as jex

from .lanes import vary_alike, vary_over, varying_axes
from .trees import tree_map

_ELEMENTWISE = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh cbrt ceil clamp complex conj
    convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor
    ge gt imag integer_pow is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter
    not or pow real reduce_precision rem round rsqrt select_n shift_left shift_right_arithmetic
    shift_right_logical sign sin sinh sqrt square sub tan tanh xor
"""
# Their axes count from the front, where no lane is.
_ALONG_AXES = """
    argmax argmin cumlogsumexp cummax cummin cumprod cumsum reduce_and reduce_max reduce_min
    reduce_or reduce_prod reduce_sum rev split squeeze
"""
# What varies over a mesh is known from the values themselves.
_MARKS = frozenset(["pcast", "pvary"])
_INLINED = frozenset(["pjit", "jit", "closed_call", "core_call"])


class _Value(NamedTuple):
    """An array, and whether its last axis is the lanes."""

    x: Any
    has_lanes: bool


def compute_once(tree: Any, one: jax.Array) -> Any:
    """The same values, which the compiler will not compute anew for everyone who uses them.

    XLA's CPU backend fuses a cheap value into every operation that reads it, and computes it again
    in each: of the stages of a Runge-Kutta step the later ones repeat all before them. It never
    repeats an operation that it holds to be expensive, such as a division.

    Args:
        tree: arrays.
        one: 1, as a value that is known only at run time. Dividing by it is exact.
    """

    def leaf(x):
        return x / one.astype(x.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x

    return tree_map(leaf, tree)


def runtime_one(tree: Any) -> jax.Array:
    """A 1 that the compiler cannot foresee, whatever these arrays of floats hold."""
    x = jnp.real(next(jnp.ravel(x)[0] for x in jax.tree_util.tree_leaves(tree) if x.size))
    bits = lax.bitcast_convert_type(x, jnp.dtype(f"int{8 * x.dtype.itemsize}"))
    return ((bits | 1) & 1).astype(x.dtype)


def over_lanes(function: Callable) -> Callable:
    """A function of one lane's arrays, as one of arrays with lanes last.

    What the function closes over is shared by all lanes. Every leaf of the result has lanes.
    """

    def run(*args: Any) -> Any:
        leaves, treedef = jax.tree_util.tree_flatten(args)
        size, axes = leaves[0].shape[-1], varying_axes(leaves)
        shapes = [jax.ShapeDtypeStruct(x.shape[:-1], x.dtype) for x in leaves]
        found: list[Any] = []

        def flat(*xs):
            xs = vary_over(axes, xs)
            outs, tree = jax.tree_util.tree_flatten(function(*treedef.unflatten(xs)))
            found.append(tree)
            return outs

        closed = jax.make_jaxpr(flat)(*shapes)
        values = [_Value(x, True) for x in leaves]
        consts = [_Value(x, False) for x in closed.consts]
        outs = _evaluate(closed.jaxpr, size, consts, values)
        return found[-1].unflatten([_with_lanes(v, size) for v in outs])

    return run


def _evaluate(jaxpr: Any, size: int, consts: list[_Value], args: list[_Value]) -> list[_Value]:
    known: dict[Any, _Value] = dict(
        zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True)
    )

    def read(atom: Any) -> _Value:
        return _Value(atom.val, False) if isinstance(atom, jex.Literal) else known[atom]

    for eqn in jaxpr.eqns:
        values = [read(atom) for atom in eqn.invars]
        if eqn.primitive.name in _MARKS:
            known[eqn.outvars[0]] = values[0]
            continue
        if any(v.has_lanes for v in values):
            outs = _apply(eqn, size, values)
        else:
            outs = [_Value(x, False) for x in _bind(eqn, *(v.x for v in values))]
        known.update(zip(eqn.outvars, outs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _with_lanes(value: _Value, size: int) -> jax.Array:
    """The array with an axis of lanes, of which all hold the same if it had none."""
    if value.has_lanes:
        return value.x
    x = jnp.asarray(value.x)
    return jnp.broadcast_to(x[..., None], (*x.shape, size))


def _apply(eqn: Any, size: int, values: list[_Value]) -> list[_Value]:
    name = eqn.primitive.name
    if name in _ELEMENTWISE.split():
        return _elementwise(eqn, size, values)
    if name in _INLINED:
        closed = eqn.params["jaxpr"] if "jaxpr" in eqn.params else eqn.params["call_jaxpr"]
        consts = [_Value(x, False) for x in closed.consts]
        return _evaluate(closed.jaxpr, size, consts, values)
    rule = _RULES.get(name, _any_rule)
    outs = rule(eqn, size, values)
    if outs is None:
        outs = _any_rule(eqn, size, values)
    return outs


def _any_rule(eqn: Any, size: int, values: list[_Value]) -> list[_Value]:
    """Whatever `jax.vmap` does."""
    axes = tuple(-1 if v.has_lanes else None for v in values)
    bind = jax.vmap(lambda *xs: _bind(eqn, *xs), in_axes=axes, out_axes=-1, axis_size=size)
    return [_Value(x, True) for x in bind(*(v.x for v in values))]


def _bind(eqn: Any, *operands: Any) -> list:
    """The equation's results."""
    params = eqn.primitive.get_bind_params(eqn.params)
    result = eqn.primitive.bind(*vary_alike(operands), **params)
    return result if eqn.primitive.multiple_results else [result]


def _one(x: Any) -> list[_Value]:
    return [_Value(x, True)]


def _elementwise(eqn: Any, size: int, values: list[_Value]) -> list[_Value]:
    shape = eqn.outvars[0].aval.shape

    def spread(value: _Value) -> Any:
        x = jnp.asarray(value.x)
        rank = x.ndim - value.has_lanes
        if rank == 0 and shape:  # a number beside an array
            x = x.reshape(*[1] * len(shape), -1)
            return jnp.broadcast_to(x, (*shape, size))
        return x if value.has_lanes else jnp.broadcast_to(x[..., None], (*x.shape, size))

    return _one(*_bind(eqn, *map(spread, values)))


def _along_axes(eqn: Any, size: int, values: list[_Value]) -> list[_Value]:
    return [_Value(x, True) for x in _bind(eqn, *(v.x for v in values))]


def _broadcast_in_dim(eqn: Any, size: int, values: list[_Value]) -> list[_Value] | None:
    if len(values) > 1:
        return None
    shape, dims = eqn.params["shape"], eqn.params["broadcast_dimensions"]
    return _one(lax.broadcast_in_dim(values[0].x, (*shape, size), (*dims, len(shape))))


def _reshape(eqn: Any, size: int, values: list[_Value]) -> list[_Value] | None:
    if len(values) > 1 or eqn.params.get("dimensions") is not None:
        return None
    return _one(lax.reshape(values[0].x, (*eqn.params["new_sizes"], size)))


def _transpose(eqn: Any, size: int, values: list[_Value]) -> list[_Value]:
    order = eqn.params["permutation"]
    return _one(lax.transpose(values[0].x, (*order, len(order))))


def _slice(eqn: Any, size: int, values: list[_Value]) -> list[_Value]:
    p = eqn.params
    strides = None if p["strides"] is None else (*p["strides"], 1)
    return _one(
        lax.slice(values[0].x, (*p["start_indices"], 0), (*p["limit_indices"], size), strides)
    )


def _pad(eqn: Any, size: int, values: list[_Value]) -> list[_Value] | None:
    x, filling = values
    if filling.has_lanes:
        return None
    config = (*eqn.params["padding_config"], (0, 0, 0))
    return _one(lax.pad(_with_lanes(x, size), filling.x, config))


def _concatenate(eqn: Any, size: int, values: list[_Value]) -> list[_Value]:
    parts = [_with_lanes(v, size) for v in values]
    return _one(lax.concatenate(parts, eqn.params["dimension"]))


def _dot_general(eqn: Any, size: int, values: list[_Value]) -> list[_Value] | None:
    """One matrix product, where only one factor differs between lanes."""
    left, right = values
    (left_sum, right_sum), (left_batch, right_batch) = eqn.params["dimension_numbers"]
    if left_batch or right_batch or (left.has_lanes and right.has_lanes):
        return None
    options = {
        "precision": eqn.params["precision"],
        "preferred_element_type": eqn.params["preferred_element_type"],
    }
    if right.has_lanes:
        numbers = ((left_sum, right_sum), ((), ()))
        return _one(lax.dot_general(left.x, right.x, numbers, **options))
    # The factor with lanes goes second, so that they come last.
    numbers = ((right_sum, left_sum), ((), ()))
    product = lax.dot_general(right.x, left.x, numbers, **options)
    right_free = right.x.ndim - len(right_sum)
    left_free = product.ndim - 1 - right_free
    order = (*range(right_free, right_free + left_free), *range(right_free), product.ndim - 1)
    return _one(product if left_free == 0 else lax.transpose(product, order))


def _dynamic_slice(eqn: Any, size: int, values: list[_Value]) -> list[_Value] | None:
    x, *starts = values
    sizes = eqn.params["slice_sizes"]
    if not any(s.has_lanes for s in starts):
        starts = [s.x for s in starts]
        return _one(lax.dynamic_slice(x.x, (*starts, 0 * starts[0]), (*sizes, size)))
    if len(starts) == 1 and sizes == (1,):  # one entry, a different one in every lane
        if not x.has_lanes:
            return _one(jnp.take(x.x, starts[0].x, mode="clip")[None])
        return _one(jnp.take_along_axis(x.x, starts[0].x[None], axis=0, mode="clip"))
    return None


def _unvmap_any(eqn: Any, size: int, values: list[_Value]) -> list[_Value]:
    return [_Value(eqn.primitive.bind(jnp.any(values[0].x), **eqn.params), False)]


def _cond(eqn: Any, size: int, values: list[_Value]) -> list[_Value] | None:
    index, *operands = values
    if index.has_lanes:
        return None
    has_lanes = [v.has_lanes for v in operands]

    def branch(closed):
        def run(*xs):
            consts = [_Value(x, False) for x in closed.consts]
            args = [_Value(x, b) for x, b in zip(xs, has_lanes, strict=True)]
            outs = _evaluate(closed.jaxpr, size, consts, args)
            return [_with_lanes(v, size) for v in outs]

        return run

    branches = [branch(closed) for closed in eqn.params["branches"]]
    outs = lax.switch(index.x, branches, *vary_alike([v.x for v in operands]))
    return [_Value(x, True) for x in outs]


def _while(eqn: Any, size: int, values: list[_Value]) -> list[_Value] | None:
    """A loop that all lanes leave together (`while_any`)."""
    n_cond, n_body = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    conditions, body = eqn.params["cond_jaxpr"], eqn.params["body_jaxpr"]
    cond_consts, rest = values[:n_cond], values[n_cond:]
    body_consts, carry = rest[:n_body], rest[n_body:]

    def run(closed, consts, xs, flags):
        args = [*consts, *(_Value(x, b) for x, b in zip(xs, flags, strict=True))]
        return _evaluate(closed.jaxpr, size, [_Value(x, False) for x in closed.consts], args)

    def trace(closed, consts, flags) -> list[bool]:
        found: list[bool] = []

        def flagged(*xs):
            outs = run(closed, consts, xs, flags)
            found[:] = [v.has_lanes for v in outs]
            return [v.x for v in outs]

        shapes = [
            jax.ShapeDtypeStruct((*v.aval.shape, size) if b else v.aval.shape, v.aval.dtype)
            for v, b in zip(closed.jaxpr.invars[len(consts) :], flags, strict=True)
        ]
        jax.eval_shape(flagged, *shapes)
        return found

    flags = [v.has_lanes for v in carry]
    while True:
        grown = [a or b for a, b in zip(flags, trace(body, body_consts, flags), strict=True)]
        if grown == flags:
            break
        flags = grown
    if trace(conditions, cond_consts, flags)[0]:
        return None

    def step(xs):
        outs = run(body, body_consts, xs, flags)
        outs = [_Value(vary_over(axes, v.x), v.has_lanes) for v in outs]
        return tuple(_with_lanes(v, size) if b else v.x for v, b in zip(outs, flags, strict=True))

    start = tuple(_with_lanes(v, size) if b else v.x for v, b in zip(carry, flags, strict=True))
    axes = varying_axes([v.x for v in values])
    start = vary_over(axes, start)
    outs = lax.while_loop(lambda xs: run(conditions, cond_consts, xs, flags)[0].x, step, start)
    return [_Value(x, b) for x, b in zip(outs, flags, strict=True)]


_RULES: dict[str, Callable] = {
    **dict.fromkeys(_ALONG_AXES.split(), _along_axes),
    "broadcast_in_dim": _broadcast_in_dim,
    "reshape": _reshape,
    "transpose": _transpose,
    "slice": _slice,
    "pad": _pad,
    "concatenate": _concatenate,
    "dot_general": _dot_general,
    "dynamic_slice": _dynamic_slice,
    "unvmap_any": _unvmap_any,
    "cond": _cond,
    "while": _while,
}
