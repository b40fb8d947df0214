"""What a loop integrates, and what it hands back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..core.norms import Tolerance, scaled_norm
from ..core.solution import Resume
from ..core.trees import select
from ..core.types import Norm, Rows, Scalar, State, Times, VectorField
from ..solvers.solver import Solver
from ..stepping.controller import StepController


@dataclass(frozen=True)
class Problem:
    """An initial value problem with the method that solves it.

    Attributes:
        field: f(t, y), with all else bound.
        y0: the state at ts[0].
        ts: the save times, sorted in the direction of integration.
        tolerance: per-leaf tolerances.
        norm: of the scaled error; None for the root mean square.
        save: save(t, y) is what a row holds; None for the state itself.
        first_step: a (positive) step size to start with, or None.
        controller_state: to go on from an earlier solve, or None.
        history: likewise, where the solver left off, or None.
        skip_empty: take no step when the interval has length zero. (Otherwise one empty step is
            taken, which gives the save times their derivatives.)
        controlled: the part of a state (or of an error) that the step size depends on; the rest
            is a quadrature. The tolerance has the structure of this part.
        keeps_slopes: whether a tape keeps f(t, y) of each step, which an FSAL method carries,
            beside y: it need not be evaluated again.
    """

    field: VectorField
    y0: State
    ts: Times
    tolerance: Tolerance
    solver: Solver
    controller: StepController
    max_steps: int
    norm: Norm | None = None
    save: Callable[[Scalar, State], Any] | None = None
    first_step: Scalar | None = None
    controller_state: Any = None
    history: Resume | None = None
    skip_empty: bool = False
    controlled: Callable[[State], Any] = lambda state: state
    keeps_slopes: bool = False

    @property
    def error_order(self) -> int:
        """The local error estimate is of this order in the step size."""
        order = self.solver.error_order
        if order is None:
            raise ValueError(f"{type(self.solver).__name__} has no error estimate")
        return order

    def begin(self) -> Any:
        """The solver's state before the first step: its own start, or where it left off.

        A history is of use where this solve goes on from there, in the same direction.
        """
        solver, ts, history = self.solver, self.ts, self.history
        fresh = solver.start(self.field, ts[0], self.y0)
        if history is None:
            return fresh
        goes_on = (history.direction * (ts[-1] - ts[0]) > 0) & (history.time == ts[0])
        memory = select(goes_on, history.memory, solver.memory(fresh))
        return solver.recall(
            self.field, ts[0], self.y0, memory, jnp.where(goes_on, history.mark, 0)
        )

    def memory(self, state: Any) -> Any:
        """What a tape keeps of the solver's state, beside y."""
        return state if self.keeps_slopes else self.solver.memory(state)

    def recall(self, t: Scalar, y: State, memory: Any, mark: Any) -> Any:
        """The solver's state again, from what was kept of it."""
        if self.keeps_slopes:
            return memory
        return self.solver.recall(self.field, t, y, memory, mark)

    def row(self, t: Scalar, y: State) -> Any:
        """What is saved at time t."""
        return y if self.save is None else self.save(t, y)

    def error_norm(self, y: State, y1: State) -> Callable[[State], Scalar]:
        """The norm of an error made between y and y1: 1 at the tolerance."""
        scale = self.tolerance.scale(self.controlled(y), self.controlled(y1))
        return lambda error: scaled_norm(self.controlled(error), scale, self.norm)

    def step_norm(self, y: State) -> Callable[[State], Scalar]:
        """The norm of errors made inside a step that begins at y."""
        return self.error_norm(y, y)


@dataclass(frozen=True)
class Recording:
    """What a loop writes down on its way.

    Attributes:
        dense: the interpolant of every accepted step.
        log: times and sizes of the accepted steps.
        slots: how many states of accepted steps the tape holds; None for no tape.
        rows: what is asked for at the save times between the first and the last.
    """

    dense: bool = False
    log: bool = False
    slots: int | None = None
    rows: bool = True


class Entry(NamedTuple):
    """One accepted step in the log: scalars, or arrays with a leading axis of steps."""

    hi: jax.Array
    lo: jax.Array
    h: jax.Array
    """Signed size."""
    kind: jax.Array
    """FREE, ANCHORED (ended at a prescribed time) or LAST (ended at t1)."""
    mark: jax.Array
    """What the solver had chosen for this step: `Solver.mark`."""
    first_row: jax.Array
    """The first save time that had not been reached before this step."""


FREE, ANCHORED, LAST = 0, 1, 2


class Trajectory(NamedTuple):
    """What a loop hands back."""

    y: State
    """The state at the last time reached."""
    t: Scalar
    """The last time reached."""
    rows: Rows
    rows_done: jax.Array
    """How many rows were reached."""
    status: jax.Array
    num_steps: jax.Array
    num_accepted: jax.Array
    num_f_evals: jax.Array
    num_jacobians: jax.Array
    next_step: Scalar
    controller_state: Any
    memory: Any
    """What the solver needs to go on (`Solver.memory`)."""
    mark: jax.Array
    """What it chose for the next step (`Solver.mark`)."""
    log: Any
    """Array [max_steps + 1, 6] of entries and a spare one, or None."""
    tape: Any
    """`Tape`, or None."""
    interpolants: Any
    """Per accepted step (y, coefficients), leaves [max_steps + 1, ...], the last spare, or None."""

    def holds_last_state(self, n: int) -> jax.Array:
        """Which of the n rows hold the last state: the last one, or all that were not reached."""
        return jnp.arange(n) >= jnp.minimum(self.rows_done, n - 1)
