"""`Interpolated` for many independent systems: the adjoints of all lanes, attempt by attempt.

What one system does in `interpolated.py`. The lanes walk back along their recorded attempts as in
`lane_replay.py`; each attempt is taken again for its interpolant, and along it the adjoints of all
lanes are solved by the lane engine, from row to row. The gradient of what lanes share is a
quadrature for all lanes together, as in `lane_backsolve.py`.
"""

from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.clock import Clock, until
from ..core.lane_calls import Lanes
from ..core.lanes import while_any
from ..core.lanes_last import over_lanes
from ..core.status import Status
from ..core.trees import add, tree_map
from ..core.types import Norm, Scalar, State
from ..loops.joint import Carry, Taken
from ..loops.lane_arrays import lanes_last, save_times
from ..loops.lane_log import Recorded
from ..loops.lanes import LaneEngine, LaneState
from ..loops.problem import Entry, Problem, Trajectory
from ..loops.replay import Ends, replay_step
from ..solvers.interpolants import evaluate
from ..solvers.solver import Solver
from .adjoint import along_solution, own_tolerance, time_cotangent
from .gradient import Inputs, Settings, make_problem, split
from .lane_replay import All, Chunk, LaneReplay
from .lane_sums import add_quadrature, weigh_stages


class Options(NamedTuple):
    """What is known of an interpolated adjoint when it is compiled.

    Attributes:
        settings: of the solve.
        solver: of the adjoint.
        norm: of its error.
        windows: see `Interpolated`; lanes have a log of their own.
        by_lane: whether lanes are solved together.
    """

    settings: Settings
    solver: Solver
    norm: Norm | None
    windows: int | None
    by_lane: bool


class Walk(NamedTuple):
    """Cotangents of some lanes, lanes last, and how their adjoints are solved."""

    y: State
    """a = dL/dy."""
    memory: Any
    shift: jax.Array
    ends: Ends
    own: Any
    next_row: jax.Array
    h: jax.Array
    evals: jax.Array
    has_failed: jax.Array


class Step(NamedTuple):
    """The solution inside an accepted step."""

    y: State
    coefficients: Any
    clock: Clock
    h: Scalar

    def at(self, elapsed: Scalar) -> State:
        """The state, this time after the step's beginning."""
        return evaluate(self.y, self.coefficients, elapsed, self.h)

    def time(self, elapsed: Scalar) -> Scalar:
        """The time, this time after the step's beginning."""
        return self.clock.hi + (self.clock.lo + elapsed)


class Span(NamedTuple):
    """What one lane's adjoint is solved over."""

    inputs: Inputs
    step: Step
    y0: tuple[State, Any]
    """a, and the gradient of what this lane alone holds."""
    ts: jax.Array
    """Where it begins and ends, counted from the step's beginning: [2]."""
    first_step: Scalar


class _Piece(NamedTuple):
    """Where the adjoints stand inside an attempt."""

    elapsed: jax.Array
    is_done: jax.Array
    walk: Walk
    everybody: All


