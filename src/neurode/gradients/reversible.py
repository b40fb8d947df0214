"""The exact gradient of the discretisation in constant memory, with a reversible solver.

Nothing is taped: each accepted step is undone algebraically, then taken again and transposed as by
`Checkpointed`. Beside the last state only the times of the steps are kept, and of equal steps not
even those. (McCallum & Foster 2024; Zhuang et al. 2021, MALI.)
"""

import warnings
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.clock import Clock
from ..core.lane_calls import Lanes
from ..core.lanes import any_lane, freeze, while_any
from ..core.one_way import reverse_only
from ..core.trees import is_differentiable, subtract, zero_cotangent
from ..loops.driver import integrate
from ..loops.problem import FREE, LAST, Entry, Recording, Trajectory
from ..loops.replay import read_entry
from ..solvers.explicit_rk import ExplicitRungeKutta
from ..solvers.solver import Solver
from ..stepping.controller import StepController
from .checkpointed import pull_each
from .gradient import (
    GradientStrategy,
    Inputs,
    Settings,
    make_problem,
    mark_failure,
    solve_lanes,
)
from .lane_replay import LaneReplay
from .lane_tape import blank_record, call_by_lane, record_lanes
from .tape_backward import Cotangents, TapeBackward

_NO_SECOND = (
    "gradient=Reversible() has first derivatives in reverse mode only: use gradient=nd.Direct() "
    "for second derivatives, or nd.Checkpointed() for jax.jacfwd(jax.grad(...))"
)


class Reversible(GradientStrategy):
    """Undo each accepted step and differentiate it: exact, in memory that no step adds to.

    Needs a reversible solver: `nd.ReversibleRK(nd.Tsit5())`, `nd.AsynchronousLeapfrog()`, or for
    Hamiltonians `nd.Leapfrog()`. Rounding errors grow on the way back where the dynamics forget;
    the way back ends at t0, so that its error there is known: where it exceeds the tolerance,
    a `RuntimeWarning` says so. Many lanes (`jax.vmap`) write their attempts down in bounded memory
    instead, as under `Checkpointed`: the same gradient, with nothing to undo.

    Args:
        warns: whether to warn. (The warning is a host callback, run only when it is due; a program
            for `jax.export` is compiled without.)
    """

    warns: bool = eqx.field(static=True, default=True)

    def check(self, settings: Settings, controller: StepController) -> None:
        """The solver must be reversible."""
        solver = settings.solver
        if not solver.is_reversible:
            raise ValueError(
                f"gradient=Reversible() needs a solver whose steps can be undone, and "
                f"{type(solver).__name__}() is not one: use solver={_instead(solver)} or "
                f"nd.AsynchronousLeapfrog(), or gradient=nd.Checkpointed() with this solver"
            )
        if controller.limits.jump_at is not None:
            raise ValueError(
                "gradient=Reversible() cannot undo a restart at jump_at: use step_at with the "
                "same times, or gradient=nd.Checkpointed()"
            )
        if settings.dense:
            raise ValueError(
                "gradient=Reversible() keeps no steps and cannot differentiate dense output; use "
                "gradient=nd.Checkpointed() with dense=True, or name the times in ts"
            )

    def run(self, settings: Settings, inputs: Inputs) -> Trajectory:
        """Solve, differentiably in reverse mode."""
        return call_by_lane(_run, settings, self.warns, inputs, copies=False)


def _instead(solver: Solver) -> str:
    method = type(solver).__name__ if isinstance(solver, ExplicitRungeKutta) else "Tsit5"
    return f"nd.ReversibleRK(nd.{method}())"


def _run(lanes: Lanes | None, settings: Settings, warns: bool, inputs: Inputs) -> Any:
    """The solve of one system, or of many lanes."""
    if lanes is None:
        return _solve(settings, warns, inputs)
    return _solve_lanes(settings, lanes, inputs), True


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(settings: Settings, warns: bool, inputs: Inputs) -> Trajectory:
    del warns
    return mark_failure(settings, integrate(make_problem(settings, inputs)))


def _forward(settings: Settings, warns: bool, inputs: Inputs) -> tuple:
    inputs = reverse_only(inputs, _NO_SECOND)
    visible, kept = call_by_lane(_record, settings, warns, inputs)
    return visible, (inputs, kept)


def _record(lanes: Lanes | None, settings: Settings, warns: bool, inputs: Inputs) -> Any:
    """The trajectory, and what the backward pass needs of it."""
    if lanes is not None:
        return blank_record(partial(_record, None, settings, warns), settings, lanes, inputs)
    recording = Recording(log=inputs.controller.count is None)
    trajectory = integrate(make_problem(settings, inputs), recording)
    visible = trajectory._replace(log=None)
    return mark_failure(settings, visible), trajectory._replace(rows=None)


