"""Two methods and a choice: an explicit one, and a stiff one where the problem is stiff."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..core.clock import Clock
from ..core.lanes import any_lane
from ..core.trees import combine, select, subtract, tree_map
from ..core.types import Scalar, State, VectorField
from .explicit_rk import ExplicitRungeKutta, Tsit5
from .implicit import ImplicitSolver
from .rosenbrock import Rodas5P
from .solver import Evaluations, Solver, Step, Verdict

NONSTIFF, STIFF = 1, 2
# Real stability intervals of explicit methods of order 5 reach to about 3.3; Hairer & Wanner
# (1996), IV.2, take 3.25 for DOPRI5. A step is called stiff beyond a part of it.
_BOUND = 3.25
_TO_STIFF, _TO_NONSTIFF = 0.9, 0.7
_STIFF_STEPS, _NONSTIFF_STEPS = 30, 4


class SwitchState(NamedTuple):
    """Which method is used, and how sure that is."""

    method: jax.Array
    votes: jax.Array
    """Of recent steps, for the other method."""
    slope: State
    """f(t, y)."""


class Taken(NamedTuple):
    """A step by either method, in one form."""

    y: State
    error: State
    slope: State
    coefficients: tuple[State, ...]
    evals: Any
    stiffness: Scalar
    """The step size times (a bound of) the largest eigenvalue."""
    is_unsolved: Any


@dataclass(frozen=True)
class AutoSwitch(Solver):
    """An explicit method that changes to a stiff one, and back, as the problem asks.

    Stiffness is seen from the explicit method's last two stages, whose arguments and slopes give
    a lower bound for the largest eigenvalue (Hairer & Wanner 1996, IV.2; Petzold 1983); in stiff
    steps, from the change of slope between the ends of the step and from its Jacobian's action.
    One compiled program; under `jax.vmap` every lane has its own method.

    Args:
        nonstiff: an explicit Runge-Kutta method with an error estimate and two stages at the same
            time, such as `Tsit5()` or `Dopri5()`.
        stiff: a one-step implicit method, such as `Rodas5P()` or `Kvaerno5()`.

    Raises:
        TypeError, ValueError: for methods that do not fit.
    """

    nonstiff: ExplicitRungeKutta = Tsit5()
    stiff: ImplicitSolver = Rodas5P()
    is_implicit: ClassVar[bool] = True
    why_no_adjoints: ClassVar[str | None] = ImplicitSolver.why_no_adjoints

    def __post_init__(self) -> None:
        for name, value, kind, example in (
            ("nonstiff", self.nonstiff, ExplicitRungeKutta, "Tsit5()"),
            ("stiff", self.stiff, ImplicitSolver, "Rodas5P()"),
        ):
            if not isinstance(value, kind):
                raise TypeError(
                    f"AutoSwitch({name}=...) takes a method such as nd.{example}, got {value!r}"
                )
        if not self.stiff.is_one_step:
            raise ValueError(
                f"AutoSwitch(stiff=...) takes a one-step method such as nd.Rodas5P() or "
                f"nd.Kvaerno5(): {type(self.stiff).__name__}() would start anew at each switch"
            )
        tableau = self.nonstiff.tableau
        if not tableau.fsal or tableau.b_error is None or tableau.c[-2] != tableau.c[-1]:
            raise ValueError(
                f"AutoSwitch(nonstiff=...) needs an error estimate, and its last two stages at "
                f"the end of the step to see stiffness: use nd.Tsit5() or nd.Dopri5(), not "
                f"{type(self.nonstiff).__name__}()"
            )

    @property
    def order(self) -> int:
        """The lower of the two orders."""
        return min(self.nonstiff.order, self.stiff.order)

    @property
    def error_order(self) -> int:
        """Of the explicit method, which begins."""
        assert self.nonstiff.error_order is not None
        return self.nonstiff.error_order

    @property
    def evaluations(self) -> Evaluations:
        """One at the start; then those of the method that takes the step."""
        return Evaluations(1, 0, 0)

    def check(self, field: VectorField, y: State) -> None:
        """What the stiff method cannot take."""
        self.stiff.check(field, y)

    def start(self, field: VectorField, t: Scalar, y: State) -> SwitchState:
        """The explicit method begins."""
        dy = field(t, y)
        zero = jnp.zeros((), jnp.int32)
        return SwitchState(zero + NONSTIFF, zero, dy)

    def slope(self, state: SwitchState, y: State) -> State:
        """f(t, y)."""
        del y
        return state.slope

    def mark(self, state: SwitchState) -> jax.Array:
        """Which method takes the next step."""
        return state.method

    def recall(
        self, field: VectorField, t: Scalar, y: State, memory: Any, mark: Any
    ) -> SwitchState:
        """The state with the method that was chosen."""
        del memory
        return self.start(field, t, y)._replace(method=jnp.asarray(mark, jnp.int32))

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: SwitchState,
        norm: Callable[[State], Scalar],
    ) -> Step:
        """One step of (signed) size h by the method that was chosen."""
        is_stiff = state.method == STIFF
        # Lanes that another method serves take an empty step, so that nothing overflows there.
        by_nonstiff = lambda: self.step_nonstiff(  # noqa: E731
            field, clock, jnp.where(is_stiff, 0, h), y, state, norm
        )
        by_stiff = lambda: self.step_stiff(  # noqa: E731
            field, clock, jnp.where(is_stiff, h, 0), y, state, norm
        )
        blank = tree_map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(by_nonstiff))
        taken = jax.lax.cond(any_lane(~is_stiff), by_nonstiff, lambda: blank)
        other = jax.lax.cond(any_lane(is_stiff), by_stiff, lambda: blank)
        taken = select(is_stiff, other, taken)
        return Step(
            taken.y, (taken.error,), self.vote(state, taken), taken.coefficients,
            evals=taken.evals, jacobians=is_stiff.astype(jnp.int32),
            is_unsolved=taken.is_unsolved,
        )  # fmt: skip

    def step_nonstiff(self, field, clock, h, y, state, norm) -> Taken:
        """A step by the explicit method, and how stiff it found the problem."""
        method, tableau = self.nonstiff, self.nonstiff.tableau
        step = method.step(field, clock, h, y, state.slope)
        rise = norm(subtract(step.stages[-1], step.stages[-2]))
        weights = [
            last - before for last, before in zip(tableau.a[-1], (*tableau.a[-2], 0.0), strict=True)
        ]
        run = norm(combine(weights, step.stages[:-1]))
        stiffness = rise / jnp.where(run == 0, 1, run)
        coefficients = method.interpolant(field, clock, h, y, step)
        evals = jnp.asarray(method.evaluations.step + method.evaluations.dense, jnp.int32)
        return self.as_taken(step, step.state, coefficients, evals, stiffness, jnp.asarray(False))

    def step_stiff(self, field, clock, h, y, state, norm) -> Taken:
        """A step by the stiff method."""
        method = self.stiff
        step = method.step(field, clock, h, y, state.slope, norm)
        evals = method.evaluations.step + step.evals
        slope = step.state
        if slope is None:
            slope = field(clock.hi + (clock.lo + h), step.y)
            evals = evals + 1
        coefficients = method.interpolant(field, clock, h, y, step)
        stiffness = jnp.abs(h).astype(step.bound.dtype) * step.bound
        is_unsolved = jnp.asarray(False) if step.is_unsolved is None else step.is_unsolved
        evals = jnp.asarray(evals, jnp.int32)
        return self.as_taken(step, slope, coefficients, evals, stiffness, is_unsolved)

    def as_taken(self, step, slope, coefficients, evals, stiffness, is_unsolved) -> Taken:
        """Both methods' steps alike: as many coefficients as either has."""
        count = max(
            len(self.nonstiff.tableau.dense[0]),
            len(self.stiff.tableau.dense[0]),  # type: ignore[attr-defined]
        )
        blank = tree_map(jnp.zeros_like, step.y)
        coefficients = (*coefficients, *[blank] * (count - len(coefficients)))
        dtype = jnp.result_type(*jax.tree_util.tree_leaves(step.y))
        stiffness = jnp.asarray(stiffness, dtype)
        return Taken(step.y, step.errors[0], slope, coefficients, evals, stiffness, is_unsolved)

    def vote(self, state: SwitchState, taken: Taken) -> SwitchState:
        """The method of the next step: another after enough steps have asked for it."""
        is_stiff = state.method == STIFF
        stiffness = taken.stiffness / _BOUND
        asks = jnp.where(is_stiff, stiffness < _TO_NONSTIFF, stiffness > _TO_STIFF)
        # At its limit of stability an explicit method's steps swing about it: a step that does
        # not ask takes two votes back, not all of them.
        against = jnp.where(is_stiff, 0, jnp.maximum(state.votes - 2, 0))
        votes = jnp.where(asks, state.votes + 1, against)
        changes = votes >= jnp.where(is_stiff, _NONSTIFF_STEPS, _STIFF_STEPS)
        method = jnp.where(changes, NONSTIFF + STIFF - state.method, state.method)
        return SwitchState(method, jnp.where(changes, 0, votes), taken.slope)

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The norm of the estimate."""
        return norm(errors[0])

    def judge(self, step: Step, norm: Callable[[State], Scalar]) -> Verdict:
        """The error, of the order of the method that took the step."""
        is_stiff = step.jacobians == 1
        order = jnp.where(is_stiff, self.stiff.error_order, self.nonstiff.error_order)  # pyright: ignore[reportArgumentType]
        return Verdict(self.error_norm(step.errors, norm), order, step.state)

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """The continuous extension of the method that took the step."""
        del field, clock, h, y
        return step.stages
