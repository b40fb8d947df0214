"""Many steps of many independent systems at once: what `jax.vmap` of a solve runs.

Every lane has its own time, step size, direction and status. The lanes lie along the last,
contiguous axis of every array, so that a step is one short program over long vectors (and one
matrix product, where f has weights that all lanes share). A lane that is done is frozen; when
few enough are left, they are gathered into narrower arrays and go on there, so that a slow lane
costs its own steps and not everybody's.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax

from ..core.clock import until
from ..core.lanes import any_lane, while_any
from ..core.lanes_last import compute_once, over_lanes, runtime_one
from ..core.status import RUNNING, Status
from ..core.trees import tree_map
from ..core.types import Rows
from ..solvers.interpolants import evaluate
from .joint import Carry, Loop, Taken
from .lane_arrays import (
    first_where,
    lanes_first,
    put,
    put_windows,
    save_times,
    take,
    window,
)
from .lane_log import LaneLog, Recorded, blank_log, capacity, record
from .problem import Problem, Recording, Trajectory

_BARE = Recording(rows=False)
_NARROWEST = 16


def widths(size: int, shrink: int = 4) -> list[int]:
    """How many lanes there are room for, from everybody to the last few.

    Every width is a program of its own, which must be compiled: the factor between them is where
    idle lanes and compile time balance.
    """
    found = [size]
    while found[-1] >= shrink * _NARROWEST:
        found.append(-(-found[-1] // shrink))
    return found


def settled(problem: Problem, one: jax.Array, arguments: bool = False) -> Problem:
    """The problem with every derivative computed once (see `compute_once`).

    Args:
        problem: one lane's problem.
        one: see `compute_once`.
        arguments: whether the arguments of f too are computed once, and so their cotangents.
    """

    def field(t, y):
        return compute_once(problem.field(t, compute_once(y, one) if arguments else y), one)

    return replace(problem, field=field)


class LaneState(NamedTuple):
    """What changes from attempt to attempt."""

    carry: Carry
    """Of the lanes that there is room for, lanes last."""
    rows: Any
    """Leaves [number of lanes * (rows and a window beyond), entries]."""
    log: LaneLog | None
    total: Any = None
    """Of the quadrature, for all lanes together."""


class Quadrature(Protocol):
    """An integral along the lanes' solutions, of which only the sum over lanes is wanted."""

    def nodes(self, carry: Carry, taken: Taken) -> Any:
        """One lane: what of an attempted step the integral needs."""

    def accumulate(self, own: Any, nodes: Any, total: Any) -> Any:
        """All lanes: the sum with this attempt's share, of what differs and their nodes."""