class LaneInterpolated(LaneReplay):
    """The walk along the attempts, with an adjoint solve in place of each step's transpose.

    Args:
        options: of the adjoint.
        tolerances: of the adjoint, the same for all lanes.
        rest: as of `LaneReplay`.
    """

    def __init__(
        self, options: Options, tolerances: tuple, lanes: Lanes, inputs: Inputs, found: Trajectory,
        recorded: Recorded, cotangent: Trajectory,
    ):  # fmt: skip
        super().__init__(options.settings, lanes, inputs, found, recorded, cotangent)
        self.solver: Any = options.solver
        self.norm = options.norm
        self.tolerances = tolerances
        self.parameters, self.rest = split(self.shared.field)

    # -- one lane's adjoint ------------------------------------------------------------------------

    def build(self, own: Span, shared: Span) -> Problem:
        """One lane's problem: a' = -a^T df/dy along its solution, and its own quadrature."""
        span = eqx.combine(own, shared)
        inputs, step = span.inputs, span.step
        parameters, rest = split(own.inputs.field)
        rtol, atol = self.tolerances
        tolerance = own_tolerance(rtol, atol, inputs.tolerance, inputs.y0, inputs.ts.dtype)

        def pull(elapsed, a):
            def f(y, parameters):
                return eqx.combine(parameters, rest, shared.inputs.field)(step.time(elapsed), y)

            return jax.vjp(f, step.at(elapsed), parameters)[1](a)

        return along_solution(
            self.settings, self.solver, self.norm, tolerance, inputs.controller, pull, span.y0,
            span.ts, span.first_step,
        )  # fmt: skip

    def nodes(self, carry: Carry, taken: Taken) -> list[tuple[Scalar, State]]:
        """Time and weighted adjoint at the stages of an accepted step, zero of a rejected one."""
        return [
            (jnp.where(taken.accept, t, carry.clock.hi), a)
            for t, _, a in weigh_stages(self.solver, carry, taken, lambda state: state[0])
        ]

    # -- all lanes ---------------------------------------------------------------------------------

    def accumulate(self, own: Span, nodes: list, total: Any) -> Any:
        """A step's share of the gradient of what all lanes share."""

        def f(parameters, own, elapsed):
            field, step = own
            return eqx.combine(field, parameters, self.rest)(step.time(elapsed), step.at(elapsed))

        return add_quadrature(total, f, self.parameters, (own.inputs.field, own.step), nodes)

    def moved(self, own: Inputs, t: jax.Array, y: State, a: State) -> jax.Array:
        """How the loss changes when the states arrive later, [lanes]."""

        def one(own, t, y, a):
            return time_cotangent(eqx.combine(own, self.shared).field, t, y, a)

        return over_lanes(one)(own, t, y, a)

    # -- the walk ----------------------------------------------------------------------------------

    def at_the_end(self, own: Inputs) -> tuple[Any, All]:
        """The cotangents that arrive at the last states."""
        walk, everybody = super().at_the_end(own)
        is_success = self.found.status == Status.SUCCESS
        t1 = over_lanes(lambda own: eqx.combine(own, self.shared).ts[-1])(own)
        moved = self.moved(own, t1, lanes_last(self.found.y), walk.y)
        ends = walk.ends._replace(t1=jnp.where(is_success, moved, 0))
        evals, has_failed = jnp.zeros(self.size, jnp.int32), jnp.zeros(self.size, bool)
        h = self.found.next_step
        walk = Walk(
            walk.y, walk.memory, walk.shift, ends, walk.own, walk.next_row, h, evals, has_failed
        )
        return walk, everybody

    def visit(
        self, own: Inputs, ids: Any, chunk: Chunk, k: jax.Array, after: Any, everybody: All
    ) -> tuple[Any, All]:
        """Solve the adjoints of these lanes back over one attempt."""
        active, entry, kept = self.read(own, ids, chunk, k)
        index, settings = chunk.first + k, self.settings

        def take(own, entry, y, memory):
            problem = make_problem(settings, eqx.combine(own, self.shared))
            zero = jnp.zeros_like(entry.h)
            taken = replay_step(problem, entry, index, y, memory, zero, Ends(zero, zero), True)
            return Step(y, taken.coefficients, Clock(entry.hi, entry.lo), entry.h)

        step = over_lanes(take)(own, entry, *kept)
        ids = jnp.arange(self.size) if ids is None else ids
        piece = _Piece(entry.h, ~active, after, everybody)
        back = partial(self.go_back, own, ids, entry, step)
        piece = while_any(lambda piece: jnp.any(~piece.is_done), back, piece)
        cost = settings.solver.evaluations
        walk = piece.walk
        evals = walk.evals + active * (cost.start + cost.step + cost.dense)
        return walk._replace(evals=evals), piece.everybody

    def go_back(
        self, own: Inputs, ids: jax.Array, entry: Entry, step: Step, piece: _Piece
    ) -> _Piece:
        """From here back to the row before, or to the attempt's beginning."""
        walk, is_open = piece.walk, ~piece.is_done
        index = jnp.maximum(walk.next_row, 0)
        has_row = is_open & (walk.next_row >= 1) & (walk.next_row >= entry.first_row)
        t_row = save_times(eqx.combine(own, self.shared).ts, index[None])[0]
        to = jnp.where(has_row, until(step.clock, t_row), 0)
        to = jnp.where(is_open, to, piece.elapsed)
        (a, own_field), total, solved = self.solve_adjoints(own, step, piece, to)
        evals, next_step, has_failed = solved

        y = over_lanes(Step.at)(step, to)
        rows_bar = tree_map(lambda x: _row(x, ids, index, has_row), self.rows)
        t_bar, y_bar, own_bar, (_, save_bar) = self.pull_end(own, t_row, y, rows_bar)
        t_bar = t_bar + jnp.where(has_row, self.moved(own, t_row, y, y_bar), 0)
        everybody = All(
            (total, add(piece.everybody.shared[1], save_bar)),
            piece.everybody.ts.at[ids * self.n + index].add(t_bar),
        )
        walk = walk._replace(
            y=add(a, y_bar),
            own=(own_field, add(walk.own[1], own_bar[1])),
            next_row=walk.next_row - has_row,
            h=next_step,
            evals=walk.evals + jnp.where(is_open, evals, 0),
            has_failed=walk.has_failed | (is_open & has_failed),
        )
        return _Piece(to, ~has_row, walk, everybody)

    def solve_adjoints(self, own: Inputs, step: Step, piece: _Piece, to: jax.Array) -> tuple:
        """The adjoints of these lanes from where they stand to `to`; no step where that is here."""
        walk, total = piece.walk, piece.everybody.shared[0]
        elapsed = jnp.stack([piece.elapsed, to])
        span = Span(own, step, (walk.y, walk.own[0]), elapsed, walk.h)
        size = len(to)
        shared = tree_map(lambda _: None, span)._replace(inputs=self.shared)
        has_shared = bool(jax.tree_util.tree_leaves(self.parameters))
        engine = LaneEngine(
            self.build, span, shared, size, shrink=size,
            quadrature=self if has_shared else None,
        )  # fmt: skip
        state = engine.run(LaneState(engine.start(), None, None, total))
        carry = state.carry
        h = jnp.where(carry.num_steps > 0, carry.h, walk.h)
        found = engine.count_evals(carry), h, carry.status != Status.SUCCESS
        return carry.y, state.total if has_shared else total, found

    # -- after -------------------------------------------------------------------------------------

    def finish(self, own: Inputs, walk: Any, everybody: All) -> Inputs:
        """The cotangents of the inputs, each with lanes first, or summed over them."""
        (y0, _), t0 = self.first(own)
        t0_bar = jnp.where(self.has_no_steps, 0, self.moved(own, t0, y0, walk.y))
        self.is_lost = self.is_lost | walk.has_failed
        walk = walk._replace(ends=walk.ends._replace(t0=-t0_bar), memory=None)
        return super().finish(own, walk, everybody)

    def evals(self, walk: Any) -> jax.Array:
        """Evaluations of f in the backward pass, per lane."""
        return walk.evals


def _row(x: jax.Array, ids: jax.Array, index: jax.Array, is_wanted: jax.Array) -> jax.Array:
    """One row of each of these lanes, lanes last, of x [lanes, rows, ...]; else zero."""
    shape = x.shape[2:]
    found = jnp.take(x.reshape(x.shape[0] * x.shape[1], -1), ids * x.shape[1] + index, axis=0)
    return jnp.where(is_wanted, found.T, 0).reshape(*shape, -1)
