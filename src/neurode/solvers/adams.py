"""Adams methods of variable order and step size, as predictor and corrector."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from ..core.clock import Clock
from ..core.lanes import any_lane
from ..core.trees import displace, scale, select
from ..core.types import Scalar, State, VectorField
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
from .solver import Evaluations, Solver, Step, Verdict

HIGHEST_ORDER = 12
_SAFETY = 0.8
_BIAS_UP, _BIAS_DOWN = 1.0, 1.0
_MAX_GROWTH, _MIN_GROWTH = 2.0, 0.2


class AdamsState(NamedTuple):
    """Where a multistep method stands."""

    history: History
    order: jax.Array
    """Of the next step."""
    count: jax.Array
    """How many differences of the history are known."""
    was_rejected: jax.Array


@dataclass(frozen=True)
class Adams(Solver):
    """Adams-Bashforth-Moulton of variable order 1 to 12 and variable steps: the paper's method.

    Predict, evaluate, correct (one order higher: local extrapolation), evaluate: two evaluations
    of f per step, at any order. Shampine & Gordon (1975), "Computer Solution of Ordinary
    Differential Equations"; Hairer, Norsett & Wanner (1993), III.5 and III.7. It pays where f is
    dear and smooth and tolerances are tight; at each jump of f it starts anew with order 1.

    Args:
        max_order: the highest order of the predictor.

    Raises:
        ValueError: when max_order is not between 1 and 12.
    """

    max_order: int = HIGHEST_ORDER
    is_one_step: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_order("Adams(max_order=...)", self.max_order, HIGHEST_ORDER)

    @property
    def order(self) -> int:
        """The highest order."""
        return self.max_order

    @property
    def error_order(self) -> int:
        """Of the first step. Each later one has its own: `judge`."""
        return 2

    @property
    def evaluations(self) -> Evaluations:
        """One at the start, two per step."""
        return Evaluations(1, 2, 0)

    def start(self, field: VectorField, t: Scalar, y: State) -> AdamsState:
        """A history of one point, order 1."""
        one = jnp.ones((), jnp.int32)
        history = begin(field(t, y), self.max_order + 2, t.dtype)
        return AdamsState(history, one, one, jnp.asarray(False))

    def slope(self, state: AdamsState, y: State) -> State:
        """f(t, y), the first of the differences."""
        del y
        return column(state.history.phi, 0)

    def memory(self, state: AdamsState) -> History:
        """The history."""
        return state.history

    def mark(self, state: AdamsState) -> jax.Array:
        """The order, and how much of the history is known."""
        return jnp.where(state.count == 1, 0, 16 * state.count + state.order)

    def recall(self, field: VectorField, t: Scalar, y: State, memory: Any, mark: Any) -> AdamsState:
        """The state with this history; anew at the beginning and after a jump."""
        is_new = mark == 0
        memory = recall_history(self, field, t, y, memory, is_new)
        mark = jnp.asarray(mark, jnp.int32)
        order, count = (jnp.where(is_new, 1, x) for x in (mark % 16, mark // 16))
        return AdamsState(memory, order, count, jnp.asarray(False))

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: AdamsState,
        norm: Callable[[State], Scalar] | None = None,
    ) -> Step:
        """Predict, evaluate, correct, evaluate."""
        del norm
        history, k = state.history, state.order
        time = clock.hi + (clock.lo + h)
        shares, beta = nodes(history, h)
        g = integrals(shares)
        known = jnp.minimum(state.count + 1, k + 2)
        star = shifted(history, beta, jnp.minimum(state.count, k + 1))
        is_used = jnp.arange(beta.shape[0]) < k
        predicted = displace(y, h, weighted(jnp.where(is_used, g[:-1], 0), star))
        phi = differences(star, field(time, predicted), known)
        corrections = [column(phi, jnp.maximum(k + j, 0)) for j in (0, -1, 1)]
        y1 = displace(predicted, h, scale(g[k], corrections[0]))
        errors = tuple(
            scale(h * (g[jnp.maximum(k + j, 0)] - g[jnp.maximum(k + j - 1, 0)]), correction)
            for j, correction in zip((0, -1, 1), corrections, strict=True)
        )
        phi = differences(star, field(time, y1), known)
        terms = select_terms(star, corrections[0], k)
        new = AdamsState(follow(history, phi, h), k, known, state.was_rejected)
        retry = state._replace(was_rejected=jnp.asarray(True))
        return Step(y1, errors, new, (terms, shares), retry)

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The norm of the estimate at the step's own order."""
        return norm(errors[0])

    def judge(self, step: Step, norm: Callable[[State], Scalar]) -> Verdict:
        """The order, of k - 1, k and k + 1, that promises the largest next step."""
        state: AdamsState = step.state
        k = state.order
        same, down, up = (norm(error) for error in step.errors)
        dtype = same.dtype
        floor = jnp.asarray(1e-10, dtype)

        def growth(error, order, bias):
            error = jnp.where(jnp.isfinite(error), jnp.maximum(bias * error, floor), 1 / floor)
            return error ** (-1 / (order + 1).astype(dtype))

        stay = growth(same, k, 1.0)
        lower = jnp.where(k > 1, growth(down, k - 1, _BIAS_DOWN), 0)
        can_rise = (k < self.max_order) & (state.count >= k + 2)
        higher = jnp.where(can_rise, growth(up, k + 1, _BIAS_UP), 0)
        best = jnp.maximum(jnp.maximum(stay, lower), higher)
        change = jnp.where(best == stay, 0, jnp.where(best == lower, -1, 1))
        # While the history grows there is no estimate for k + 1: rise as long as steps do well.
        is_accepted = same <= 1
        largest = jnp.where(state.was_rejected, 1.0, _MAX_GROWTH)
        factor = jnp.clip(_SAFETY * best, _MIN_GROWTH, jnp.where(is_accepted, largest, 0.9))
        factor = jnp.where(jnp.isfinite(same), factor, _MIN_GROWTH)
        order = k + change
        accepted = state._replace(order=order, was_rejected=jnp.asarray(False))
        retry: AdamsState = step.retry
        retry = retry._replace(order=jnp.minimum(retry.order, jnp.maximum(order, 1)))
        return Verdict(same, k + 1, accepted, retry, factor)

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """The integral of the polynomial that the step integrated."""
        del field, clock, h, y
        terms, shares = step.stages
        return powers(shares, terms)


def check_order(name: str, order: Any, highest: int) -> None:
    """Refuse an order that is out of range."""
    if isinstance(order, bool) or not hasattr(order, "__index__") or not 1 <= order <= highest:
        raise ValueError(f"{name} takes a whole number from 1 to {highest}, got {order!r}")


def recall_history(
    solver: Any, field: VectorField, t: Scalar, y: State, memory: Any, is_new: jax.Array
) -> Any:
    """The history that was kept, or a new one where a solve (or a smooth piece of it) begins."""

    def renew():
        return select(is_new, solver.memory(solver.start(field, t, y)), memory)

    return jax.lax.cond(any_lane(is_new), renew, lambda: memory)


def select_terms(star: State, correction: State, k: Any) -> State:
    """Phi*_j for j < k, then the correction, then zeros."""

    def leaf(star, correction):
        numbers = jnp.arange(star.shape[0]).reshape(-1, *[1] * correction.ndim)
        return jnp.where(numbers < k, star, jnp.where(numbers == k, correction, 0))[:-1]

    return jax.tree_util.tree_map(leaf, star, correction)