class LaneEngine:
    """The loop over attempts, bound to a problem. Holds nothing that changes.

    Args:
        build: (own, shared) -> the `Problem` of one lane.
        own: pytree of what differs between lanes, lanes last.
        shared: what all lanes share.
        size: how many lanes.
        wants_rows: whether the states at the save times are wanted, or only when they are passed.
        shrink: see `widths`.
        quadrature: to add up on the way; with two save times only.
    """

    def __init__(
        self,
        build: Callable[[Any, Any], Problem],
        own: Any,
        shared: Any,
        size: int,
        wants_rows: bool = True,
        shrink: int = 4,
        quadrature: Quadrature | None = None,
    ):
        self.build, self.own, self.shared, self.size = build, own, shared, size
        self.widths = widths(size, shrink)
        shapes = tree_map(lambda x: jax.ShapeDtypeStruct(x.shape[:-1], x.dtype), own)
        example: list[Problem] = []
        self.row_shapes = jax.eval_shape(lambda own: self._describe(example, own), shapes)
        self.problem = example[0]
        """One lane's problem, of which only the static parts and shapes may be used."""
        self.one = runtime_one(eqx.combine(own, shared).y0)
        self.n, self.wants_rows = self.problem.ts.shape[0], wants_rows
        self.quadrature = quadrature
        self.window = window(self.n)
        self.stride = self.n + self.window.size

    def _describe(self, example: list[Problem], own: Any) -> Any:
        problem = self.build(own, self.shared)
        example.append(problem)
        return problem.row(problem.ts[0], problem.y0)

    def loop(self, own: Any) -> Loop:
        """The loop of one lane, of which only the parts that take one step are used."""
        return Loop(settled(self.build(own, self.shared), self.one), _BARE)

    # -- before ------------------------------------------------------------------------------------

    def start(self) -> Carry:
        """Before the first step."""
        return over_lanes(lambda own: self.loop(own).start())(self.own)

    def blank_rows(self) -> Any:
        """Room for what is saved between the first and the last time, and for a window beyond."""
        if self.n == 2:
            return None
        room = self.size * self.stride
        return tree_map(lambda x: jnp.zeros((room, x.size), x.dtype), self.row_shapes)

    # -- stepping ----------------------------------------------------------------------------------

    def run(self, state: LaneState, verdicts: jax.Array | None = None) -> LaneState:
        """Until every lane is done, or the log is full."""
        return self._run(0, self.own, jnp.arange(self.size), state, verdicts)

    def record(self, max_bytes: int | None) -> tuple[LaneState, Recorded]:
        """As `run` from the start, with what a gradient needs written down."""
        carry = self.start()
        kept = tree_map(lambda x: jax.ShapeDtypeStruct(x.shape[:-1], x.dtype), self.kept(carry))
        dtype, max_steps = self.problem.ts.dtype, self.problem.max_steps
        room = capacity(kept, dtype, self.size, max_steps, max_bytes)
        log = blank_log(kept, dtype, self.size, room)
        start = LaneState(carry, self.blank_rows(), log)
        return record(self.run, start, self.is_alive, max_steps)

    def kept(self, carry: Carry) -> tuple:
        """What is kept of a step's beginning: the state, and the solver's memory."""
        return carry.y, self.problem.solver.memory(carry.solver_state)

    def is_alive(self, carry: Carry) -> jax.Array:
        """Which lanes have a step to take."""
        return (carry.status == RUNNING) & (carry.num_steps < self.problem.max_steps)

    def _run(
        self, level: int, own: Any, ids: jax.Array, state: LaneState, verdicts: Any
    ) -> LaneState:
        is_last = level + 1 == len(self.widths)
        floor = 0 if is_last else self.widths[level + 1]

        def goes_on(state: LaneState) -> jax.Array:
            is_needed = jnp.sum(self.is_alive(state.carry)) > floor
            return is_needed if state.log is None else is_needed & state.log.has_room()

        state = while_any(
            goes_on, lambda state: self.attempt(level, own, ids, state, verdicts), state
        )
        if is_last:
            return state
        # Those that still have a step to take come first.
        order = first_where(self.is_alive(state.carry))[:floor]
        part = state._replace(carry=take(state.carry, order))
        part = self._run(level + 1, take(own, order), ids[order], part, verdicts)
        return part._replace(carry=put(state.carry, order, part.carry))

    def attempt(
        self, level: int, own: Any, ids: jax.Array, state: LaneState, verdicts: Any
    ) -> LaneState:
        """One step of every lane, accepted or rejected; the lanes that are done stay as they are.

        Args:
            level: how often the lanes were gathered; at level 0 they are in their own order.
            own: what differs between these lanes.
            ids: their numbers.
            state: where the step begins.
            verdicts: which attempts of the log were accepted [attempts, lanes], to take them again.
        """
        old, log = state.carry, state.log
        dense_evals = self.problem.solver.evaluations.dense
        alive = self.is_alive(old)
        verdict = None
        if verdicts is not None and log is not None:
            verdict = jnp.take(verdicts[log.count], ids)

        def step(own, carry, alive, verdict):
            loop = self.loop(own)
            new, taken = loop.advance(carry, alive, verdict)
            solver, field = loop.problem.solver, loop.problem.field
            if self.quadrature is not None:
                taken = taken._replace(step=self.quadrature.nodes(carry, taken))
            elif self.n == 2 or not self.wants_rows:
                taken = taken._replace(step=None)
            elif not dense_evals:
                interpolant = solver.interpolant(field, carry.clock, taken.h, carry.y, taken.step)
                taken = taken._replace(step=interpolant)
            return new, taken

        new, taken = over_lanes(step)(own, old, alive, verdict)
        if log is not None:
            log = log.write(ids if level else None, old, self.kept(old), taken)
        if self.n == 2:
            total = state.total
            if self.quadrature is not None:
                total = self.quadrature.accumulate(own, taken.step, total)
            return LaneState(new, None, log, total)
        if not self.wants_rows:
            return LaneState(self.pass_rows(own, new, taken), None, log)

        def save(new: Carry, rows: Any) -> tuple[Carry, Any]:
            return self.save(own, ids, old, new, taken, rows)

        if not dense_evals:
            return LaneState(*save(new, state.rows), log)
        is_passed = self.is_passed(own, new.next_row, taken)
        carry, rows = lax.cond(any_lane(is_passed.any()), save, lambda *x: x, new, state.rows)
        evals = carry.extra_evals + is_passed * dense_evals
        return LaneState(carry._replace(extra_evals=evals), rows, log)

    def is_passed(self, own: Any, index: jax.Array, taken: Taken) -> jax.Array:
        """Whether save time number `index`, not the last, lies in the step just taken."""
        return self.are_passed(index[None], own, taken)[1][0]

    def are_passed(self, numbers: jax.Array, own: Any, taken: Taken) -> tuple:
        """The save times with these numbers [rows, lanes], and the same of them."""
        ts = save_times(eqx.combine(own, self.shared).ts, numbers)
        ts = compute_once(ts, self.one)

        def distance(own, reached, ts):
            return self.loop(own).direction * until(reached, ts)

        are_reached = over_lanes(distance)(own, taken.reached, ts) <= 0
        return ts, taken.accept & (numbers < self.n - 1) & are_reached

    def pass_rows(self, own: Any, new: Carry, taken: Taken) -> Carry:
        """Count the save times that the step has passed (all but the last)."""

        def passed(index):
            return self.is_passed(own, index, taken)

        index = while_any(
            lambda index: jnp.any(passed(index)), lambda index: index + passed(index), new.next_row
        )
        return new._replace(next_row=index)

    def save(
        self, own: Any, ids: jax.Array, old: Carry, new: Carry, taken: Taken, rows: Any
    ) -> tuple[Carry, Any]:
        """Interpolate at the save times that the step has passed (all but the last).

        Lanes pass different numbers of them. A window of a few is written for all, whether they
        were passed or not: what was not is written again when it is.
        """
        coefficients = taken.step
        if self.problem.solver.evaluations.dense:

            def interpolant(own, carry, h, step):
                problem = self.loop(own).problem
                return problem.solver.interpolant(problem.field, carry.clock, h, carry.y, step)

            coefficients = over_lanes(interpolant)(own, old, taken.h, taken.step)

        def values(own, ts, old, h, coefficients):
            problem = self.loop(own).problem

            def value(t):
                return problem.row(t, evaluate(old.y, coefficients, until(old.clock, t), h))

            return jax.vmap(value)(ts)

        def body(state):
            index, _, rows = state
            count = self.window.size
            ts, passed = self.are_passed(index + jnp.arange(count + 1)[:, None], own, taken)
            found = over_lanes(values)(own, ts[:count], old, taken.h, coefficients)
            at = ids * self.stride + index
            # XLA would evaluate the polynomials in the order in which rows are written, one lane
            # after the other: it does not look through a branch.
            rows = lax.cond(
                self.one > 0,
                lambda *xs: tree_map(put_windows, *xs), lambda rows, *_: rows,
                rows, tree_map(lambda _: at, rows), found,
            )  # fmt: skip
            index = index + jnp.sum(passed[:-1], axis=0, dtype=index.dtype)
            return index, passed[-1], rows

        index = new.next_row
        index, _, rows = while_any(
            lambda state: jnp.any(state[1]), body, (index, taken.accept, rows)
        )
        return new._replace(next_row=index), rows

    # -- after -------------------------------------------------------------------------------------

    def count_evals(self, carry: Carry) -> jax.Array:
        """Evaluations of f, per lane."""
        return over_lanes(lambda own, carry: self.loop(own).count_evals(carry))(self.own, carry)

    def finish(self, state: LaneState) -> Trajectory:
        """What the loop hands back, with lanes first."""
        carry = state.carry
        status = jnp.where(carry.status == RUNNING, Status.MAX_STEPS, carry.status)
        is_success = status == Status.SUCCESS

        def ends(own, carry):
            loop = self.loop(own)
            problem = loop.problem
            first, last = problem.row(loop.t0, problem.y0), problem.row(loop.t1, carry.y)
            return first, last, loop.count_evals(carry)

        first, last, num_f_evals = over_lanes(ends)(self.own, carry)
        rows = self.all_rows(lanes_first(first), lanes_first(last), carry.next_row, state.rows)
        return Trajectory(
            y=lanes_first(carry.y),
            t=carry.clock.hi,
            rows=rows,
            rows_done=jnp.where(is_success, self.n, carry.next_row),
            status=status.astype(jnp.int32),
            num_steps=carry.num_steps,
            num_accepted=carry.num_accepted,
            num_f_evals=num_f_evals,
            num_jacobians=jnp.zeros_like(carry.num_steps),  # explicit solvers only
            next_step=carry.h,
            controller_state=lanes_first(carry.controller_state),
            memory=lanes_first(self.problem.solver.memory(carry.solver_state)),
            mark=jnp.zeros_like(carry.num_steps),
            log=None,
            tape=None,
            interpolants=None,
        )

    def all_rows(self, first: Any, last: Any, next_row: jax.Array, inner: Any) -> Rows:
        """Leaves [lanes, rows, ...]. Rows that were not reached hold the last good state."""
        if inner is None:
            return tree_map(lambda a, b: jnp.stack([a, b], axis=1), first, last)
        number = jnp.arange(self.n)

        def leaf(a, b, x):
            x = x.reshape(self.size, self.stride, *a.shape[1:])[:, : self.n]
            is_left = (number >= next_row[:, None]).reshape(x.shape[:2] + (1,) * (x.ndim - 2))
            is_first = (number == 0).reshape((1, -1) + (1,) * (x.ndim - 2))
            return jnp.where(is_first, a[:, None], jnp.where(is_left, b[:, None], x))

        return tree_map(leaf, first, last, inner)
