"""Explicit Runge-Kutta methods: a tableau and one algorithm."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp

from ..core.clock import Clock
from ..core.trees import combine, displace, scale
from ..core.types import Scalar, State, VectorField
from .solver import Evaluations, Solver, Step
from .tableau import ButcherTableau
from .tableaus import dopri8, explicit


def stage_point(
    row: tuple[float, ...], node: float, clock: Clock, h: Scalar, y: State, stages: Sequence[State]
) -> tuple[Scalar, State]:
    """Where a stage is evaluated: t + c_i h, and y + h sum_j a_ij k_j."""
    argument = displace(y, h, combine(row, stages)) if row else y
    return clock.hi + (clock.lo + node * h), argument


def stage_derivatives(
    field: VectorField,
    rows: tuple[tuple[float, ...], ...],
    nodes: tuple[float, ...],
    clock: Clock,
    h: Scalar,
    y: State,
    stages: list[State],
) -> tuple[list[State], State]:
    """Append k_i = f(t + c_i h, y + h sum_j a_ij k_j) for each row; also the last argument of f.

    Hairer, Nørsett & Wanner (1993), "Solving Ordinary Differential Equations I", eq. II.1.8.
    """
    argument = y
    for row, node in zip(rows, nodes, strict=True):
        time, argument = stage_point(row, node, clock, h, y, stages)
        stages = [*stages, field(time, argument)]
    return stages, argument


@dataclass(frozen=True)
class ExplicitRungeKutta(Solver):
    """The algorithm that all explicit Runge-Kutta methods share. Subclasses name a tableau."""

    tableau: ClassVar[ButcherTableau]

    @property
    def order(self) -> int:
        """The order of convergence."""
        return self.tableau.order

    @property
    def error_order(self) -> int | None:
        """The order of the local error estimate, None without an embedded method."""
        embedded, low = self.tableau.embedded_order, self.tableau.embedded_order_low
        if embedded is None:
            return None
        high = min(embedded, self.tableau.order) + 1
        # The blend of two estimates goes as high**2 / low (see `error_norm`).
        return high if low is None else 2 * high - (low + 1)

    @property
    def evaluations(self) -> Evaluations:
        """Evaluations of f: an FSAL method shares one between neighbouring steps."""
        tableau = self.tableau
        shared = 1 if tableau.fsal else 0
        return Evaluations(shared, len(tableau.b) - shared, len(tableau.dense_a))

    @property
    def is_fsal(self) -> bool:
        """First same as last."""
        return self.tableau.fsal

    def start(self, field: VectorField, t: Scalar, y: State) -> Any:
        """FSAL methods carry f(t, y)."""
        return field(t, y) if self.tableau.fsal else None

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: Any,
        norm: Callable[[State], Scalar] | None = None,
    ) -> Step:
        """One step of (signed) size h."""
        del norm
        tableau = self.tableau
        first = [state] if tableau.fsal else []
        a, c = tableau.a[len(first) :], tableau.c[len(first) :]
        stages, argument = stage_derivatives(field, a, c, clock, h, y, first)
        y1 = argument if tableau.fsal else displace(y, h, combine(tableau.b, stages))
        errors = tuple(
            scale(h, combine(weights, stages))
            for weights in (tableau.b_error, tableau.b_error_low)
            if weights is not None
        )
        return Step(y1, errors, stages[-1] if tableau.fsal else None, tuple(stages))

    def nodes(
        self, clock: Clock, h: Scalar, y: State, stages: tuple[State, ...]
    ) -> list[tuple[float, Scalar, State]]:
        """Weight, time and state of the stages by which a step is a quadrature."""
        tableau = self.tableau
        rows = zip(tableau.b, tableau.c, tableau.a, strict=True)
        return [
            (weight, *stage_point(row, node, clock, h, y, stages[: len(row)]))
            for weight, node, row in rows
            if weight != 0
        ]

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The norm of the estimate; with two estimates, their blend as in DOP853."""
        if len(errors) == 1:
            return norm(errors[0])
        high, low = (jnp.square(norm(error)) for error in errors)
        blend = high + 0.01 * low  # Hairer, Nørsett & Wanner (1993), II.5, code DOP853
        return high / jnp.sqrt(jnp.where(blend == 0, 1, blend))

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """Coefficients of the continuous extension."""
        tableau = self.tableau
        stages, _ = stage_derivatives(
            field, tableau.dense_a, tableau.dense_c, clock, h, y, list(step.stages)
        )
        return tuple(combine(weights, stages) for weights in zip(*tableau.dense, strict=True))


@dataclass(frozen=True)
class Euler(ExplicitRungeKutta):
    """Euler's method (1768). Order 1, one stage, no error estimate: fixed steps only."""

    tableau = explicit.EULER


@dataclass(frozen=True)
class Midpoint(ExplicitRungeKutta):
    """The explicit midpoint rule (Runge 1895). Order 2, two stages; error by Euler's method."""

    tableau = explicit.MIDPOINT


@dataclass(frozen=True)
class Heun(ExplicitRungeKutta):
    """Heun's method, the explicit trapezoid (1900). Order 2, two stages; error by Euler's method.

    Not Heun's third-order method.
    """

    tableau = explicit.HEUN


@dataclass(frozen=True)
class Ralston(ExplicitRungeKutta):
    """Ralston's method (1962): order 2, two stages, least truncation error bound."""

    tableau = explicit.RALSTON


@dataclass(frozen=True)
class RK4(ExplicitRungeKutta):
    """The classical Runge-Kutta method (Kutta 1901). Order 4, four stages, fixed steps."""

    tableau = explicit.RK4


@dataclass(frozen=True)
class RK38(ExplicitRungeKutta):
    """Kutta's 3/8 rule (1901). Order 4, four stages, fixed steps."""

    tableau = explicit.RK38


@dataclass(frozen=True)
class HeunEuler(ExplicitRungeKutta):
    """The Heun-Euler 2(1) pair."""

    tableau = explicit.HEUN_EULER


@dataclass(frozen=True)
class Bosh3(ExplicitRungeKutta):
    """Bogacki & Shampine's 3(2) pair (1989). Four stages, FSAL; SciPy's RK23."""

    tableau = explicit.BOSH3


@dataclass(frozen=True)
class Fehlberg45(ExplicitRungeKutta):
    """Fehlberg's 4(5) pair (1969), RKF45. Six stages, advances the fourth-order solution."""

    tableau = explicit.FEHLBERG45


@dataclass(frozen=True)
class CashKarp(ExplicitRungeKutta):
    """Cash & Karp's 5(4) pair (1990). Six stages."""

    tableau = explicit.CASH_KARP


@dataclass(frozen=True)
class Dopri5(ExplicitRungeKutta):
    """Dormand & Prince's 5(4) pair (1980). Seven stages, FSAL; SciPy's RK45, MATLAB's ode45."""

    tableau = explicit.DOPRI5


@dataclass(frozen=True)
class Tsit5(ExplicitRungeKutta):
    """Tsitouras' 5(4) pair (2011). Seven stages, FSAL: the default."""

    tableau = explicit.TSIT5


@dataclass(frozen=True)
class Dopri8(ExplicitRungeKutta):
    """Dormand & Prince's 8(5,3) method (1981), Hairer's DOP853. Twelve stages."""

    tableau = dopri8.DOPRI8
