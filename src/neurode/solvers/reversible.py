"""Methods whose steps can be undone algebraically, whatever the field.

Each carries a second value beside the state, so that a step is a composition of shears: from the
end of a step its beginning follows by the same evaluations of f, up to rounding. Stepping back
reproduces the forward states, which integrating backwards does only to the tolerance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from ..core.clock import Clock
from ..core.trees import add, combine, displace, scale, subtract, tree_map
from ..core.types import Scalar, State, VectorField
from .explicit_rk import ExplicitRungeKutta, Tsit5, stage_derivatives
from .solver import Evaluations, Solver, Step


@dataclass(frozen=True)
class ReversibleRK(Solver):
    """An algebraically reversible pair over any explicit Runge-Kutta method.

    With the method's increment Psi_h(t, y) (a step leads from y to y + Psi), the step of size h
    from t to t' = t + h of the pair (y, z) is

        y' = c y + (1 - c) z + Psi_h(t, z)
        z' = z - Psi_{-h}(t', y')

    of the method's own order, and the beginning follows from the end by solving for z, then y
    (McCallum & Foster 2024, "Efficient, accurate and stable gradients for neural ODEs", eq. 5-6).
    The coupling c < 1 pulls the two together, which makes the method stable; going back it pushes
    them apart, so that rounding errors grow by 1/c per step.

    Args:
        method: an explicit Runge-Kutta method.
        coupling: c, in (0, 1].

    Raises:
        TypeError, ValueError: for another method, or a coupling outside (0, 1].
    """

    method: ExplicitRungeKutta = Tsit5()
    coupling: float = 0.999

    is_one_step = False
    is_reversible = True

    def __post_init__(self):
        if not isinstance(self.method, ExplicitRungeKutta):
            raise TypeError(
                f"ReversibleRK(method) takes an explicit Runge-Kutta method such as nd.Tsit5(), "
                f"got {self.method!r}"
            )
        if not 0 < self.coupling <= 1:
            raise ValueError(
                f"ReversibleRK(coupling=...) must lie in (0, 1], got {self.coupling!r}"
            )

    @property
    def order(self) -> int:
        """The order of convergence."""
        return self.method.order

    @property
    def error_order(self) -> int | None:
        """That of the method's own estimate."""
        return self.method.error_order

    @property
    def evaluations(self) -> Evaluations:
        """Two increments, one of them with an error estimate; nothing is shared between steps."""
        evals = self.method.evaluations
        return Evaluations(0, evals.start + evals.step + self._increment_evals, evals.dense)

    @property
    def reverse_evaluations(self) -> int:
        """Evaluations of f to undo a step."""
        return 2 * self._increment_evals

    @property
    def _increment_evals(self) -> int:
        tableau = self.method.tableau
        return len(tableau.b) - tableau.fsal

    def start(self, field: VectorField, t: Scalar, y: State) -> State:
        """The pair starts equal."""
        return y

    def _stages(self, field: VectorField, clock: Clock, h: Scalar, y: State) -> list[State]:
        tableau = self.method.tableau
        return stage_derivatives(field, tableau.a, tableau.c, clock, h, y, [])[0]

    def _increment(self, field: VectorField, clock: Clock, h: Scalar, y: State) -> State:
        tableau = self.method.tableau
        count = self._increment_evals  # the last stage of an FSAL method has no weight
        stages = stage_derivatives(field, tableau.a[:count], tableau.c[:count], clock, h, y, [])[0]
        return scale(h, combine(tableau.b[:count], stages))

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: State,
        norm: Callable[[State], Scalar] | None = None,
    ) -> Step:
        """One step of (signed) size h."""
        del norm
        tableau, c, z = self.method.tableau, self.coupling, state
        stages = self._stages(field, clock, h, z)
        mean = add(scale(c, y), scale(1 - c, z))
        y1 = displace(mean, h, combine(tableau.b, stages))
        z1 = subtract(z, self._increment(field, Clock(clock.hi, clock.lo + h), -h, y1))
        errors = tuple(
            scale(h, combine(weights, stages))
            for weights in (tableau.b_error, tableau.b_error_low)
            if weights is not None
        )
        return Step(y1, errors, z1, (*stages, z))

    def reverse(
        self, field: VectorField, clock: Clock, h: Scalar, y1: State, memory1: State
    ) -> tuple[State, State]:
        """The pair at the step's beginning (which the clock shows), from the pair at its end."""
        c, z1 = self.coupling, memory1
        z = add(z1, self._increment(field, Clock(clock.hi, clock.lo + h), -h, y1))
        rest = subtract(y1, self._increment(field, clock, h, z))
        return scale(1 / c, subtract(rest, scale(1 - c, z))), z

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The method's own."""
        return self.method.error_norm(errors, norm)

    def slope(self, state: State, y: State) -> None:
        """The start evaluates nothing."""

    def memory(self, state: State) -> State:
        """The second value of the pair."""
        return state

    def recall(self, field: VectorField, t: Scalar, y: State, memory: State, mark: Any) -> State:
        """The second value of the pair."""
        return memory

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """The method's continuous extension from z, moved to begin at y and to end at y'."""
        *stages, z = step.stages
        slopes = self.method.interpolant(field, clock, h, z, step._replace(stages=tuple(stages)))
        is_empty = h == 0
        pull = jnp.where(is_empty, 0, (1 - self.coupling) / jnp.where(is_empty, 1, h))
        return displace(slopes[0], pull, subtract(z, y)), *slopes[1:]


