"""The exact gradient of the discretisation from a tape of accepted steps.

The forward solve notes where each accepted step began; going backwards, each is taken once more
and differentiated. Nothing of the step size control is stored or differentiated, and a rejected
step costs nothing. (Zhuang et al. 2020, "Adaptive checkpoint adjoint method"; the tape in bounded
memory is described in `loops/tape.py`.)
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax

from ..core.lane_calls import Lanes
from ..core.one_way import forward_only
from ..core.trees import is_differentiable, zero_cotangent
from ..loops.bounded import counted_loop
from ..loops.driver import integrate
from ..loops.problem import Recording, Trajectory
from ..loops.tape import tape_slots
from .direct import solve_jvp
from .gradient import (
    GradientStrategy,
    Inputs,
    Settings,
    basic_recording,
    instantiate,
    make_problem,
    mark_failure,
    solve_lanes,
    values,
    wants_times,
)
from .lane_replay import LaneReplay
from .lane_tape import blank_record, call_by_lane, each_cotangent, record_each, record_lanes
from .retaping import retape
from .tape_backward import TapeBackward, kept_per_step

_NO_SECOND = (
    "gradient=Checkpointed() has second derivatives as forward over reverse, "
    "jax.jacfwd(jax.grad(...)), only: use gradient=nd.Direct(), which has every mode and order"
)


class Checkpointed(GradientStrategy):
    """Replay each accepted step backwards: the exact gradient in bounded memory. The default.

    Args:
        max_memory: bytes for the tape of states; None keeps every step where that is cheap, else
            about 2 sqrt(max_steps) states, with f(t, y) beside each where that saves evaluations
            (an FSAL method with save times inside).

    Raises:
        ValueError: when max_memory is not positive.
    """

    max_memory: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.max_memory is not None and not self.max_memory > 0:
            raise ValueError(
                f"max_memory must be a positive number of bytes, got {self.max_memory}"
            )

    def run(self, settings: Settings, inputs: Inputs) -> Trajectory:
        """Solve, differentiably in reverse mode."""
        return call_by_lane(_run, settings, self.max_memory, inputs, copies=False)


def _run(lanes: Lanes | None, settings: Settings, max_memory: int | None, inputs: Inputs) -> Any:
    """The solve of one system, or of many lanes."""
    if lanes is None:
        # As many slots with slopes as without: with fewer, more of a small solve is done again.
        kept = jax.eval_shape(partial(kept_per_step, settings), inputs)
        slots = tape_slots(kept, settings.max_steps, max_memory)
        keeps_slopes = max_memory is None and _sees_slopes(settings, inputs)
        return _solve(replace(settings, keeps_slopes=keeps_slopes), slots, inputs)
    return _solve_lanes(settings, max_memory, lanes, inputs), True


def _sees_slopes(settings: Settings, inputs: Inputs) -> bool:
    """Whether the replay needs f at both ends of a step, and finds them shared by neighbours.

    Without rows inside a step, the derivative at its end is used by the next step alone.
    """
    is_inside = settings.dense or inputs.ts.shape[0] > 2
    return settings.solver.is_fsal and is_inside and inputs.controller.limits.jump_at is None


# -- one system ------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(settings: Settings, slots: int, inputs: Inputs) -> Trajectory:
    del slots
    trajectory = integrate(make_problem(settings, inputs), basic_recording(settings))
    return mark_failure(settings, trajectory)


def _forward(settings: Settings, slots: int, asked: Any) -> tuple:
    """As `_solve`, of inputs that know whether they are differentiated."""
    inputs = values(asked)
    visible, kept = _recorded(settings, slots, inputs)
    return visible, (inputs, kept, wants_times(asked))


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _recorded(settings: Settings, slots: int, inputs: Inputs) -> tuple:
    return call_by_lane(_record, settings, slots, inputs)


@_recorded.defjvp
def _recorded_jvp(settings: Settings, slots: int, primals: tuple, tangents: tuple) -> tuple:
    _, kept = _record(None, settings, slots, *primals)
    visible, visible_dot = solve_jvp(settings, counted_loop, *primals, *tangents)
    # `_pulled_jvp` finds the tangents of the tape itself.
    tangent = forward_only((visible_dot, zero_cotangent(kept)), _NO_SECOND)
    return (visible, kept), tangent


def _record(lanes: Lanes | None, settings: Settings, slots: int, inputs: Inputs) -> Any:
    """The trajectory, and what the backward pass needs of it."""
    if lanes is not None:
        return blank_record(partial(_record, None, settings, slots), settings, lanes, inputs)
    recording = Recording(dense=settings.dense, log=True, slots=slots)
    trajectory = integrate(make_problem(settings, inputs), recording)
    visible = trajectory._replace(tape=None, log=trajectory.log if settings.dense else None)
    # The backward pass needs neither the rows nor the interpolants.
    kept = trajectory._replace(rows=None, interpolants=None)
    return mark_failure(settings, visible), kept


def _backward(settings: Settings, slots: int, residuals: tuple, cotangent: Trajectory) -> tuple:
    inputs, found, with_times = residuals
    cotangent = eqx.filter(instantiate(cotangent), is_differentiable)
    pulled = _pulled(settings, (slots, with_times is not None), inputs, found, cotangent)
    return (eqx.combine(pulled, zero_cotangent(inputs)),)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _pulled(settings: Settings, options: tuple[int, bool], *operands: Any) -> Any:
    return call_by_lane(_pull, settings, options, *operands)


@_pulled.defjvp
def _pulled_jvp(settings: Settings, options: tuple, primals: tuple, tangents: tuple) -> tuple:
    """Forward mode over the backward pass: the tape anew, now with tangents."""
    (slots, with_times), (inputs, _, cotangent) = options, primals

    def pull(inputs, cotangent):
        found, ends = retape(settings, slots, inputs)
        backward = TapeBackward(settings, slots, inputs, found, cotangent, ends, with_times)
        return eqx.filter(backward.run(), is_differentiable)

    pulled, pulled_dot = jax.jvp(pull, (inputs, cotangent), (tangents[0], tangents[2]))
    return pulled, forward_only(pulled_dot, _NO_SECOND)


def _pull(
    lanes: Lanes | None, settings: Settings, options: tuple[int, bool], *operands: Any
) -> Any:
    """The cotangents of the inputs that have one; operands are inputs, found and cotangent."""
    if lanes is not None:
        return pull_each(
            partial(_pull, None, settings, options), options[1], settings, lanes, *operands
        ), True
    (slots, with_times), (inputs, found, cotangent) = options, operands
    backward = TapeBackward(settings, slots, inputs, found, cotangent, wants_times=with_times)
    return eqx.filter(backward.run(), is_differentiable)


_solve.defvjp(_forward, _backward, symbolic_zeros=True)


# -- many lanes ------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _solve_lanes(settings: Settings, max_memory: Any, lanes: Lanes, inputs: Inputs) -> Trajectory:
    del max_memory
    return solve_lanes(settings, lanes, inputs)


def _forward_asked(settings: Settings, max_memory: Any, lanes: Lanes, asked: Any) -> tuple:
    """As `_solve_lanes`, of inputs that know whether they are differentiated."""
    inputs = values(asked)
    visible, kept, recorded = record_lanes(settings, max_memory, lanes, inputs)
    return visible, (inputs, kept, recorded, wants_times(asked))


def _backward_lanes(settings, max_memory, lanes, residuals, cotangent: Trajectory) -> tuple:
    del max_memory
    inputs, found, recorded, with_times = residuals
    cotangent = instantiate(cotangent)
    replay = LaneReplay(settings, lanes, inputs, found, recorded, cotangent, with_times is not None)
    return (replay.run(),)


_solve_lanes.defvjp(_forward_asked, _backward_lanes, symbolic_zeros=True)


# -- a gradient per lane (`vmap` of `grad`) --------------------------------------------------------


def pull_each(
    pull: Callable, with_times: bool, settings: Settings, lanes: Lanes, *operands: Any
) -> Any:
    """Cotangents of the inputs for each lane, also of those that all lanes share.

    Args:
        pull: the way back of one system.
        with_times: whether the save times have a cotangent.
        settings: of the solve.
        lanes: of the operands.
        operands: inputs, trajectory and its cotangent.
    """
    pulled = each_cotangent(pull, lanes, operands, inputs=0)
    if pulled is not None:
        return pulled
    inputs, _, cotangent = lanes.widen(operands)
    settings = replace(settings, keeps_slopes=False)  # the log of lanes has none
    everything, found, recorded = record_each(settings, lanes, inputs)
    replay = LaneReplay(settings, everything, inputs, found, recorded, cotangent, with_times)
    return eqx.filter(replay.run(), is_differentiable)
