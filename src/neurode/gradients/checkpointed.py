"""The exact gradient of the discretisation from a tape of accepted steps.

The forward solve notes where each accepted step began; going backwards, each is taken once more
and differentiated. Nothing of the step size control is stored or differentiated, and a rejected
step costs nothing. (Zhuang et al. 2020, "Adaptive checkpoint adjoint method"; the tape in bounded
memory is described in `loops/tape.py`.)
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.lane_calls import Lanes, lane_call
from ..core.lanes import sum_like, vary_over, varying_axes, while_any
from ..core.status import Status
from ..core.trees import add, is_differentiable, row, tree_map, zero_cotangent
from ..loops.driver import integrate
from ..loops.lanes import lanes_last
from ..loops.problem import Entry, Problem, Recording, Trajectory
from ..loops.replay import Ends, Replayed, replay_row, replay_step, walk_back
from ..loops.tape import tape_slots
from .gradient import (
    GradientStrategy,
    Inputs,
    Settings,
    any_nonzero,
    arriving_cotangent,
    basic_recording,
    evals_per_replayed_step,
    make_engine,
    make_problem,
    mark_failure,
    solve_lanes,
    split,
    spoil,
)
from .lane_replay import LaneReplay


class Checkpointed(GradientStrategy):
    """Replay each accepted step backwards: the exact gradient in bounded memory. The default.

    Args:
        max_memory: bytes for the tape of states; None keeps every step where that is cheap, else
            about 2 sqrt(max_steps) states.

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
        return _call(_run, settings, self.max_memory, inputs)


def _call(function: Any, settings: Settings, static: Any, *operands: Any) -> Any:
    """function(lanes, settings, static, *operands), which is told of lanes where it suits."""
    if settings.dense or not settings.solver.suits_lanes:
        return function(None, settings, static, *operands)
    return lane_call(function, (settings, static), *operands, copies=function is not _run)


def _run(lanes: Lanes | None, settings: Settings, max_memory: int | None, inputs: Inputs) -> Any:
    """The solve of one system, or of many lanes."""
    if lanes is None:
        kept = jax.eval_shape(partial(_kept_per_step, settings), inputs)
        return _solve(settings, tape_slots(kept, settings.max_steps, max_memory), inputs)
    return _solve_lanes(settings, max_memory, lanes, inputs), True


def _kept_per_step(settings: Settings, inputs: Inputs) -> tuple:
    """What the tape holds of each step: the state, and the solver's memory."""
    solver, y0 = settings.solver, inputs.y0
    return y0, solver.memory(solver.start(inputs.field, inputs.ts[0], y0))


class _Cotangents(NamedTuple):
    """What the walk along the tape accumulates."""

    y: Any
    memory: Any
    evals: Any
    shift: jax.Array
    ends: Ends
    field: Any
    save: Any
    ts: jax.Array
    next_row: jax.Array


# -- one system ------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(settings: Settings, slots: int, inputs: Inputs) -> Trajectory:
    del slots
    trajectory = integrate(make_problem(settings, inputs), basic_recording(settings))
    return mark_failure(settings, trajectory)


def _forward(settings: Settings, slots: int, inputs: Inputs) -> tuple:
    visible, kept = _call(_record, settings, slots, inputs)
    return visible, (inputs, kept)


def _record(lanes: Lanes | None, settings: Settings, slots: int, inputs: Inputs) -> Any:
    """The trajectory, and what the backward pass needs of it."""
    if lanes is not None:
        return _blank_record(lanes, settings, slots, inputs)
    recording = Recording(dense=settings.dense, log=True, slots=slots)
    trajectory = integrate(make_problem(settings, inputs), recording)
    visible = trajectory._replace(tape=None, log=trajectory.log if settings.dense else None)
    # The backward pass needs neither the rows nor the interpolants.
    kept = trajectory._replace(rows=None, interpolants=None)
    return mark_failure(settings, visible), kept


def _backward(settings: Settings, slots: int, residuals: tuple, cotangent: Trajectory) -> tuple:
    inputs, found = residuals
    if settings.dense or not settings.solver.suits_lanes:
        return (_Backward(settings, slots, inputs, found, cotangent).run(),)
    cotangent = eqx.filter(cotangent, is_differentiable)
    pulled = _call(_pull, settings, slots, inputs, found, cotangent)
    return (eqx.combine(pulled, zero_cotangent(inputs)),)


def _pull(lanes: Lanes | None, settings: Settings, slots: int, *operands: Any) -> Any:
    """The cotangents of the inputs that have one; operands are inputs, found and cotangent."""
    if lanes is not None:
        return _pull_each(lanes, settings, slots, *operands), True
    inputs, found, cotangent = operands
    result = _Backward(settings, slots, inputs, found, cotangent).run()
    return eqx.filter(result, is_differentiable)


_solve.defvjp(_forward, _backward)


# -- many lanes ------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _solve_lanes(settings: Settings, max_memory: Any, lanes: Lanes, inputs: Inputs) -> Trajectory:
    del max_memory
    return solve_lanes(settings, lanes, inputs)


