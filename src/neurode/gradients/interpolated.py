"""The continuous adjoint along the stored forward solution.

`Backsolve` finds y(t) again by solving backwards, which fails where the dynamics forget. Here y(t)
is the forward solve's own dense output (the remedy of Chen et al. 2018, section 6), and only
a(t) = dL/dy(t) is integrated backwards: a' = -a^T df/dy(t, y(t)). The gradient of the parameters,
the integral of a^T df/dp, is a quadrature along that solution, as in `backsolve.py`.

The tape holds the states at which accepted steps began, not the polynomials: each step is taken
once more on the way back, which gives its interpolant. The adjoint is solved step by step and
begins anew where a row's cotangent arrives.
"""

from collections.abc import Hashable
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.clock import Clock, until
from ..core.lane_calls import Lanes, lane_call
from ..core.lanes import freeze, sum_like, varying_axes, while_any
from ..core.norms import Tolerance
from ..core.one_way import reverse_only
from ..core.status import Status
from ..core.trees import add, is_differentiable, row, tree_map, zero_cotangent
from ..core.types import Norm, Scalar, State
from ..loops.driver import integrate
from ..loops.problem import Entry, Recording, Trajectory
from ..loops.replay import Ends, replay_step
from ..loops.tape import tape_slots
from ..solvers.explicit_rk import ExplicitRungeKutta
from ..solvers.interpolants import evaluate
from ..solvers.solver import Solver
from ..stepping.controller import StepController
from .adjoint import (
    along_solution,
    check_options,
    check_solver,
    own_tolerance,
    time_cotangent,
)
from .gradient import (
    GradientStrategy,
    Inputs,
    Settings,
    any_nonzero,
    basic_recording,
    make_problem,
    mark_failure,
    solve_lanes,
    spoil,
)
from .lane_backsolve import of_inputs, with_lanes
from .lane_interpolated import LaneInterpolated, Options
from .lane_tape import blank_record, each_cotangent, record_each, record_lanes, suits_lanes
from .tape_backward import TapeBackward, kept_per_step

_NO_SECOND = (
    "gradient=Interpolated() has first derivatives in reverse mode only: use gradient=nd.Direct() "
    "for second derivatives, or nd.Checkpointed() for jax.jacfwd(jax.grad(...))"
)


class Interpolated(GradientStrategy):
    """Solve the adjoint equation backwards along the stored forward solution.

    The gradient is that of the continuous problem, to about the tolerance, as by `Backsolve`; but
    y(t) is never integrated backwards, so that dynamics which cannot be reversed do no harm.

    Args:
        solver: for the adjoint; None takes the forward solve's.
        rtol: relative tolerance of the adjoint; None takes the forward solve's.
        atol: absolute tolerance of the adjoint; None takes the forward solve's.
        norm: of the scaled error of the adjoint; None is the root mean square.
        windows: keep at most this many states of the forward solution, and take the steps between
            two of them again on the way back; None keeps every state where that is cheap, else
            about 2 sqrt(max_steps).

    Raises:
        TypeError, ValueError: for an option of the wrong kind or value.
    """

    solver: Solver | None = eqx.field(static=True, default=None)
    rtol: Any = None
    atol: Any = None
    norm: Norm | None = eqx.field(static=True, default=None)
    windows: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        check_options("Interpolated", self.solver, self.rtol, self.atol)
        if self.windows is not None and not self.windows >= 2:
            raise ValueError(f"Interpolated(windows=...) must be at least 2, got {self.windows}")

    def check(self, settings: Settings, controller: StepController) -> None:
        """The adjoint's solver must fit; dense output has gradients for one-step methods."""
        check_solver("Interpolated", self.solver, settings, controller)
        if settings.dense and not settings.solver.is_one_step:
            raise ValueError(
                f"gradient=Interpolated() cannot differentiate dense output of "
                f"{type(settings.solver).__name__}(), which remembers earlier steps; use "
                f"gradient=nd.Checkpointed() with dense=True, or name the times in ts"
            )

    def run(self, settings: Settings, inputs: Inputs) -> Trajectory:
        """Solve, differentiably in reverse mode."""
        tolerances = tree_map(partial(jnp.asarray, dtype=inputs.ts.dtype), (self.rtol, self.atol))
        solver = settings.solver if self.solver is None else self.solver
        is_known = isinstance(solver, ExplicitRungeKutta) and isinstance(self.norm, Hashable)
        by_lane = is_known and suits_lanes(settings, inputs)
        options = Options(settings, solver, self.norm, self.windows, by_lane)
        return _call(_run, options, tolerances, inputs)


