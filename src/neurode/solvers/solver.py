"""What every solver is: pure functions that take ONE step.

A solver holds nothing but its coefficients: it is frozen, hashable and comparable. It never loops
over time and never reduces over the state itself (norms are handed in), so that the same step
serves one joint system and many independent ones.
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

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
    def step(self, field: VectorField, clock: Clock, h: Scalar, y: State, state: Any) -> Step:
        """One step of (signed) size h."""

    @abc.abstractmethod
    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The size of the local error, by a norm that is 1 at the tolerance."""

    @abc.abstractmethod
    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """Coefficients of the dense output over the step, for `interpolants.evaluate`."""
