"""Backward differentiation formulas of variable order, for stiff problems."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..core.clock import Clock
from ..core.types import Scalar, State, VectorField
from .adams import check_order, recall_history
from .implicit import Flat, ImplicitSolver, flatten
from .linearisation import Linearisation, refresh, unlinearised
from .newton import solve_stage
from .solver import Evaluations, Step, Verdict

HIGHEST_ORDER = 5
_ROWS = HIGHEST_ORDER + 3
_ITERATIONS = 4
_SMALL = 0.03  # as in SciPy's BDF

# Shampine & Reichelt (1997), section 2: the numerical differentiation formulas of order 1 to 5.
_KAPPA = np.array([0.0, -0.1850, -1 / 9, -0.0823, -0.0415, 0.0])
_GAMMA = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, HIGHEST_ORDER + 1))])
_ALPHA = (1 - _KAPPA) * _GAMMA
_ERROR = _KAPPA * _GAMMA + 1 / np.arange(1, HIGHEST_ORDER + 2)


class Differences(NamedTuple):
    """What is remembered: backward differences of y, [rows, n], for steps of one size."""

    rows: jax.Array
    size: Scalar


class BDFState(NamedTuple):
    """Where the method stands."""

    history: Differences
    order: jax.Array
    num_equal: jax.Array
    """Steps of this size and order so far."""
    is_new: jax.Array
    linearisation: Linearisation


@dataclass(frozen=True)
class BDF(ImplicitSolver):
    """Variable-order BDF in the form of the NDF, quasi-constant steps, as MATLAB's ode15s.

    One linear system per Newton iteration, and Jacobian and factorisation are used again until
    Newton's method is slow or the step size changes: for large stiff problems, and where f is
    dear. Stiff oscillations suit it less (orders above 2 are not A-stable). Shampine & Reichelt
    (1997), "The MATLAB ODE suite", SIAM J. Sci. Comput. 18:1-22; SciPy's BDF is the same method.

    Args:
        jacobian: `Dense()`, `Banded(lower, upper)` or `MatrixFree()`.
        max_order: the highest order, 1 to 5.

    Raises:
        ValueError: when max_order is out of range.
    """

    max_order: int = HIGHEST_ORDER
    is_one_step: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_order("BDF(max_order=...)", self.max_order, HIGHEST_ORDER)

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
        """One at the start, then as often as Newton asks."""
        return Evaluations(1, 0, 0)

    # -- what is carried ---------------------------------------------------------------------------

    def start(self, field: VectorField, t: Scalar, y: State) -> BDFState:
        """Order 1: the first difference is f, for a step of size 1."""
        flat = flatten(field, y, jnp.asarray)
        rows = jnp.zeros((_ROWS, flat.x.size), flat.x.dtype)
        rows = rows.at[0].set(flat.x).at[1].set(flat.f(t, flat.x))
        return self.blank(flat, t, Differences(rows, jnp.ones_like(t)), 1, True)

    def blank(self, flat: Flat, t: Scalar, history: Any, order: Any, is_new: Any) -> BDFState:
        """A state without a Jacobian."""
        return BDFState(
            history=history,
            order=jnp.asarray(order, jnp.int32),
            num_equal=jnp.zeros((), jnp.int32),
            is_new=jnp.asarray(is_new),
            linearisation=unlinearised(self.jacobian, self.jacobian.factorise, flat, t),
        )

    def slope(self, state: BDFState, y: State) -> State:
        """f(t, y), the first difference at the start."""
        return flatten(lambda t, y: y, y, jnp.asarray).unflatten(state.history.rows[1])

    def memory(self, state: BDFState) -> Differences:
        """The differences and the step size that they are for."""
        return state.history

    def mark(self, state: BDFState) -> jax.Array:
        """The order; 0 at the beginning."""
        return jnp.where(state.is_new, 0, state.order)

    def recall(self, field: VectorField, t: Scalar, y: State, memory: Any, mark: Any) -> BDFState:
        """The state with these differences; anew at the beginning and after a jump."""
        is_new = mark == 0
        memory = recall_history(self, field, t, y, memory, is_new)
        order = jnp.maximum(jnp.asarray(mark, jnp.int32), 1)
        return self.blank(flatten(field, y, jnp.asarray), t, memory, order, is_new)

    # -- one step ----------------------------------------------------------------------------------

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: BDFState,
        norm: Callable[[State], Scalar],
    ) -> Step:
        """One step of (signed) size h: predict by the differences, solve, update them."""
        flat = flatten(field, y, norm)
        x, q = flat.x, state.order
        dtype = x.dtype
        is_same = h == state.history.size
        rows = rescale(state.history, h, q).at[0].set(x)
        number = jnp.arange(_ROWS)
        is_used = number <= q
        alpha = jnp.asarray(_ALPHA, dtype)[q]
        c = h.astype(dtype) / alpha
        predicted = jnp.where(is_used, 1, 0).astype(dtype) @ rows
        gamma = jnp.pad(jnp.asarray(_GAMMA, dtype), (0, _ROWS - _GAMMA.size))
        push = jnp.where(is_used, gamma, 0) @ rows
        t1 = clock.hi + (clock.lo + h)
        linear = refresh(
            self.jacobian, self.jacobian.factorise, flat, t1, predicted, c, state.linearisation
        )
        operator = self.jacobian.operator(flat.f, linear.jacobian, linear.c)
        guess = jnp.where(h == 0, 0, push / jnp.where(h == 0, 1, h).astype(dtype))
        stage = solve_stage(
            self.jacobian, linear.factors, operator, flat, t1, predicted - push / alpha, c, guess,
            jnp.full_like(norm(y), 0.5), _ITERATIONS, _SMALL,
        )  # fmt: skip
        change = c * stage.slope - push / alpha
        rows, errors = update(rows, change, q, state.is_new)
        x1 = jnp.where(stage.is_solved, predicted + change, jnp.nan)
        new = state._replace(
            history=Differences(rows, h),
            num_equal=jnp.where(is_same, state.num_equal, 0) + 1,
            is_new=jnp.asarray(False),
            # Newton was at its limit: the next step might fail with this Jacobian.
            linearisation=linear._replace(
                is_stale=jnp.asarray(True), wants_jacobian=stage.evals >= _ITERATIONS
            ),
        )
        again = linear._replace(wants_jacobian=~stage.is_solved & linear.is_stale)
        retry = state._replace(linearisation=again)
        return Step(
            flat.unflatten(x1), tuple(map(flat.unflatten, errors)), new, (), retry,
            evals=stage.evals, jacobians=linear.wants_jacobian.astype(jnp.int32),
            is_unsolved=~stage.is_solved,
        )  # fmt: skip

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The norm of the estimate at the step's own order."""
        return norm(errors[0])

    def judge(self, step: Step, norm: Callable[[State], Scalar]) -> Verdict:
        """Keep the size for order + 1 steps; then take what promises the largest step."""
        state: BDFState = step.state
        q = state.order
        same, down, up = (norm(error) for error in step.errors)
        tiny = jnp.asarray(1e-12, same.dtype)
        safety = 0.9 * (2 * _ITERATIONS + 1) / (2 * _ITERATIONS + step.evals)

        def growth(error, order):
            error = jnp.where(jnp.isfinite(error), jnp.maximum(error, tiny), 1 / tiny)
            return error ** (-1 / (order + 1).astype(error.dtype))

        stay = growth(same, q)
        lower = jnp.where(q > 1, growth(down, q - 1), 0)
        higher = jnp.where(q < self.max_order, growth(up, q + 1), 0)
        best = jnp.maximum(jnp.maximum(stay, lower), higher)
        change = jnp.where(best == stay, 0, jnp.where(best == lower, -1, 1))
        is_ripe = state.num_equal >= q + 1
        grown = jnp.where(is_ripe, jnp.minimum(10, safety * best), 1)
        shrunk = jnp.maximum(0.2, safety * stay)
        # An unsolved step is tried again with a new Jacobian, or with half its size.
        cut = jnp.where(step.retry.linearisation.wants_jacobian, 1, 0.5)
        shrunk = jnp.where(step.is_unsolved, cut, shrunk)
        factor = jnp.where((same <= 1) & ~step.is_unsolved, grown, shrunk)
        accepted = state._replace(
            order=jnp.where(is_ripe, q + change, q),
            num_equal=jnp.where(is_ripe & (change != 0), 0, state.num_equal),
        )
        return Verdict(same, q + 1, accepted, step.retry, factor)

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """The polynomial through the last points; of a step of no length, its slope."""
        flat = flatten(field, y, jnp.asarray)
        state: BDFState = step.state
        is_empty = h == 0
        is_used = jnp.arange(1, HIGHEST_ORDER + 1) <= state.order
        rows = state.history.rows[1 : HIGHEST_ORDER + 1]
        size = jnp.where(is_empty, 1, h).astype(rows.dtype)
        slopes = jnp.where(is_used[:, None], rows, 0) / size
        return tuple(flat.unflatten(jnp.asarray(w, rows.dtype) @ slopes) for w in _POWERS)