def _call(function: Any, options: Options, *operands: Any) -> Any:
    """function(lanes, options, *operands), which is told of lanes where it suits."""
    if not options.by_lane or varying_axes(operands):
        return function(None, options, *operands)
    return lane_call(function, (options,), *operands, copies=function is not _run)


def _run(lanes: Lanes | None, options: Options, tolerances: tuple, inputs: Inputs) -> Any:
    """The solve of one system, or of many lanes."""
    if lanes is None:
        return _solve(options, tolerances, inputs)
    lanes, inputs = with_lanes(lanes, inputs)
    own, shared = lanes.split((tolerances, inputs))
    if jax.tree_util.tree_leaves(own[0]):
        # Adjoints that differ in their tolerance: seldom, and not worth a program of its own.
        options = options._replace(by_lane=False)
        return jax.vmap(lambda own: _solve(options, *eqx.combine(own, shared)))(own), True
    return _solve_lanes(options, of_inputs(lanes, inputs), tolerances, inputs), True


# -- one system ------------------------------------------------------------------------------------


class _Walk(NamedTuple):
    """What is carried backwards from step to step."""

    a: State
    field: Any
    save: Any
    ts: jax.Array
    next_row: jax.Array
    h: Scalar
    evals: jax.Array
    has_failed: jax.Array


class _Piece(NamedTuple):
    """Where the adjoint stands inside a step."""

    elapsed: Scalar
    """Time since the step's beginning."""
    is_done: jax.Array
    walk: _Walk


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _solve(options: Options, tolerances: tuple, inputs: Inputs) -> Trajectory:
    del tolerances
    settings = options.settings
    trajectory = integrate(make_problem(settings, inputs), basic_recording(settings))
    return mark_failure(settings, trajectory)


def _forward(options: Options, tolerances: tuple, inputs: Inputs) -> tuple:
    inputs = reverse_only(inputs, _NO_SECOND)
    visible, kept = _call(_record, options, inputs)
    return visible, (tolerances, inputs, kept)


def _record(lanes: Lanes | None, options: Options, inputs: Inputs) -> Any:
    """The trajectory, and what the backward pass needs of it."""
    settings = options.settings
    if lanes is not None:
        return blank_record(partial(_record, None, options), settings, lanes, inputs)
    recording = Recording(dense=settings.dense, log=True, slots=_count_slots(options, inputs))
    trajectory = integrate(make_problem(settings, inputs), recording)
    visible = trajectory._replace(tape=None, log=trajectory.log if settings.dense else None)
    return mark_failure(settings, visible), trajectory._replace(rows=None, interpolants=None)


def _count_slots(options: Options, inputs: Inputs) -> int:
    """How many states the tape holds."""
    settings, windows = options.settings, options.windows
    if windows is not None:
        return min(windows - windows % 2, settings.max_steps)
    kept = jax.eval_shape(partial(kept_per_step, settings), inputs)
    return tape_slots(kept, settings.max_steps)


def _backward(options: Options, residuals: tuple, cotangent: Trajectory) -> tuple:
    tolerances, inputs, found = residuals
    cotangent = eqx.filter(cotangent, is_differentiable)
    pulled = _call(_pull, options, tolerances, inputs, found, cotangent)
    return zero_cotangent(tolerances), eqx.combine(pulled, zero_cotangent(inputs))