@dataclass(frozen=True)
class AsynchronousLeapfrog(Solver):
    """The asynchronous leapfrog method: order 2, one evaluation of f per step.

    The velocity v is carried beside the state: half a step along v, one evaluation of f there,
    v' = v + 2 d (f - v), half a step along v' (Mutze 2013; Zhuang et al. 2021, "MALI: a memory
    efficient and reverse accurate integrator for neural ODEs", algorithm 2). The error estimate
    compares with Euler's method.

    Args:
        damping: d, in (0.5, 1]; 1 is undamped, and of order 2.

    Raises:
        ValueError: for a damping outside (0.5, 1].
    """

    damping: float = 1.0

    is_one_step = False
    is_reversible = True
    reverse_evaluations = 1

    def __post_init__(self):
        if not 0.5 < self.damping <= 1:
            raise ValueError(
                f"AsynchronousLeapfrog(damping=...) must lie in (0.5, 1], got {self.damping!r}"
            )

    @property
    def order(self) -> int:
        """The order of convergence; damping costs one."""
        return 2 if self.damping == 1 else 1

    @property
    def error_order(self) -> int:
        """The order of the local error estimate."""
        return 2

    @property
    def evaluations(self) -> Evaluations:
        """Evaluations of f: the first velocity, and one per step."""
        return Evaluations(1, 1, 0)

    def start(self, field: VectorField, t: Scalar, y: State) -> State:
        """The velocity begins as f(t0, y0)."""
        return field(t, y)

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: State,
        norm: Callable[[State], Scalar] | None = None,
    ) -> Step:
        """One step of (signed) size h."""
        del norm
        v, half = state, h / 2
        middle = displace(y, half, v)
        slope = field(clock.hi + (clock.lo + half), middle)
        v1 = displace(v, 2 * self.damping, subtract(slope, v))
        return Step(displace(middle, half, v1), (scale(half, subtract(v1, v)),), v1, (v, v1))

    def reverse(
        self, field: VectorField, clock: Clock, h: Scalar, y1: State, memory1: State
    ) -> tuple[State, State]:
        """The state and velocity at the step's beginning, from those at its end."""
        v1, half, d = memory1, h / 2, self.damping
        middle = displace(y1, -half, v1)
        slope = field(clock.hi + (clock.lo + half), middle)
        v = scale(1 / (1 - 2 * d), subtract(v1, scale(2 * d, slope)))
        return displace(middle, -half, v), v

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The norm of the estimate."""
        return norm(errors[0])

    def memory(self, state: State) -> State:
        """The velocity."""
        return state

    def recall(self, field: VectorField, t: Scalar, y: State, memory: State, mark: Any) -> State:
        """The velocity."""
        return memory

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """The parabola with the velocities of both ends."""
        v, v1 = step.stages
        return v, tree_map(lambda a, b: (b - a) / 2, v, v1)
