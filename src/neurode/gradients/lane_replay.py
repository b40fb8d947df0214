"""`Checkpointed` for many independent systems: the accepted steps of all lanes, walked backwards.

What one system does in `checkpointed.py`, with two differences. The lanes walk in step, from the
last attempt to the first, and a lane joins when the walk reaches its own last attempt. And each
step is differentiated as one function of all lanes, so that the cotangent of weights which all
lanes share is a sum from the start (one matrix product, never an array per lane).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.lane_calls import Lanes
from ..core.lanes import while_any
from ..core.lanes_last import compute_once, over_lanes, runtime_one
from ..core.status import Status
from ..core.trees import add, per_row, tree_map, zero_cotangent
from ..loops.lane_arrays import borrow, lanes_first, lanes_last, put, save_times, take, window
from ..loops.lane_log import LaneEntry, LaneLog, Recorded, walk_chunks_back
from ..loops.lanes import LaneState, settled, widths
from ..loops.problem import FREE, Entry, Problem, Trajectory
from ..loops.replay import Ends, Replayed, replay_row, replay_step
from .gradient import (
    Inputs,
    Settings,
    any_nonzero,
    arriving_cotangent,
    evals_per_replayed_step,
    make_engine,
    make_problem,
    split,
)
from .lane_sums import spoil_lanes, sum_shared


class Walk(NamedTuple):
    """Cotangents of some lanes, lanes last."""

    y: Any
    memory: Any
    """Of what the solver remembers; None of one-step methods."""
    shift: jax.Array
    ends: Ends
    own: Any
    """Of what the lanes' functions hold and differs between lanes."""
    next_row: jax.Array


class All(NamedTuple):
    """Cotangents of all lanes together."""

    shared: Any
    """Of what the functions hold and all lanes share."""
    ts: jax.Array
    """[lanes * rows], of the save times between the first and the last."""


class Chunk(NamedTuple):
    """A chunk of attempts while it is walked back."""

    first: jax.Array
    log: LaneLog
    steps: jax.Array
    """Attempts of each lane."""
    order: jax.Array
    """The lanes, those with most attempts first."""