def _pull(lanes: Lanes | None, options: Options, *operands: Any) -> Any:
    """The cotangents of the inputs that have one; of each lane for itself, where it has lanes."""
    if lanes is not None:
        return _pull_each(lanes, options, *operands), True
    (rtol, atol), inputs, found, cotangent = operands
    tolerance = own_tolerance(rtol, atol, inputs.tolerance, inputs.y0, inputs.ts.dtype)
    slots = _count_slots(options, inputs)
    backward = _Backward(options.settings, slots, inputs, found, cotangent)
    backward.adjoint = (options.solver, tolerance, options.norm)
    return eqx.filter(backward.run(), is_differentiable)


_solve.defvjp(_forward, _backward)


class _Backward(TapeBackward):
    """The walk along the tape, with an adjoint solve in place of each step's transpose."""

    adjoint: tuple[Solver, Tolerance, Norm | None]

    def run(self) -> Inputs:
        """Cotangents of the inputs."""
        inputs, found, ts = self.inputs, self.found, self.ts
        is_idle = (found.status != Status.SUCCESS) & ~any_nonzero(
            (self.rows, self.last_row, self.cotangent.y, self.cotangent.interpolants)
        )
        start, count = self.begin(), jnp.where(is_idle, 0, found.num_accepted)
        done = self.walk(count, start)
        t0_bar = jnp.where(is_idle, 0, time_cotangent(inputs.field, ts[0], inputs.y0, done.a))
        t0_row, y0_row, save = self.pull_end(ts[0], inputs.y0, row(self.rows, 0))
        result = zero_cotangent(inputs)
        replace = {
            "field": eqx.combine(done.field, result.field),
            "save": eqx.combine(add(done.save, save), result.save),
            "y0": add(done.a, y0_row),
            "ts": done.ts.at[0].add(t0_row - t0_bar),
        }
        if inputs.probe is not None:
            replace["probe"] = done.evals.astype(inputs.probe.dtype)
        is_spoilt = self.is_lost | (~is_idle & done.has_failed)
        return sum_like(spoil(result._replace(**replace), is_spoilt), inputs)

    def begin(self) -> _Walk:
        """The cotangents that arrive at the last state."""
        found, ts = self.found, self.ts
        is_success = found.status == Status.SUCCESS
        t1_bar, a, save = self.pull_end(ts[-1], found.y, self.last_row)
        a = add(a, self.cotangent.y)
        moved = time_cotangent(self.inputs.field, ts[-1], found.y, a)
        t1_bar = t1_bar + jnp.where(is_success, moved, 0)
        return _Walk(
            a=a,
            field=tree_map(jnp.zeros_like, self.field),
            save=save,
            ts=jnp.zeros_like(ts).at[-1].add(t1_bar),
            next_row=jnp.where(is_success, len(ts) - 2, found.rows_done - 1),
            h=found.next_step,
            evals=jnp.zeros((), jnp.int32),
            has_failed=jnp.asarray(False),
        )

    def visit(self, index: jax.Array, entry: Entry, kept: tuple, after: _Walk) -> _Walk:
        """Solve the adjoint back over one step of the forward solve."""
        y, memory = kept

        def step(y, field):
            problem = self.problem(field, self.save)
            ends = Ends(self.zero, self.zero)
            taken = replay_step(problem, entry, index, y, memory, self.zero, ends, True)
            return taken.coefficients, taken.evals

        if self.settings.dense:
            coefficients, pull, more = jax.vjp(step, y, self.field, has_aux=True)
        else:
            (coefficients, more), pull = step(y, self.field), None
        clock = Clock(entry.hi, entry.lo)
        solution = partial(evaluate, y, coefficients, h=entry.h)
        piece = _Piece(entry.h, jnp.asarray(False), after)
        back = partial(self.piece, clock, entry, solution)
        walk = while_any(lambda piece: ~piece.is_done, back, piece).walk
        if pull is not None:
            y_bar, coefficients_bar = row(self.cotangent.interpolants, index)
            y_back, field_back = pull(coefficients_bar)
            walk = walk._replace(
                a=add(walk.a, add(y_bar, y_back)), field=add(walk.field, field_back)
            )
        cost = self.settings.solver.evaluations
        start = cost.start if self.settings.solver.is_one_step else 0
        return walk._replace(evals=walk.evals + start + cost.step + cost.dense + more)

    def piece(self, clock: Clock, entry: Entry, solution: Any, piece: _Piece) -> _Piece:
        """From here back to the row before, or to the step's beginning."""
        walk = piece.walk
        index = jnp.maximum(walk.next_row, 0)
        has_row = (walk.next_row >= 1) & (walk.next_row >= entry.first_row)
        t_row = self.ts[index]
        to = jnp.where(has_row, until(clock, t_row), 0)
        solved = self.solve_adjoint(clock, solution, piece.elapsed, to, walk)
        a, field = solved.y

        def value(t, y, save):
            return self.problem(self.field, save).row(t, y)

        y = solution(to)
        row_bar = tree_map(lambda x: jnp.where(has_row, x, 0), row(self.rows, index))
        t_bar, y_bar, save_bar = jax.vjp(value, t_row, y, self.save)[1](row_bar)
        moved = time_cotangent(self.inputs.field, t_row, y, y_bar)
        new = _Walk(
            a=add(a, y_bar),
            field=field,
            save=add(walk.save, save_bar),
            ts=walk.ts.at[index].add(t_bar + moved),
            next_row=walk.next_row - has_row,
            h=jnp.where(solved.num_steps > 0, solved.next_step, walk.h),
            evals=walk.evals + solved.num_f_evals,
            has_failed=walk.has_failed | (solved.status != Status.SUCCESS),
        )
        return freeze(~piece.is_done, _Piece(to, ~has_row, new), piece)

    def solve_adjoint(
        self, clock: Clock, solution: Any, elapsed: Scalar, to: Scalar, walk: _Walk
    ) -> Trajectory:
        """a' = -a^T df/dy along the solution, and the quadrature of a^T df/dp with it."""
        solver, tolerance, norm = self.adjoint

        def pull(elapsed, a):
            def f(y, field):
                problem = self.problem(field, self.save)
                return problem.field(clock.hi + (clock.lo + elapsed), y)

            return jax.vjp(f, solution(elapsed), self.field)[1](a)

        problem = along_solution(
            self.settings, solver, norm, tolerance, self.inputs.controller, pull,
            (walk.a, walk.field), jnp.stack([elapsed, to]), walk.h,
        )  # fmt: skip
        return integrate(problem)