def _backward(settings: Settings, warns: bool, residuals: tuple, cotangent: Trajectory) -> tuple:
    inputs, found = residuals
    cotangent = eqx.filter(cotangent, is_differentiable)
    pulled = call_by_lane(_pull, settings, warns, inputs, found, cotangent)
    return (eqx.combine(pulled, zero_cotangent(inputs)),)


def _pull(lanes: Lanes | None, settings: Settings, warns: bool, *operands: Any) -> Any:
    """The cotangents of the inputs that have one; operands are inputs, found and cotangent."""
    if lanes is not None:
        pull = partial(_pull, None, settings, warns)
        return pull_each(pull, True, settings, lanes, *operands), True
    backward = _Backward(settings, 0, *operands)
    backward.warns = warns
    return eqx.filter(backward.run(), is_differentiable)


_solve.defvjp(_forward, _backward)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve_lanes(settings: Settings, lanes: Lanes, inputs: Inputs) -> Trajectory:
    """Many lanes: their log of attempts is bounded, so that nothing need be undone."""
    return solve_lanes(settings, lanes, inputs)


def _forward_lanes(settings: Settings, lanes: Lanes, inputs: Inputs) -> tuple:
    inputs = reverse_only(inputs, _NO_SECOND)
    visible, found, recorded = record_lanes(settings, None, lanes, inputs)
    return visible, (inputs, found, recorded)


def _backward_lanes(settings: Settings, lanes: Lanes, residuals: tuple, cotangent: Any) -> tuple:
    inputs, found, recorded = residuals
    return (LaneReplay(settings, lanes, inputs, found, recorded, cotangent).run(),)


_solve_lanes.defvjp(_forward_lanes, _backward_lanes)


class _Backward(TapeBackward):
    """The walk back that finds each state from the one after it."""

    warns: bool

    def walk(self, count: jax.Array, start: Cotangents) -> Cotangents:
        """Undo the accepted steps from the last to the first, and visit each."""
        problem, solver = self.problem(self.field, self.save), self.settings.solver

        def undo(state):
            index, kept, after = state
            index = index - 1
            entry = self.entry(index)
            clock = Clock(entry.hi, entry.lo)
            kept = solver.reverse(problem.field, clock, entry.h, *kept)
            before = self.visit(index, entry, kept, after)
            evals = before.evals + solver.reverse_evaluations
            return index, kept, before._replace(evals=evals)

        def is_alive(state):
            return state[0] > 0

        kept = (self.found.y, self.found.memory)
        state = (count, kept, start)
        _, (y0, _), done = while_any(
            is_alive, lambda state: freeze(is_alive(state), undo(state), state), state
        )
        if self.warns:
            y = self.inputs.y0
            error = problem.error_norm(y, y)(subtract(y0, y))
            self.warn(jnp.where(count > 0, error, 0))
        return done

    def entry(self, index: jax.Array) -> Entry:
        """Step `index`: from the log, or computed where steps are equal."""
        count = self.inputs.controller.count
        if count is None:
            return read_entry(self.found.log, index)
        ts = self.ts
        h = (ts[-1] - ts[0]) / count
        start = ts[0] + index * h
        direction = jnp.where(h < 0, -1, 1)
        passed = 1 + jnp.sum(direction * (ts[1:-1] - start) <= 0)
        is_last = index == count - 1
        h = jnp.where(is_last, ts[-1] - start, h)
        zero = jnp.zeros_like(h)
        kind, first_row = jnp.where(is_last, LAST, FREE), jnp.where(index == 0, 1, passed)
        return Entry(start, zero, h, kind, zero, first_row)

    def warn(self, error: jax.Array) -> None:
        """Warn when the way back has missed y0 by more than the tolerance."""
        is_off = ~(error <= 1)
        jax.lax.cond(
            any_lane(is_off),
            lambda error: jax.debug.callback(_warn, error),
            lambda error: None,
            error,
        )


def _warn(error: Any) -> None:
    if not error <= 1:
        warnings.warn(
            f"Reversible(): the way back missed y0 by {float(error):.3g} times the tolerance, and "
            f"the gradient is in doubt by as much: the dynamics forget, or float32 has too few "
            f"digits for so many steps. Use gradient=nd.Checkpointed(), or float64",
            RuntimeWarning,
            stacklevel=2,
        )