class LaneReplay:
    """The backward pass, bound to what the forward pass kept and to the cotangents.

    Args:
        settings: of the solve.
        lanes: which inputs differ between lanes.
        inputs: of the solve; leaves that differ with a leading axis of lanes.
        found: what the forward pass found, lanes first; its rows are not needed.
        recorded: its attempts.
        cotangent: of the trajectory, lanes first.
        wants_times: whether the save times have a cotangent; else it is left at zero, which saves
            a good part of the arithmetic.
    """

    def __init__(
        self, settings: Settings, lanes: Lanes, inputs: Inputs, found: Trajectory,
        recorded: Recorded, cotangent: Trajectory, wants_times: bool = True,
    ):  # fmt: skip
        self.wants_times = wants_times
        self.settings, self.lanes, self.inputs = settings, lanes, inputs
        self.size, self.widths = lanes.size, widths(lanes.size, shrink=8)
        self.n = inputs.ts.shape[-1]
        self.window = window(self.n)
        self.one = runtime_one(inputs.y0)
        own, self.shared = lanes.split(inputs)
        self.own = lanes_last(own)
        self.shared_part, self.shared_rest = split((self.shared.field, self.shared.save))
        self.found, self.recorded, self.cotangent = found, recorded, cotangent
        arriving = jax.vmap(lambda found, rows: arriving_cotangent(settings, found, rows))
        self.rows, self.last_row, self.is_lost = arriving(found, cotangent.rows)
        has_failed = found.status != Status.SUCCESS
        self.is_idle = has_failed & ~jax.vmap(any_nonzero)((self.rows, self.last_row, cotangent.y))
        # f may be NaN where a lane begins that took no step: it has ends, and no way between them.
        self.has_no_steps = self.is_idle | (has_failed & (found.num_accepted == 0))

    # -- functions of all lanes --------------------------------------------------------------------

    def problem(self, own: Inputs, own_part: Any, shared_part: Any) -> Problem:
        """One lane's problem with the differentiable parts of field and save put in."""
        _, own_rest = split((own.field, own.save))
        field, save = eqx.combine(own_part, own_rest, shared_part, self.shared_rest)
        inputs = eqx.combine(own, self.shared)._replace(field=field, save=save)
        return settled(make_problem(self.settings, inputs), self.one, arguments=True)

    def vjp(self, function: Callable, own: Inputs, constants: Any, args: Any) -> tuple:
        """function(problem, constants, *args) of every lane, and its pullback.

        The pullback gives the cotangents of args, of the lanes' own functions, and of what the
        functions share.
        """
        own_part, _ = split((own.field, own.save))

        def all_lanes(args, own_part, shared_part):
            def one(own, own_part, constants, args):
                return function(self.problem(own, own_part, shared_part), constants, *args)

            return over_lanes(one)(own, own_part, constants, args)

        return jax.vjp(all_lanes, args, own_part, self.shared_part)

    def first(self, own: Inputs) -> tuple[tuple, jax.Array]:
        """States, with what the solver remembers, and times at which the lanes begin."""

        def one(own):
            problem = make_problem(self.settings, eqx.combine(own, self.shared))
            return (problem.y0, first_memory(problem)), problem.ts[0]

        return over_lanes(one)(own)

    def times(self, tree: Any) -> Any:
        """Times, of which nothing is differentiated where nobody asks for it."""
        return tree if self.wants_times else jax.lax.stop_gradient(tree)

    # -- the walk ----------------------------------------------------------------------------------

    def run(self) -> Inputs:
        """Cotangents of the inputs: per lane where they differ, else summed."""
        ends, own = borrow(self.own, self.is_idle), borrow(self.own, self.has_no_steps)
        walk, everybody = self.at_the_end(ends)
        engine = make_engine(
            self.settings, own, self.shared, self.size, wants_rows=False, shrink=16
        )

        def retake(carry, log, verdicts):
            return engine.run(LaneState(carry, None, log), verdicts).log

        def visit(first, log, steps, carried):
            steps = jnp.where(self.has_no_steps, 0, steps)
            chunk = Chunk(first, log, steps, jnp.argsort(-steps, stable=True))
            _, walk, everybody = self.walk_back(0, own, None, chunk, jnp.max(steps), *carried)
            return walk, everybody

        walk, everybody = walk_chunks_back(retake, self.recorded, visit, (walk, everybody))
        return self.finish(ends, walk, everybody)

    def at_the_end(self, own: Inputs) -> tuple[Walk, All]:
        """The cotangents that arrive at the last states."""
        found, dtype = self.found, self.inputs.ts.dtype
        t1 = over_lanes(lambda own: eqx.combine(own, self.shared).ts[-1])(own)
        y = lanes_last(tree_map(lambda x: jnp.where(per_row(self.is_idle, x), 0, x), found.y))
        t_bar, y_bar, own_bar, shared_bar = self.pull_end(own, t1, y, lanes_last(self.last_row))
        zero = jnp.zeros(self.size, dtype)
        is_success = found.status == Status.SUCCESS
        next_row = jnp.where(is_success, self.n - 2, found.rows_done - 1)
        ts = jnp.zeros((self.size, self.n), dtype).at[:, -1].set(t_bar).reshape(-1)
        y_bar = add(y_bar, lanes_last(self.cotangent.y))
        memory = lanes_last(self.cotangent.memory)
        walk = Walk(y_bar, memory, zero, Ends(zero, zero), own_bar, next_row)
        return walk, All(shared_bar, ts)

    def pull_end(self, own: Inputs, t: jax.Array, y: Any, row_bar: Any) -> tuple:
        """Pull a cotangent back through what is saved at t0 or t1."""
        _, pull = self.vjp(lambda problem, _, t, y: problem.row(t, y), own, None, (t, y))
        (t_bar, y_bar), own_bar, shared_bar = pull(row_bar)
        return t_bar, y_bar, own_bar, shared_bar

    def walk_back(
        self, level: int, own: Inputs, ids: Any, chunk: Chunk, k: jax.Array, walk: Walk,
        everybody: All,
    ) -> tuple:  # fmt: skip
        """From attempt k - 1 down to the first at which more lanes take part than these.

        Those with most attempts begin alone, in narrow arrays.
        """
        if level + 1 < len(self.widths):
            width = self.widths[level + 1]
            order = chunk.order[:width] if level == 0 else jnp.arange(width)
            some_own, some = take((own, walk), order)
            some_ids = order if level == 0 else ids[:width]
            k, some, everybody = self.walk_back(
                level + 1, some_own, some_ids, chunk, k, some, everybody
            )
            walk = put(walk, order, some)
        first = 0 if level == 0 else chunk.steps[chunk.order[self.widths[level]]]

        def visit(state):
            k, walk, everybody = state
            return (k - 1, *self.visit(own, ids, chunk, k - 1, walk, everybody))

        return while_any(lambda state: state[0] > first, visit, (k, walk, everybody))

    def visit(
        self, own: Inputs, ids: Any, chunk: Chunk, k: jax.Array, after: Walk, everybody: All
    ) -> tuple[Walk, All]:
        """Pull the cotangents back through one attempt of these lanes."""
        active, entry, (y, memory) = self.read(own, ids, chunk, k)
        index = chunk.first + k
        has_inner_rows = self.n > 2
        zero = jnp.zeros_like(entry.h)

        def step(problem, entry, y, memory, shift, ends):
            shift, ends = self.times((shift, ends))
            taken = replay_step(problem, entry, index, y, memory, shift, ends, has_inner_rows)
            return taken._replace(evals=None)

        taken, pull = self.vjp(step, own, entry, (y, memory, zero, Ends(zero, zero)))
        inside = tree_map(jnp.zeros_like, (y, taken.coefficients, zero, zero))
        if has_inner_rows:
            inside, after, everybody = self.gather_rows(
                own, ids, active, entry, y, taken, inside, after, everybody
            )
        y_bar, coefficients_bar, shift_bar, h_bar = inside

        def only_active(tree):
            return tree_map(lambda x: jnp.where(active, x, 0), tree)

        step_bar = Replayed(
            only_active(after.y), only_active(after.shift), coefficients_bar, shift_bar, h_bar,
            memory=only_active(after.memory), evals=None,
        )  # fmt: skip
        (y_back, memory_back, shift_back, ends_back), own_bar, shared_bar = pull(step_bar)
        y, memory = tree_map(
            lambda new, old: jnp.where(active, new, old),
            (add(y_back, y_bar), memory_back), (after.y, after.memory),
        )  # fmt: skip
        walk = after._replace(
            y=y,
            memory=memory,
            shift=jnp.where(active, shift_back, after.shift),
            ends=add(after.ends, ends_back),
            own=add(after.own, own_bar),
        )
        return walk, everybody._replace(shared=add(everybody.shared, shared_bar))

    def read(self, own: Inputs, ids: Any, chunk: Chunk, k: jax.Array) -> tuple:
        """Attempt k of the chunk: which of these lanes stepped, their entries, where they began.

        A lane that did not step takes an empty step from its first state.
        """
        begin, t0 = self.first(own)
        shapes = tree_map(lambda x: jax.ShapeDtypeStruct(x.shape[:-1], x.dtype), begin)
        found = compute_once(chunk.log.read(k, ids, shapes), self.one)
        steps = chunk.steps if ids is None else chunk.steps[ids]
        active = (k < steps) & (found.kind >= 0)
        return active, *_only(active, found, begin, t0)

    def gather_rows(
        self, own: Inputs, ids: Any, active: jax.Array, entry: Entry, y: Any, taken: Replayed,
        inside: Any, after: Walk, everybody: All,
    ) -> tuple:  # fmt: skip
        """Add up the cotangents of the rows that were interpolated inside a step."""
        lanes = jnp.arange(self.size) if ids is None else ids

        def are_inside(numbers):
            return active & (numbers >= 1) & (numbers >= entry.first_row)

        def pull_rows(state):
            index, _, inside, own_bar, everybody = state
            first = jnp.maximum(index + 1 - self.window.size, 0)
            numbers = first + self.window
            here = are_inside(numbers) & (numbers <= index)
            at = lanes * self.n + first

            def rows_bar(x):
                entries = math.prod(x.shape[2:])
                where = (at + self.window)[:, None] * entries + jnp.arange(entries)[:, None]
                found = compute_once(jnp.take(x.reshape(-1), where, mode="clip"), self.one)
                found = jnp.where(here[:, None], found, 0)
                return found.reshape(len(found), *x.shape[2:], -1)

            # One by one: the sums over an axis of rows that a transpose would take are slow.
            def values(problem, entry, ts, y, coefficients, shift, h):
                ts, shift, h = self.times((ts, shift, h))
                return [replay_row(problem, entry, t, y, coefficients, shift, h) for t in ts]

            ts = compute_once(save_times(eqx.combine(own, self.shared).ts, numbers), self.one)
            args = (list(ts), y, taken.coefficients, taken.shift, taken.h)
            _, pull = self.vjp(values, own, entry, args)
            found = tree_map(rows_bar, self.rows)
            (ts_bar, *inner), own_more, shared_more = pull(
                [tree_map(lambda x, i=i: x[i], found) for i in range(len(here))]
            )
            everybody = everybody._replace(shared=add(everybody.shared, shared_more))
            if self.wants_times:
                at = at + self.window
                everybody = everybody._replace(ts=everybody.ts.at[at].add(jnp.stack(ts_bar)))
            index = index - jnp.sum(here, axis=0, dtype=index.dtype)
            return (
                index, are_inside(index), add(inside, tuple(inner)), add(own_bar, own_more),
                everybody,
            )  # fmt: skip

        index, _, inside, own_bar, everybody = while_any(
            lambda state: jnp.any(state[1]),
            pull_rows,
            (after.next_row, are_inside(after.next_row), inside, after.own, everybody),
        )
        return inside, after._replace(next_row=index, own=own_bar), everybody

    # -- after -------------------------------------------------------------------------------------

    def finish(self, own: Inputs, walk: Walk, everybody: All) -> Inputs:
        """The cotangents of the inputs, each with lanes first, or summed over them."""
        walk, everybody = self.at_the_start(own, walk, everybody)
        (y0, _), t0 = self.first(own)
        first_row = lanes_last(tree_map(lambda x: x[:, 0], self.rows))
        t_bar, y_bar, own_bar, shared_bar = self.pull_end(own, t0, y0, first_row)
        ts = everybody.ts.reshape(self.size, self.n)
        ts = ts.at[:, 0].add(walk.shift + walk.ends.t0 + t_bar).at[:, -1].add(walk.ends.t1)
        field, save = eqx.combine(
            lanes_first(add(walk.own, own_bar)), add(everybody.shared, shared_bar)
        )
        result = zero_cotangent(self.inputs)
        changes = {
            "field": eqx.combine(field, result.field),
            "save": eqx.combine(save, result.save),
            "y0": lanes_first(add(walk.y, y_bar)),
            "ts": ts if self.wants_times else jnp.zeros_like(ts),
        }
        if self.inputs.probe is not None:
            changes["probe"] = self.evals(walk).astype(self.inputs.probe.dtype)
        batched = self.lanes.batched
        result = sum_shared(result._replace(**changes), self.inputs, batched)
        return spoil_lanes(result, batched, self.is_lost)

    def at_the_start(self, own: Inputs, walk: Any, everybody: All) -> tuple[Any, All]:
        """Pull the cotangent of the first memory back to what the solver made it of."""
        if not jax.tree_util.tree_leaves(walk.memory):
            return walk, everybody

        def begin(problem, _, t, y):
            return first_memory(replace(problem, y0=y, ts=problem.ts.at[0].set(t)))

        (y0, _), t0 = self.first(own)
        _, pull = self.vjp(begin, own, None, (t0, y0))
        # Without a step there is nothing to pull back, and f may be NaN.
        (t, y), own_bar, shared = pull(
            tree_map(lambda x: jnp.where(self.has_no_steps, 0, x), walk.memory)
        )
        walk = walk._replace(y=add(walk.y, y), own=add(walk.own, own_bar), shift=walk.shift + t)
        return walk, everybody._replace(shared=add(everybody.shared, shared))

    def evals(self, walk: Any) -> jax.Array:
        """Evaluations of f in the backward pass, per lane."""
        del walk
        per_step = evals_per_replayed_step(self.settings, self.n)
        return jnp.where(self.is_idle, 0, self.found.num_accepted * per_step)


def first_memory(problem: Problem) -> Any:
    """What the solver remembers before the first step; None of one-step methods."""
    return None if problem.solver.is_one_step else problem.memory(problem.begin())


def _only(active: jax.Array, found: LaneEntry, begin: Any, t0: jax.Array) -> tuple[Entry, Any]:
    """The entries of active lanes; the others take an empty step from their first state."""
    zero = jnp.zeros_like(t0)

    def pick(x, other):
        return jnp.where(active, x, other)

    entry = Entry(
        pick(found.hi, t0), pick(found.lo, zero), pick(found.h, zero),
        pick(found.kind, FREE), jnp.zeros_like(zero), found.first_row,
    )  # fmt: skip
    return entry, tree_map(pick, found.kept, begin)