def rescale(history: Differences, h: Scalar, order: jax.Array) -> jax.Array:
    """The differences for steps of another size; unchanged, to the last bit, for the same."""
    size = history.size
    factor = jnp.where(h == size, 1, h / size).astype(history.rows.dtype)
    count = HIGHEST_ORDER + 1

    def products(factor):
        i, j = jnp.arange(1, count)[:, None], jnp.arange(1, count)
        inner = jnp.pad((i - 1 - factor * j) / i, ((1, 0), (1, 0)))
        return jnp.cumprod(inner.at[0].set(1), axis=0)

    one = jnp.ones_like(factor)
    change = jnp.pad((products(factor) @ products(one)).T, (0, _ROWS - count))
    number = jnp.arange(_ROWS)
    is_used = (number[:, None] <= order) & (number <= order)
    return jnp.where(is_used, change, jnp.eye(_ROWS, dtype=change.dtype)) @ history.rows


def update(
    rows: jax.Array, change: jax.Array, q: jax.Array, is_new: jax.Array
) -> tuple[jax.Array, tuple]:
    """The differences one step later, and the errors of orders q, q - 1 and q + 1."""
    number = jnp.arange(_ROWS)[:, None]
    beyond = jnp.where(is_new, 0, change - rows[q + 1])
    raised = jnp.where(number == q + 1, change, jnp.where(number <= q, rows, 0))
    sums = jnp.cumsum(raised[::-1], axis=0)[::-1]
    rows = jnp.where(number <= q + 1, sums, jnp.where(number == q + 2, beyond, rows))
    constants = jnp.asarray(_ERROR, rows.dtype)
    same, down = constants[q - 1 + 1], constants[jnp.maximum(q - 1, 0)]
    up = constants[jnp.minimum(q + 1, HIGHEST_ORDER)]
    return rows, (same * change, down * rows[q], up * rows[q + 2])


def _dense_powers() -> np.ndarray:
    """Coefficients of theta^m in (y(t + theta h) - y) / theta, per difference.

    With s = theta - 1 it is y1 + sum_j D_j s (s + 1) ... (s + j - 1) / j! as in SciPy's BDF.
    """
    columns = []
    for j in range(1, HIGHEST_ORDER + 1):
        polynomial = np.polynomial.Polynomial([1.0])
        for i in range(j):
            if i != 1:  # its factor theta is taken out
                polynomial *= np.polynomial.Polynomial([i - 1.0, 1.0])
        # For j = 1 the term is D_1 (theta - 1), and y1 - y = D_1 + ... makes it D_1 theta.
        coefficients = polynomial.coef / math.factorial(j) if j > 1 else np.ones(1)  # pyright: ignore[reportOperatorIssue]
        columns.append(np.pad(coefficients, (0, HIGHEST_ORDER - coefficients.size)))
    return np.stack(columns, axis=1)


_POWERS = _dense_powers()