def _forward_lanes(settings: Settings, max_memory: Any, lanes: Lanes, inputs: Inputs) -> tuple:
    own, shared = lanes.split(inputs)
    engine = make_engine(settings, lanes_last(own), shared, lanes.size)
    state, recorded = engine.record(max_memory)
    trajectory = engine.finish(state)
    kept = trajectory._replace(rows=None)
    marked = jax.vmap(lambda trajectory: mark_failure(settings, trajectory))(trajectory)
    return marked, (inputs, kept, recorded)


def _backward_lanes(settings, max_memory, lanes, residuals, cotangent: Trajectory) -> tuple:
    del max_memory
    inputs, found, recorded = residuals
    return (LaneReplay(settings, lanes, inputs, found, recorded, cotangent).run(),)


_solve_lanes.defvjp(_forward_lanes, _backward_lanes)


# -- a gradient per lane (`vmap` of `grad`) --------------------------------------------------------


def _blank_record(lanes: Lanes, settings: Settings, slots: int, inputs: Inputs) -> tuple:
    """As `_record` for many lanes, without tapes: the way back solves again and writes its log."""
    found = solve_lanes(settings, lanes, inputs)
    own, shared = lanes.split(inputs)
    one = eqx.combine(tree_map(lambda x: x[0], own), shared)
    shapes = jax.eval_shape(lambda x: _record(None, settings, slots, x)[1], one)
    # NaN, so that nobody ever takes them for a tape.
    blank = tree_map(
        lambda x: jnp.full(x.shape, jnp.nan if is_differentiable(x) else 0, x.dtype),
        (shapes.log, shapes.tape),
    )
    kept = found._replace(rows=None, log=blank[0], tape=blank[1])
    has_lanes = tree_map(lambda _: True, found._replace(rows=None))
    return (found, kept), (True, has_lanes._replace(
        log=tree_map(lambda _: False, blank[0]), tape=tree_map(lambda _: False, blank[1])
    ))  # fmt: skip


def _pull_each(lanes: Lanes, settings: Settings, slots: int, *operands: Any) -> Any:
    """Cotangents of the inputs for each lane, also of those that all lanes share."""
    own, shared = lanes.split(operands)
    if not jax.tree_util.tree_leaves(own[0]):  # one solve, many cotangents (`jacrev`)
        one = lambda own: _pull(None, settings, slots, *eqx.combine(own, shared))  # noqa: E731
        return jax.vmap(one)(own)
    widened = tree_map(lambda x: jnp.broadcast_to(x, (lanes.size, *x.shape)), shared)
    inputs, _, cotangent = eqx.combine(own, widened)
    everything = Lanes(lanes.size, (True,) * len(jax.tree_util.tree_leaves(inputs)))
    _, (_, found, recorded) = _forward_lanes(settings, None, everything, inputs)
    replay = LaneReplay(settings, everything, inputs, found, recorded, cotangent)
    return eqx.filter(replay.run(), is_differentiable)


