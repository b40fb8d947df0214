"""What the ways back along a recorded solve have in common, where there are many lanes."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.lane_calls import Lanes, lane_call
from ..core.lanes import varying_axes
from ..core.trees import is_differentiable, tree_map
from ..loops.lane_arrays import lanes_last
from ..loops.lane_log import Recorded
from ..loops.problem import Trajectory
from .gradient import Inputs, Settings, make_engine, mark_lanes, solve_lanes


def call_by_lane(
    function: Callable, settings: Settings, static: Any, *operands: Any, copies: bool = True
) -> Any:
    """function(lanes, settings, static, *operands), which is told of lanes where it suits.

    Over a mesh every device keeps to the loop of one system, vmapped.

    Args:
        function: of one system, or of lanes.
        settings: of the solve.
        static: what else is known when it is compiled.
        operands: the inputs first.
        copies: see `lane_call`.
    """
    if not suits_lanes(settings, operands[0]) or varying_axes(operands):
        return function(None, settings, static, *operands)
    return lane_call(function, (settings, static), *operands, copies=copies)


def suits_lanes(settings: Settings, inputs: Inputs) -> bool:
    """Whether the lane engine can solve the problem."""
    begins_anew = inputs.history is None or settings.solver.is_one_step
    return settings.solver.suits_lanes and begins_anew and not settings.dense


def record_lanes(
    settings: Settings, max_memory: int | None, lanes: Lanes, inputs: Inputs
) -> tuple[Trajectory, Trajectory, Recorded]:
    """Solve for many lanes and write their attempts down.

    Args:
        settings: of the solve.
        max_memory: bytes for the attempts; None for a little.
        lanes: of the inputs.
        inputs: leaves that differ with a leading axis of lanes.

    Returns:
        The trajectory, what the way back needs of it, and the attempts.
    """
    own, shared = lanes.split(inputs)
    engine = make_engine(settings, lanes_last(own), shared, lanes.size)
    state, recorded = engine.record(max_memory)
    trajectory = engine.finish(state)
    return mark_lanes(settings, trajectory), trajectory._replace(rows=None), recorded


def record_each(
    settings: Settings, lanes: Lanes, inputs: Inputs
) -> tuple[Lanes, Trajectory, Recorded]:
    """Solve again, as lanes that share nothing, for a gradient of each (`vmap` of `grad`).

    Args:
        settings: of the solve.
        lanes: of the operands of a way back.
        inputs: every leaf with a leading axis of lanes.

    Returns:
        Lanes of such inputs, what the way back needs of the trajectory, and the attempts.
    """
    everything = Lanes(lanes.size, (True,) * len(jax.tree_util.tree_leaves(inputs)))
    return everything, *record_lanes(settings, None, everything, inputs)[1:]


def blank_record(
    record: Callable[[Inputs], tuple[Trajectory, Trajectory]],
    settings: Settings,
    lanes: Lanes,
    inputs: Inputs,
) -> tuple:
    """A record without tapes, for a gradient per lane: the way back solves and records again.

    Args:
        record: of one system: the trajectory, and what its way back needs.
        settings: of the solve.
        lanes: of the inputs.
        inputs: leaves that differ with a leading axis of lanes.

    Returns:
        As a `lane_call` wants it: trajectory and record, and which leaves have lanes.
    """
    found = solve_lanes(settings, lanes, inputs)
    own, shared = lanes.split(inputs)
    one = eqx.combine(tree_map(lambda x: x[0], own), shared)
    shapes = jax.eval_shape(lambda x: record(x)[1], one)
    # NaN, so that nobody ever takes them for a tape.
    log, tape = tree_map(
        lambda x: jnp.full(x.shape, jnp.nan if is_differentiable(x) else 0, x.dtype),
        (shapes.log, shapes.tape),
    )
    kept = found._replace(rows=None, log=log, tape=tape)
    has_lanes = tree_map(lambda _: True, found._replace(rows=None))
    no_lanes = tree_map(lambda _: False, (log, tape))
    return (found, kept), (True, has_lanes._replace(log=no_lanes[0], tape=no_lanes[1]))


def each_cotangent(pull: Callable, lanes: Lanes, operands: tuple, inputs: Any) -> Any:
    """One solve with many cotangents (`jacrev`), pulled back one system at a time.

    Args:
        pull: (*operands) -> cotangents, of one system.
        lanes: of the operands.
        operands: of a way back.
        inputs: which of them (a number) the solve began with.

    Returns:
        The cotangents with lanes first, or None where the solves themselves differ.
    """
    own, shared = lanes.split(operands)
    if jax.tree_util.tree_leaves(own[inputs]):
        return None
    return jax.vmap(lambda own: pull(*eqx.combine(own, shared)))(own)
