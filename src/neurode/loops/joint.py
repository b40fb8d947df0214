"""Many steps of one system: the adaptive loop, forwards and without derivatives.

A batch in the state's own axes is one joint system with one step size, as in the paper; under
`jax.vmap` every lane has its own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core.clock import Clock, advance, until
from ..core.clock import start as start_clock
from ..core.lanes import any_lane, while_any
from ..core.status import RUNNING, Status
from ..core.trees import all_finite, per_row, select, set_row, tree_map
from ..core.types import Scalar, State
from ..solvers.interpolants import evaluate
from ..solvers.solver import Step
from ..stepping.initial import hairer_first_step
from ..stepping.stops import Stop, next_stop
from . import tape as tapes
from .judging import judge, solver_state
from .problem import ANCHORED, FREE, LAST, Entry, Problem, Recording, Trajectory


class Carry(NamedTuple):
    """What changes from step to step. Every array here costs time in each step."""

    clock: Clock
    y: State
    solver_state: Any
    h: Scalar
    controller_state: Any
    status: jax.Array
    num_steps: jax.Array
    num_accepted: jax.Array
    extra_evals: jax.Array
    jacobians: Any
    next_row: jax.Array
    rows: Any
    log: Any
    tape: Any
    interpolants: Any


class Taken(NamedTuple):
    """An attempted step, as those who write it down want to know it."""

    step: Step
    h: Scalar
    """Signed size."""
    kind: jax.Array
    alive: jax.Array
    accept: jax.Array
    reached: Clock
    """The time at its end (the near side of a jump)."""


def integrate_joint(problem: Problem, recording: Recording) -> Trajectory:
    """Integrate from ts[0] to ts[-1], or to the failure that the status names."""
    loop = Loop(problem, recording)
    carry = loop.run(loop.start())
    return loop.finish(carry)


class Loop:
    """The parts of the loop, bound to a problem. Holds nothing that changes."""

    def __init__(self, problem: Problem, recording: Recording):
        self.problem, self.recording = problem, recording
        self.t0, self.t1 = problem.ts[0], problem.ts[-1]
        self.direction = jnp.where(self.t1 < self.t0, -1, 1).astype(problem.ts.dtype)
        self.span = self.direction * (self.t1 - self.t0)
        self.has_inner_rows = recording.rows and problem.ts.shape[0] > 2
        self.limits = problem.controller.limits
        self.slots = problem.max_steps if recording.slots is None else recording.slots
        self.outgrows_tape = self.slots < problem.max_steps

    # -- before ------------------------------------------------------------------------------------

    def start(self) -> Carry:
        """Before the first step."""
        problem, recording = self.problem, self.recording
        y0, ts = problem.y0, problem.ts
        zero = jnp.zeros((), jnp.int32)
        status = jnp.where(self.is_valid(), RUNNING, Status.INVALID_INPUT).astype(jnp.int32)
        if problem.skip_empty:
            is_empty = (self.span == 0) & (status == RUNNING)
            status = jnp.where(is_empty, Status.SUCCESS, status)
        solver_state = problem.begin()
        controller_state = problem.controller_state
        if controller_state is None:
            controller_state = problem.controller.start(ts.dtype)
        first = problem.row(self.t0, y0)
        rows = interpolants = log = tape = None
        if self.has_inner_rows:
            # One row to spare, for lanes that have nothing to write.
            rows = tree_map(lambda x: jnp.broadcast_to(x, (len(ts) + 1, *x.shape)), first)
        if recording.log:
            log = jnp.zeros((problem.max_steps + 1, len(Entry._fields)), ts.dtype)
        if recording.slots is not None:
            kept = (y0, problem.memory(solver_state))
            tape = tapes.blank_tape(kept, recording.slots)
        if recording.dense:
            shapes = jax.eval_shape(self.blank_step, solver_state)
            interpolants = tree_map(
                lambda x: jnp.zeros((problem.max_steps + 1, *x.shape), x.dtype), shapes
            )
        return Carry(
            start_clock(self.t0), y0, solver_state, self.first_step(solver_state), controller_state,
            status, zero, zero, zero, zero if problem.solver.is_implicit else None, zero + 1,
            rows, log, tape, interpolants,
        )  # fmt: skip

    def blank_step(self, solver_state: Any) -> tuple:
        """An interpolant of the right shape."""
        problem = self.problem
        clock, h = start_clock(self.t0), self.t0
        step = problem.solver.step(
            problem.field, clock, h, problem.y0, solver_state, problem.step_norm(problem.y0)
        )
        return problem.y0, problem.solver.interpolant(problem.field, clock, h, problem.y0, step)

    def is_valid(self) -> jax.Array:
        """Whether the values that are only known at run time make sense."""
        problem = self.problem
        leaves = jax.tree_util.tree_leaves
        checks = [
            jnp.all(self.direction * jnp.diff(problem.ts) >= 0),
            all_finite(problem.ts),
            all_finite(problem.y0),
        ]
        rtols, atols = leaves(problem.tolerance.rtol), leaves(problem.tolerance.atol)
        for rtol, atol in zip(rtols, atols, strict=True):
            checks.append(jnp.all((rtol >= 0) & (atol >= 0) & (rtol + atol > 0)))
            checks.append(jnp.all(jnp.isfinite(rtol)))
        for size in (self.limits.first_step, self.limits.min_step, self.limits.max_step):
            if size is not None:
                checks.append(size > 0)
        for times in (self.limits.step_at, self.limits.jump_at):
            if times is not None:
                checks.append(all_finite(times))
        return jnp.all(jnp.stack(checks))

    def first_step(self, solver_state: Any) -> Scalar:
        """The (positive) size of the first step."""
        problem, limits = self.problem, self.limits
        controller = problem.controller
        if not controller.adaptive:
            n = controller.count
            return jnp.full_like(self.span, jnp.inf) if n is None else self.span / n
        if problem.first_step is not None:
            return problem.first_step
        if limits.first_step is not None:
            h = limits.first_step
        else:
            y0 = problem.y0
            dy = problem.solver.slope(solver_state, y0)
            dy = problem.field(self.t0, y0) if dy is None else dy
            h = hairer_first_step(
                problem.field, self.t0, y0, dy, self.direction, self.span,
                problem.error_norm(y0, y0), problem.error_order,
            )  # fmt: skip
        return limits.clamp(h)

    # -- stepping ----------------------------------------------------------------------------------

    def is_alive(self, carry: Carry) -> jax.Array:
        """Whether a lane has a step to take, and room to write it down."""
        alive = (carry.status == RUNNING) & (carry.num_steps < self.problem.max_steps)
        if not self.outgrows_tape:
            return alive
        return alive & tapes.has_room(carry.tape, self.slots, carry.num_accepted)

    def run(self, carry: Carry) -> Carry:
        """Step until the end, or to a failure."""
        max_steps = self.problem.max_steps
        if not self.outgrows_tape:
            return while_any(self.is_alive, self.attempt, carry)

        # Two loops, so that making room on the tape costs nothing in the steps between.
        def fill_tape(carry: Carry) -> Carry:
            carry = carry._replace(tape=tapes.make_room(carry.tape, self.slots, carry.num_accepted))
            return while_any(self.is_alive, self.attempt, carry)

        return while_any(
            lambda c: (c.status == RUNNING) & (c.num_steps < max_steps), fill_tape, carry
        )

    def plan(self, carry: Carry) -> tuple[Scalar, jax.Array, Stop]:
        """The (positive) size of the next step, whether it ends at a stop, and the stop."""
        stop = next_stop(self.limits, carry.clock, self.direction, self.t0, self.t1)
        remaining = self.direction * until(carry.clock, stop.time)
        count = self.problem.controller.count
        if count is not None:
            ends_there = carry.num_accepted == count - 1
        else:
            # The slack avoids a last step of nearly no length.
            ends_there = remaining <= carry.h * (1 + 1e-5)
        return jnp.where(ends_there, remaining, carry.h), ends_there, stop

    def attempt(self, carry: Carry) -> Carry:
        """One step, accepted or rejected, and written down."""
        new, taken = self.advance(carry, self.is_alive(carry))
        return self.record(carry, new, taken)

    def advance(
        self, carry: Carry, alive: jax.Array, verdict: jax.Array | None = None
    ) -> tuple[Carry, Taken]:
        """One step, accepted or rejected; a lane that is not alive stays as it is.

        Args:
            carry: where the step begins.
            alive: whether to take it.
            verdict: whether it was accepted, when it is taken again.
        """
        problem = self.problem
        h, ends_there, stop = self.plan(carry)
        step = problem.solver.step(
            problem.field, carry.clock, self.direction * h, carry.y, carry.solver_state,
            problem.step_norm(carry.y),
        )  # fmt: skip
        judged = judge(problem, carry, step, h, verdict)
        accept, h_next, controller_state, status, _ = judged
        accept = accept & alive
        moved = advance(carry.clock, self.direction * h)
        clock = select(
            accept & ends_there,
            start_clock(stop.time),
            select(accept, moved, carry.clock),
        )
        at_end = accept & ends_there & stop.is_end
        h_next = jnp.where(accept & ends_there, jnp.maximum(h_next, carry.h), h_next)
        new = carry._replace(
            clock=clock,
            y=select(accept, step.y, carry.y),
            solver_state=solver_state(carry.solver_state, judged.verdict, accept, alive),
            h=jnp.where(alive, h_next, carry.h),
            controller_state=select(alive, controller_state, carry.controller_state),
            status=jnp.where(at_end, Status.SUCCESS, jnp.where(alive, status, carry.status)),
            num_steps=carry.num_steps + alive,
            num_accepted=carry.num_accepted + accept,
            extra_evals=carry.extra_evals + alive * step.evals,
        )
        if problem.solver.is_implicit:
            new = new._replace(jacobians=carry.jacobians + alive * step.jacobians)
        kind = jnp.where(ends_there, jnp.where(stop.is_end, LAST, ANCHORED), FREE)
        taken = Taken(step, self.direction * h, kind, alive, accept, clock)
        return self.pass_jump(new, stop, accept & ends_there), taken

    def record(self, old: Carry, new: Carry, taken: Taken) -> Carry:
        """Write down what was asked for. A rejected step is overwritten by the next attempt."""
        problem, recording = self.problem, self.recording
        step, h, alive = taken.step, taken.h, taken.alive
        dense_evals = problem.solver.evaluations.dense
        index = jnp.where(alive, old.num_accepted, problem.max_steps)
        if recording.log:
            mark = problem.solver.mark(old.solver_state)
            entry = [*old.clock, h, taken.kind, mark, old.next_row]
            entry = jnp.stack([jnp.asarray(x, h.dtype) for x in entry])
            new = new._replace(log=set_row(old.log, index, entry))
        if recording.slots is not None:
            kept = (old.y, problem.memory(old.solver_state))
            tape = tapes.write(old.tape, recording.slots, old.num_accepted, kept, alive)
            new = new._replace(tape=tape)

        def interpolant():
            return problem.solver.interpolant(problem.field, old.clock, h, old.y, step)

        if recording.dense:
            coefficients = interpolant()
            new = new._replace(
                interpolants=set_row(old.interpolants, index, (old.y, coefficients)),
            )
            new = new._replace(extra_evals=new.extra_evals + alive * dense_evals)
            interpolant = lambda: coefficients  # noqa: E731
        if not self.has_inner_rows:
            return new
        return self.save_rows(old, new, interpolant, taken)

    def save_rows(self, old: Carry, new: Carry, interpolant: Callable, taken: Taken) -> Carry:
        """Interpolate at the save times that this step has passed (all but the last)."""
        problem, ts, n = self.problem, self.problem.ts, self.problem.ts.shape[0]
        h, reached = taken.h, taken.reached

        def is_passed(index):
            is_inner = index < n - 1
            return taken.accept & is_inner & (self.direction * until(reached, ts[index]) <= 0)

        def save_all(index, rows):
            coefficients = interpolant()

            def save(carry):
                index, rows = carry
                passed = is_passed(index)
                value = evaluate(old.y, coefficients, until(old.clock, ts[index]), h)
                value = problem.row(ts[index], value)
                return index + passed, set_row(rows, jnp.where(passed, index, n), value)

            return while_any(lambda carry: is_passed(carry[0]), save, (index, rows))

        if not problem.solver.evaluations.dense or self.recording.dense:
            index, rows = save_all(new.next_row, new.rows)
            return new._replace(next_row=index, rows=rows)
        # The interpolant costs evaluations of f: only where a save time was passed.
        passed = is_passed(new.next_row)
        index, rows = jax.lax.cond(
            any_lane(passed), save_all, lambda *same: same, new.next_row, new.rows
        )
        evals = new.extra_evals + passed * problem.solver.evaluations.dense
        return new._replace(next_row=index, rows=rows, extra_evals=evals)

    def pass_jump(self, carry: Carry, stop: Stop, at_stop: jax.Array) -> Carry:
        """Go on from the far side of a jump of f, with a new first stage."""
        if self.limits.jump_at is None:
            return carry
        problem = self.problem
        jumped = at_stop & stop.is_jump
        clock = select(jumped, start_clock(stop.restart), carry.clock)
        state = carry.solver_state
        if state is not None:
            state = jax.lax.cond(
                any_lane(jumped),
                lambda: select(
                    jumped, problem.solver.start(problem.field, clock.hi, carry.y), state
                ),
                lambda: state,
            )
        evals = carry.extra_evals + jumped * problem.solver.evaluations.start
        return carry._replace(clock=clock, solver_state=state, extra_evals=evals)

    # -- after -------------------------------------------------------------------------------------

    def finish(self, carry: Carry) -> Trajectory:
        """What the loop hands back."""
        problem = self.problem
        n = len(problem.ts)
        status = jnp.where(carry.status == RUNNING, Status.MAX_STEPS, carry.status)
        first, last = problem.row(self.t0, problem.y0), problem.row(self.t1, carry.y)
        # Rows that were not reached hold the last good state; a success has only one of them.
        if carry.rows is None:
            parts = [first] * (n - 1) + [last]
            rows = tree_map(lambda *xs: jnp.stack(xs), *parts)
        else:
            is_left = jnp.arange(n) >= carry.next_row
            rows = tree_map(lambda x, z: jnp.where(per_row(is_left, x), z, x[:n]), carry.rows, last)
        is_success = status == Status.SUCCESS
        return Trajectory(
            y=carry.y,
            t=carry.clock.hi,
            rows=rows,
            rows_done=jnp.where(is_success, n, carry.next_row),
            status=status.astype(jnp.int32),
            num_steps=carry.num_steps,
            num_accepted=carry.num_accepted,
            num_f_evals=self.count_evals(carry),
            num_jacobians=jnp.zeros_like(carry.num_steps)
            if carry.jacobians is None
            else carry.jacobians,
            next_step=carry.h,
            controller_state=carry.controller_state,
            memory=problem.solver.memory(carry.solver_state),
            mark=jnp.asarray(problem.solver.mark(carry.solver_state), jnp.int32),
            log=carry.log,
            tape=carry.tape,
            interpolants=carry.interpolants,
        )

    def count_evals(self, carry: Carry) -> jax.Array:
        """The number of evaluations of f."""
        evals = self.problem.solver.evaluations
        start = evals.start
        asks_first_step = self.problem.first_step is None and self.limits.first_step is None
        if self.problem.controller.adaptive and asks_first_step:
            start += 2 - evals.start
        return start + carry.num_steps * evals.step + carry.extra_evals