class _Backward:
    """The backward pass, bound to what the forward pass kept and to the cotangents."""

    def __init__(self, settings, slots, inputs: Inputs, found: Trajectory, cotangent: Trajectory):
        self.settings, self.slots = settings, slots
        self.inputs, self.found, self.cotangent = inputs, found, cotangent
        self.field, self.field_rest = split(inputs.field)
        self.save, self.save_rest = split(inputs.save)
        self.ts = inputs.ts
        self.axes = varying_axes((inputs.y0, inputs.ts))
        self.zero = vary_over(self.axes, jnp.zeros((), inputs.ts.dtype))
        self.has_inner_rows = inputs.ts.shape[0] > 2
        self.rows, self.last_row, self.is_lost = arriving_cotangent(settings, found, cotangent.rows)

    def problem(self, field: Any, save: Any) -> Problem:
        """The problem with the differentiable parts of field and save put in."""
        field = eqx.combine(field, self.field_rest)
        save = eqx.combine(save, self.save_rest)
        return make_problem(self.settings, self.inputs._replace(field=field, save=save))

    def run(self) -> Inputs:
        """Cotangents of the inputs."""
        inputs, found, ts = self.inputs, self.found, self.ts
        # A failed lane on which nothing depends takes no step back: it adds exactly zero.
        is_idle = (found.status != Status.SUCCESS) & ~any_nonzero(
            (self.rows, self.last_row, self.cotangent.y, self.cotangent.interpolants)
        )
        start = self.at_the_end()
        done = walk_back(
            self.retake,
            self.visit,
            found.log,
            found.tape,
            self.slots,
            jnp.where(is_idle, 0, found.num_accepted),
            start,
        )
        t0, y0, save = self.pull_end(ts[0], inputs.y0, row(self.rows, 0))
        ts_total = done.ts.at[0].add(done.shift + done.ends.t0 + t0).at[-1].add(done.ends.t1)
        result = zero_cotangent(inputs)
        replace = {
            "field": eqx.combine(done.field, result.field),
            "save": eqx.combine(add(done.save, save), result.save),
            "y0": add(done.y, y0),
            "ts": ts_total,
        }
        if inputs.history is not None:
            replace["history"] = (done.memory, result.history[1])
        if inputs.probe is not None:
            per_step = evals_per_replayed_step(self.settings, ts.shape[0])
            evals = jnp.where(is_idle, 0, found.num_accepted * per_step + done.evals)
            replace["probe"] = evals.astype(inputs.probe.dtype)
        return sum_like(spoil(result._replace(**replace), self.is_lost), inputs)

    def pull_end(self, t: jax.Array, y: Any, row_bar: Any) -> tuple:
        """Pull a cotangent back through what is saved at t0 or t1: to t, y and save."""

        def value(t, y, save):
            return self.problem(self.field, save).row(t, y)

        return jax.vjp(value, t, y, self.save)[1](row_bar)

    def at_the_end(self) -> _Cotangents:
        """The cotangents that arrive at the last state."""
        found, ts = self.found, self.ts
        t1, y, save = self.pull_end(ts[-1], found.y, self.last_row)
        zero = self.zero
        zeros = tree_map(jnp.zeros_like, self.field)
        ts_zero = jnp.zeros_like(ts).at[-1].add(t1)
        is_success = found.status == Status.SUCCESS
        next_row = jnp.where(is_success, len(ts) - 2, found.rows_done - 1)
        y = add(y, self.cotangent.y)
        return _Cotangents(
            y=y, memory=self.cotangent.memory, evals=jnp.zeros((), jnp.int32), shift=zero,
            ends=Ends(zero, zero), field=zeros, save=save, ts=ts_zero, next_row=next_row,
        )  # fmt: skip

    def retake(self, index: jax.Array, entry: Entry, kept: tuple) -> tuple:
        """What the tape would hold after a step, where it was dropped."""
        zero = self.zero
        problem = self.problem(self.field, self.save)
        taken = replay_step(problem, entry, index, *kept, zero, Ends(zero, zero), False)  # pyright: ignore[reportCallIssue]
        return taken.y, taken.memory

    def visit(self, index: jax.Array, entry: Entry, kept: tuple, after: _Cotangents) -> _Cotangents:
        """Pull the cotangents back through one step."""
        zero = self.zero
        y, memory = kept
        wants_interpolant = self.has_inner_rows or self.settings.dense

        def step(y, memory, shift, ends, field):
            problem = self.problem(field, self.save)
            taken = replay_step(problem, entry, index, y, memory, shift, ends, wants_interpolant)
            return taken._replace(evals=None), taken.evals

        taken, step_vjp, evals = jax.vjp(
            step, y, memory, zero, Ends(zero, zero), self.field, has_aux=True
        )
        inside = tree_map(jnp.zeros_like, (y, taken.coefficients, zero, zero))
        inside = vary_over(self.axes, inside)
        if self.has_inner_rows:
            inside, after = self.gather_rows(entry, y, taken, inside, after)
        y_bar, coefficients_bar, shift_bar, h_bar = inside
        if self.settings.dense:
            dense_y, dense_coefficients = row(self.cotangent.interpolants, index)
            times = self.cotangent.log[index]
            y_bar = add(y_bar, dense_y)
            coefficients_bar = add(coefficients_bar, dense_coefficients)
            shift_bar, h_bar = shift_bar + times[0], h_bar + times[2]
        step_bar = Replayed(
            after.y, after.shift, coefficients_bar, shift_bar, h_bar, after.memory, None
        )
        y_back, memory_back, shift_back, ends_back, field_back = step_vjp(step_bar)
        return after._replace(
            y=add(y_back, y_bar),
            memory=memory_back,
            evals=after.evals + evals,
            shift=shift_back,
            ends=add(after.ends, ends_back),
            field=add(after.field, field_back),
        )

    def gather_rows(self, entry: Entry, y: Any, taken: Replayed, inside: Any, after: _Cotangents):
        """Add up the cotangents of the rows that were interpolated inside a step."""

        def is_inside(index):
            return (index >= 1) & (index >= entry.first_row)

        def pull(carry):
            index, inside, ts_bar, save_bar = carry
            here = is_inside(index)

            def value(t, y, coefficients, shift, h, save):
                problem = self.problem(self.field, save)
                return replay_row(problem, entry, t, y, coefficients, shift, h)

            _, row_vjp = jax.vjp(
                value, self.ts[index], y, taken.coefficients, taken.shift, taken.h, self.save
            )
            row_bar = tree_map(lambda x: jnp.where(here, x, 0), row(self.rows, index))
            t, *inner, save = row_vjp(row_bar)
            return (
                index - here,
                add(inside, tuple(inner)),
                ts_bar.at[index].add(t),
                add(save_bar, save),
            )

        next_row, inside, ts_bar, save_bar = while_any(
            lambda carry: is_inside(carry[0]),
            pull,
            (after.next_row, inside, after.ts, after.save),
        )
        return inside, after._replace(next_row=next_row, ts=ts_bar, save=save_bar)
