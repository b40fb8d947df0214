"""Cotangents of many lanes, as those of the inputs that the lanes share or have for themselves."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ..core.lanes_last import over_lanes
from ..core.trees import add, is_differentiable, per_row, scale, select, tree_map
from ..core.types import Scalar, State
from ..loops.joint import Carry, Taken


def weigh_stages(
    solver: Any, carry: Carry, taken: Taken, adjoint: Callable[[Any], State]
) -> Iterator[tuple[Scalar, Any, State]]:
    """Time, state and weighted adjoint at the stages of a lane's step; zero of a rejected one.

    Args:
        solver: of the adjoint.
        carry: where the step began.
        taken: the step.
        adjoint: of a state.
    """
    for weight, t, state in solver.nodes(carry.clock, taken.h, carry.y, taken.step.stages):
        a = scale(-weight * taken.h, adjoint(state))  # the quadrature is of -a^T df/dp
        yield t, state, select(taken.accept, a, tree_map(jnp.zeros_like, a))


def add_quadrature(
    total: Any, f: Callable[..., State], parameters: Any, own: Any, nodes: list[tuple]
) -> Any:
    """Add a step's share of the gradient of what all lanes share.

    Args:
        total: so far, like the parameters.
        f: (parameters, own, *node without its adjoint) -> dy/dt of one lane.
        parameters: what the lanes share.
        own: what is each lane's, lanes last.
        nodes: of each stage, the weighted adjoint at the end of each; lanes last.
    """
    # The stages one behind the other, as so many more lanes: one product for each matrix.
    *at, a = tree_map(lambda *xs: jnp.concatenate(xs, axis=-1), *nodes)
    own = tree_map(lambda x: jnp.concatenate([x] * len(nodes), axis=-1), own)

    def all_lanes(parameters):
        return over_lanes(partial(f, parameters))(own, *at)

    return add(total, jax.vjp(all_lanes, parameters)[1](a)[0])


def sum_shared(cotangents: Any, inputs: Any, batched: tuple[bool, ...]) -> Any:
    """Add up, over lanes, what stands per lane although the input is shared.

    Args:
        cotangents: like the inputs.
        inputs: with a leading axis of lanes where they differ.
        batched: which leaves differ.
    """
    leaves, treedef = jax.tree_util.tree_flatten(cotangents)
    primals = jax.tree_util.tree_leaves(inputs)
    summed = [
        jnp.sum(x, axis=0) if not is_own and jnp.ndim(x) > jnp.ndim(primal) else x
        for x, is_own, primal in zip(leaves, batched, primals, strict=True)
    ]
    return treedef.unflatten(summed)


def spoil_lanes(cotangents: Any, batched: tuple[bool, ...], is_spoilt: jax.Array) -> Any:
    """NaN for some lanes, [lanes], and for what they share with the others."""
    leaves, treedef = jax.tree_util.tree_flatten(cotangents)

    def leaf(x, is_own):
        if not is_differentiable(x):
            return x
        spoilt = per_row(is_spoilt, x) if is_own else jnp.any(is_spoilt)
        return jnp.where(spoilt, jnp.nan, x)

    return treedef.unflatten([leaf(x, b) for x, b in zip(leaves, batched, strict=True)])
