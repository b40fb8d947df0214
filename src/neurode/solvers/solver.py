"""What every solver is: pure functions that take ONE step.

A solver holds nothing but its coefficients: it is frozen, hashable and comparable. It never loops
over time and never reduces over the state itself (norms are handed in), so that the same step
serves one joint system and many independent ones.

A method that chooses its own order (Adams, BDF) says so in its `Verdict`; one that cannot be
started anew from (t, y) says what must be kept (`memory`, `mark`, `recall`).
"""

import abc
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from ..core.clock import Clock
from ..core.types import Scalar, State, VectorField


class Step(NamedTuple):
    """One attempted step from t to t + h."""

    y: State
    """The state at t + h."""
    errors: tuple[State, ...]
    """Estimates of the local error; empty when the solver has none."""
    state: Any
    """What the solver carries to the next step (FSAL: the derivative at t + h)."""
    stages: tuple[State, ...]
    """The stage derivatives, from which the dense output is made."""
    retry: Any = None
    """What a rejected step is tried again with; None: the state that it began with."""
    evals: Any = 0
    """Evaluations of f beyond those that every step makes (those of Newton's iteration)."""
    jacobians: Any = 0
    """Jacobians that were evaluated."""
    is_unsolved: Any = None
    """Whether the equations of an implicit step could not be solved; None: there are none."""
    bound: Any = None
    """A bound of the largest eigenvalue of the Jacobian, where one was evaluated."""


class Verdict(NamedTuple):
    """What a solver says of its own step."""

    error: Scalar
    """The scaled local error: the step is good when it is at most 1."""
    order: Any
    """The error shrinks as h**order."""
    state: Any
    """What the next step starts from when this one is accepted."""
    retry: Any = None
    """What the next attempt starts from when it is not; None: what this one began with."""
    growth: Any = None
    """The next step's size relative to this one's, where the solver chooses order and size
    together (safety included); None leaves it to the controller."""


class Evaluations(NamedTuple):
    """How often each part of a solver evaluates the vector field."""

    start: int
    step: int
    dense: int


class Solver(abc.ABC):
    """An integrator of one step, as data and three pure functions.

    To add an explicit Runge-Kutta method, write its tableau (`solvers/tableaus`) and a two-line
    class (`solvers/explicit_rk.py`), and name it in the contract tests.
    """

    is_implicit: ClassVar[bool] = False
    """Whether a step solves equations, with Jacobians of the field."""
    is_one_step: ClassVar[bool] = True
    """Whether `start` finds the state of any step again; else `memory` must be kept."""
    is_fsal: bool = False
    """Whether the state carried is f(t, y), which a step's last stage and the next one's first
    share."""
    is_reversible: bool = False
    """Whether `reverse` undoes a step exactly, up to rounding."""
    reverse_evaluations: ClassVar[int] = 0
    """Evaluations of f to undo a step."""
    why_no_adjoints: ClassVar[str | None] = None
    """Why the method cannot solve the adjoint equations backwards in time; None if it can."""

    @property
    def suits_lanes(self) -> bool:
        """Whether the lane engine takes it; the others run under `jax.vmap` step by step."""
        return (self.is_one_step or self.is_reversible) and not self.is_implicit

    @property
    @abc.abstractmethod
    def order(self) -> int:
        """The order of convergence."""

    @property
    @abc.abstractmethod
    def error_order(self) -> int | None:
        """The local error estimate shrinks as h**error_order; None without an estimate."""

    @property
    @abc.abstractmethod
    def evaluations(self) -> Evaluations:
        """The number of evaluations of the vector field, part by part."""

    @abc.abstractmethod
    def start(self, field: VectorField, t: Scalar, y: State) -> Any:
        """The state the first step needs."""

    @abc.abstractmethod
    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: Any,
        norm: Callable[[State], Scalar],
    ) -> Step:
        """One step of (signed) size h. The norm (1 at the tolerance) says when Newton is done."""

    @abc.abstractmethod
    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The size of the local error, by a norm that is 1 at the tolerance."""

    def judge(self, step: Step, norm: Callable[[State], Scalar]) -> Verdict:
        """How good a step was, and how to go on."""
        error = self.error_norm(step.errors, norm)
        return Verdict(error, self.error_order, step.state, step.retry)

    def slope(self, state: Any, y: State) -> State | None:
        """f(t, y) where `start` has evaluated it, else None."""
        del y
        return state if self.evaluations.start else None

    def check(self, field: VectorField, y: State) -> None:
        """Refuse, in words, a field or a state that the method cannot take."""
        del field, y

    # What must be kept of an accepted step to take it again. A one-step method starts anew from
    # (t, y); a multistep method needs its history, and one that chooses needs its choice.

    def memory(self, state: Any) -> Any:
        """The real arrays of a state that cannot be found again from (t, y); None without any."""
        del state

    def mark(self, state: Any) -> Any:
        """A number for what was chosen for the next step (an order, a method); 0: just begun."""
        del state
        return 0

    def recall(self, field: VectorField, t: Scalar, y: State, memory: Any, mark: Any) -> Any:
        """The state again, from what was kept of it; differentiable."""
        del memory, mark
        return self.start(field, t, y)

    def reverse(
        self, field: VectorField, clock: Clock, h: Scalar, y1: State, memory1: Any
    ) -> tuple[State, Any]:
        """The state and the memory at a step's beginning, from those at its end.

        The clock shows the beginning.
        """
        raise NotImplementedError(f"{type(self).__name__} is not reversible")

    @abc.abstractmethod
    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """Coefficients of the dense output over the step, for `interpolants.evaluate`."""