# -- many lanes ------------------------------------------------------------------------------------


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve_lanes(options: Options, lanes: Lanes, tolerances: tuple, inputs: Inputs) -> Trajectory:
    del tolerances
    return solve_lanes(options.settings, lanes, inputs)


def _forward_lanes(options: Options, lanes: Lanes, tolerances: tuple, inputs: Inputs) -> tuple:
    inputs = reverse_only(inputs, _NO_SECOND)
    visible, found, recorded = record_lanes(options.settings, None, lanes, inputs)
    return visible, (tolerances, inputs, found, recorded)


def _backward_lanes(options: Options, lanes: Lanes, residuals: tuple, cotangent: Any) -> tuple:
    tolerances, inputs, found, recorded = residuals
    back = LaneInterpolated(options, tolerances, lanes, inputs, found, recorded, cotangent)
    return zero_cotangent(tolerances), back.run()


_solve_lanes.defvjp(_forward_lanes, _backward_lanes)


def _pull_each(lanes: Lanes, options: Options, *operands: Any) -> Any:
    """Cotangents of the inputs for each lane, also of those that all lanes share."""
    own, shared = lanes.split(operands)
    pulled = each_cotangent(partial(_pull, None, options), lanes, operands, inputs=1)
    if pulled is not None:
        return pulled
    if jax.tree_util.tree_leaves(own[0]):
        pull = lambda own: _pull(None, options, *eqx.combine(own, shared))  # noqa: E731
        return jax.vmap(pull)(own)
    _, inputs, _, cotangent = lanes.widen(operands)
    everything, found, recorded = record_each(options.settings, lanes, inputs)
    tolerances = operands[0]
    back = LaneInterpolated(options, tolerances, everything, inputs, found, recorded, cotangent)
    return eqx.filter(back.run(), is_differentiable)
