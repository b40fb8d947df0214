"""Adams methods of a fixed order, started by a Runge-Kutta method of matching order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..core.clock import Clock
from ..core.lanes import any_lane
from ..core.trees import displace, scale, select, tree_map
from ..core.types import Scalar, State, VectorField
from .adams import check_order, recall_history
from .differences import (
    History,
    begin,
    column,
    differences,
    follow,
    integrals,
    nodes,
    powers,
    shifted,
    weighted,
)
from .explicit_rk import RK4, Bosh3, Dopri8, ExplicitRungeKutta, Midpoint, Tsit5
from .solver import Evaluations, Solver, Step

HIGHEST_ORDER = 8
_STARTERS = {2: Midpoint(), 3: Bosh3(), 4: RK4(), 5: Tsit5()}
_BEST_STARTER = Dopri8()


class FixedOrderState(NamedTuple):
    """The history, and how many of its differences are known."""

    history: History
    count: jax.Array


@dataclass(frozen=True)
class FixedOrderAdams(Solver):
    """What the Adams methods of a fixed order share. Fixed steps only, of any sizes.

    The first steps are taken by a Runge-Kutta method of at least this order.
    """

    k: int
    is_one_step: ClassVar[bool] = False
    corrects: ClassVar[bool]

    def __post_init__(self) -> None:
        check_order(f"{type(self).__name__}(k)", self.k, HIGHEST_ORDER)

    @property
    def order(self) -> int:
        """The order of convergence."""
        return self.k

    @property
    def error_order(self) -> None:
        """No error estimate: `Adams()` chooses its own order and steps."""
        return None

    @property
    def predictor_terms(self) -> int:
        """How many past derivatives the predictor uses."""
        return self.k - 1 if self.corrects else self.k

    @property
    def starter(self) -> ExplicitRungeKutta:
        """The Runge-Kutta method of the first steps."""
        return _STARTERS.get(max(2, self.k), _BEST_STARTER)

    @property
    def evaluations(self) -> Evaluations:
        """One at the start; per step one, and one more for the corrector."""
        return Evaluations(1, 2 if self.corrects else 1, 0)

    def start(self, field: VectorField, t: Scalar, y: State) -> FixedOrderState:
        """A history of one point."""
        history = begin(field(t, y), self.k + 1, t.dtype)
        return FixedOrderState(history, jnp.ones((), jnp.int32))

    def slope(self, state: FixedOrderState, y: State) -> State:
        """f(t, y)."""
        del y
        return column(state.history.phi, 0)

    def memory(self, state: FixedOrderState) -> History:
        """The history."""
        return state.history

    def mark(self, state: FixedOrderState) -> jax.Array:
        """How much of the history is known; 0 at the beginning."""
        return jnp.where(state.count == 1, 0, state.count)

    def recall(
        self, field: VectorField, t: Scalar, y: State, memory: Any, mark: Any
    ) -> FixedOrderState:
        """The state with this history; anew at the beginning and after a jump."""
        memory = recall_history(self, field, t, y, memory, mark == 0)
        return FixedOrderState(memory, jnp.maximum(jnp.asarray(mark, jnp.int32), 1))

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: FixedOrderState,
        norm: Callable[[State], Scalar] | None = None,
    ) -> Step:
        """Predict (and correct); by the Runge-Kutta method while the history is short."""
        del norm
        history, terms = state.history, self.predictor_terms
        time = clock.hi + (clock.lo + h)
        shares, beta = nodes(history, h)
        g = integrals(shares)
        star = shifted(history, beta, state.count)
        known = jnp.minimum(state.count + 1, self.k + 1)
        used = tree_map(lambda x: x.at[terms:].set(0), star)
        y1 = displace(y, h, weighted(g[:-1], used))
        if self.corrects:
            correction = column(differences(star, field(time, y1), known), terms)
            y1 = displace(y1, h, scale(g[terms], correction))
            used = tree_map(lambda x, c: x.at[terms].set(c), used, correction)
        coefficients = powers(shares, used)
        is_starting = state.count < terms
        evals: Any = 0
        if terms > 1:
            started = jax.lax.cond(
                any_lane(is_starting),
                lambda: self.start_by_runge_kutta(field, clock, h, y, len(coefficients)),
                lambda: (y1, coefficients),
            )
            y1, coefficients = select(is_starting, started, (y1, coefficients))
            per_step = self.starter.evaluations
            evals = is_starting * (per_step.start + per_step.step + per_step.dense)
        phi = differences(star, field(time, y1), known)
        new = FixedOrderState(follow(history, phi, h), known)
        return Step(y1, (), new, coefficients, evals=evals)

    def start_by_runge_kutta(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, length: int
    ) -> tuple[State, tuple[State, ...]]:
        """A step, and the coefficients of its dense output, as many as the method's own."""
        starter = self.starter
        step = starter.step(field, clock, h, y, starter.start(field, clock.hi, y))
        found = starter.interpolant(field, clock, h, y, step)
        blank = tree_map(jnp.zeros_like, y)
        # Both polynomials end in y1, so that the lowest powers may hold what does not fit.
        return step.y, (*found, *[blank] * (length - len(found)))

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """There is no estimate."""
        raise ValueError(f"{type(self).__name__} has no error estimate")

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """The integral of the polynomial that the step integrated."""
        del field, clock, h, y
        return step.stages


@dataclass(frozen=True)
class AdamsBashforth(FixedOrderAdams):
    """The explicit k-step Adams-Bashforth method, of order k. One evaluation of f per step.

    Bashforth & Adams (1883); Hairer, Norsett & Wanner (1993), III.1 and, for steps that vary,
    III.5. Stable for smaller steps the higher the order.

    Args:
        k: the order, 1 to 8.

    Raises:
        ValueError: when k is out of range.
    """

    corrects = False


@dataclass(frozen=True)
class AdamsMoulton(FixedOrderAdams):
    """The Adams-Moulton method of order k as predictor and corrector (PECE).

    Predicts by Adams-Bashforth of order k - 1. Two evaluations of f per step. Moulton (1926);
    Hairer, Norsett & Wanner (1993), III.1.

    Args:
        k: the order, 1 to 8.

    Raises:
        ValueError: when k is out of range.
    """

    corrects = True
