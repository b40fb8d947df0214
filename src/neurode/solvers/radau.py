"""Radau IIA of order 5: collocation, three coupled stages, for stiff problems."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ..core.clock import Clock
from ..core.lanes import any_lane
from ..core.types import Scalar, State, VectorField
from .adams import recall_history
from .implicit import Flat, ImplicitSolver, flatten
from .jacobians import Operator
from .linearisation import Linearisation, refresh, unlinearised
from .newton import Newton, Stage, exact_solve, find_root, iterate, rounding
from .solver import Evaluations, Step, Verdict
from .tableaus import radau

_ITERATIONS = 7
_UNKNOWN_RATE = 0.5
_SLOW, _QUICK_COUNT = 1e-3, 2
"""The Jacobian is evaluated anew when Newton takes more iterations, at a slower rate, than this."""
_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 10.0
_KEEP = 1.2
"""Growth by less than this is not worth another factorisation."""
_FARTHEST = 10.0
"""Stages are predicted from the last step up to so many of its sizes ahead."""


class Collocation(NamedTuple):
    """The polynomial of the last step, from which the stages of the next one are predicted."""

    slopes: jax.Array
    """At the three stages, [3, n]; the last is f(t, y)."""
    size: Scalar
    """Signed; infinite where the slopes are all the same, at the beginning."""


class RadauState(NamedTuple):
    """What is carried from step to step."""

    history: Collocation
    linearisation: Linearisation
    rate: Scalar
    """At which Newton's method converged."""
    iterations: jax.Array
    error: Scalar
    """The scaled error of the last step; infinite where none is known."""
    is_new: jax.Array
    was_rejected: jax.Array


@dataclass(frozen=True)
class Radau(ImplicitSolver):
    """Radau IIA of order 5, three stages, L-stable: Hairer & Wanner's RADAU5.

    The most accurate of the stiff methods here at a given tolerance, and robust: for hard problems,
    and for references. Its stages are one nonlinear system, solved by Newton's method with one real
    and one complex factorisation, which are used again while they serve. It sets its own step sizes
    by predictive control, within the controller's limits. Dense output is the collocation
    polynomial, of order 3. Hairer & Wanner (1996), "Solving Ordinary Differential Equations II",
    IV.8; SciPy's Radau is the same method. Arguments as in `ImplicitSolver`.
    """

    is_one_step: ClassVar[bool] = False

    @property
    def order(self) -> int:
        """The order of convergence."""
        return 5

    @property
    def error_order(self) -> int:
        """The order of the local error estimate."""
        return 4

    @property
    def evaluations(self) -> Evaluations:
        """One at the start, then as often as Newton asks."""
        return Evaluations(1, 0, 0)

    # -- what is carried ---------------------------------------------------------------------------

    def start(self, field: VectorField, t: Scalar, y: State) -> RadauState:
        """All stages are predicted by f(t, y)."""
        flat = flatten(field, y, jnp.asarray)
        slope = flat.f(t, flat.x)
        history = Collocation(jnp.stack([slope] * 3), jnp.full_like(t, jnp.inf))
        return self.begin(flat, t, history, True)

    def begin(self, flat: Flat, t: Scalar, history: Collocation, is_new: Any) -> RadauState:
        """A state without a Jacobian, and without experience."""
        dtype = flat.x.dtype
        return RadauState(
            history=history,
            linearisation=unlinearised(self.jacobian, self.factorise, flat, t),
            rate=jnp.asarray(_UNKNOWN_RATE, dtype),
            iterations=jnp.zeros((), jnp.int32),
            error=jnp.asarray(jnp.inf, dtype),
            is_new=jnp.asarray(is_new),
            was_rejected=jnp.asarray(False),
        )

    def slope(self, state: RadauState, y: State) -> State:
        """f(t, y), the slope at the last stage."""
        return flatten(lambda t, y: y, y, jnp.asarray).unflatten(state.history.slopes[-1])

    def memory(self, state: RadauState) -> Collocation:
        """The last step's polynomial: taken again, a step is predicted by the same one."""
        return state.history

    def mark(self, state: RadauState) -> jax.Array:
        """0 at the beginning, 1 later."""
        return jnp.where(state.is_new, 0, 1)

    def recall(self, field: VectorField, t: Scalar, y: State, memory: Any, mark: Any) -> RadauState:
        """The state with this polynomial; anew at the beginning and after a jump."""
        is_new = jnp.asarray(mark) == 0
        # Stages are predicted with it, and predictions leave no trace in the solution.
        history = lax.stop_gradient(recall_history(self, field, t, y, memory, is_new))
        return self.begin(flatten(field, y, jnp.asarray), t, history, is_new)

    # -- one step ----------------------------------------------------------------------------------

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: RadauState,
        norm: Callable[[State], Scalar],
    ) -> Step:
        """One step of (signed) size h: predict the stages, solve for them, estimate the error."""
        flat = flatten(field, y, norm)
        x, size = flat.x, h.astype(flat.x.dtype)
        linear = refresh(
            self.jacobian, self.factorise, flat, clock.hi, x, size, state.linearisation
        )
        operators = self.operators(flat, linear)
        stages = self.solve_stages(flat, clock, h, state, linear, operators)
        x1 = x + size * (jnp.asarray(radau.A[-1], x.dtype) @ stages.slope)
        x1 = jnp.where(stages.is_solved, x1, jnp.nan)
        filters = state.is_new | state.was_rejected
        error, more = self.estimate(
            flat, clock, size, state.history.slopes[-1], stages.slope, linear, operators[0], filters
        )
        is_slow = (stages.evals > _QUICK_COUNT) & (stages.rate > _SLOW)
        new = RadauState(
            history=Collocation(stages.slope, jnp.where(h == 0, jnp.inf, h)),
            linearisation=linear._replace(is_stale=jnp.asarray(True), wants_jacobian=is_slow),
            # As in RADAU5: what was observed long ago is trusted less and less.
            rate=(stages.rate**0.8).astype(x.dtype),
            iterations=stages.evals,
            error=state.error,
            is_new=jnp.asarray(False),
            was_rejected=state.was_rejected,
        )
        again = linear._replace(wants_jacobian=~stages.is_solved & linear.is_stale)
        retry = state._replace(linearisation=again, was_rejected=jnp.asarray(True))
        return Step(
            flat.unflatten(x1), (flat.unflatten(error),), new, tuple(stages.slope), retry,
            evals=3 * stages.evals + more, jacobians=linear.wants_jacobian.astype(jnp.int32),
            is_unsolved=~stages.is_solved,
        )  # fmt: skip

    def factorise(self, jacobian: Any, size: Scalar) -> tuple:
        """I - h gamma J for the real eigenvalue of A and for one of the complex pair."""
        factorise = self.jacobian.factorise
        return factorise(jacobian, radau.REAL * size), factorise(jacobian, _pair(size))

    def operators(self, flat: Flat, linear: Linearisation) -> tuple[Operator, Operator]:
        """x -> (I - h gamma J) x for both, as matrix-free solves need them."""
        operator = functools.partial(self.jacobian.operator, flat.f, linear.jacobian)
        return operator(radau.REAL * linear.c), operator(_pair(linear.c))

    def predict(self, history: Collocation, h: Scalar) -> jax.Array:
        """The slopes at the stages, by the polynomial of the last step."""
        slopes, size = lax.stop_gradient(history)
        ahead = jnp.clip(lax.stop_gradient(h) / size, 0, _FARTHEST)
        theta = (1 + ahead * jnp.asarray(radau.C, ahead.dtype)).astype(slopes.dtype)
        powers = jnp.stack([jnp.ones_like(theta), theta, theta**2], axis=1)
        return powers @ jnp.asarray(radau.SLOPE, slopes.dtype) @ slopes

    def solve_stages(
        self,
        flat: Flat,
        clock: Clock,
        h: Scalar,
        state: RadauState,
        linear: Linearisation,
        operators: tuple[Operator, Operator],
    ) -> Stage:
        """k = f(t + c h, y + h A k), three stages at once, [3, n]; differentiable.

        Newton's method with one Jacobian for all of them falls into one real and one complex
        system. The derivative takes the Jacobians at the stages, and the whole system.
        """
        x = flat.x
        a, from_modes, to_modes = (
            jnp.asarray(m, x.dtype) for m in (radau.A, radau.FROM_MODES, radau.TO_MODES)
        )
        size = h.astype(x.dtype)
        times = clock.hi + (clock.lo + jnp.asarray(radau.C, h.dtype) * h)

        def residual(k):
            return jax.vmap(flat.f)(times, x + size * (a @ k)) - k

        def solve(b):
            modes = to_modes @ b
            real = self.jacobian.solve(linear.factors[0], operators[0], modes[0])
            pair = lax.complex(modes[1], modes[2])
            pair = self.jacobian.solve(linear.factors[1], operators[1], pair)
            return from_modes @ jnp.stack([real, pair.real, pair.imag])

        def measure(change):
            rows = jax.vmap(flat.norm)(size * (a @ change))
            return jnp.sqrt(jnp.mean(rows**2))

        # RADAU5 asks Newton for the root of the relative tolerance, which the norm of y shows. A
        # tenth of that costs a seventh more evaluations; on Robertson's problem it leaves a tenth
        # of the error.
        floor = rounding(flat)
        small = jnp.fmax(jnp.fmin(0.03, 0.1 / jnp.sqrt(flat.norm(x))), floor)

        def newton(residual, guess) -> Newton:
            rate = state.rate.astype(floor.dtype)
            return iterate(residual, solve, measure, floor, guess, rate, _ITERATIONS, small)

        # Stages side by side, so that a band stays one.
        join = lambda k: k.T.reshape(-1)  # noqa: E731
        part = lambda v: v.reshape(-1, 3).T  # noqa: E731
        coupled = self.jacobian.coupled(3)

        def tangent_solve(linear, b):
            # linear is minus the derivative of k - f(t + c h, y + h A k).
            return part(exact_solve(coupled, lambda v: -join(linear(part(v))), -join(b)))

        return find_root(residual, self.predict(state.history, h), newton, tangent_solve)

    def estimate(
        self,
        flat: Flat,
        clock: Clock,
        size: Scalar,
        slope: jax.Array,
        slopes: jax.Array,
        linear: Linearisation,
        operator: Operator,
        filters: jax.Array,
    ) -> tuple[jax.Array, jax.Array]:
        """The local error, and evaluations of f. Hairer & Wanner (1996), IV.8, eq. 8.19, 8.20.

        Where it filters, an error beyond the tolerance is estimated once more, from f at y + error:
        else a stiff problem would ask for ever smaller steps at its beginning and after a failure.
        """
        x, slopes, size = lax.stop_gradient((flat.x, slopes, size))
        known = jnp.asarray(radau.ERROR, x.dtype) @ slopes

        def damped(slope):
            right = size * (radau.START_ERROR * slope + known)
            return self.jacobian.solve(linear.factors[0], operator, right)

        error = damped(lax.stop_gradient(slope))
        filters = filters & (flat.norm(error) > 1)

        def again():
            return jnp.where(filters, damped(flat.f(clock.hi, x + error)), error)

        error = lax.cond(any_lane(filters), again, lambda: error)
        return error, filters.astype(jnp.int32)

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The norm of the estimate."""
        return norm(errors[0])

    def judge(self, step: Step, norm: Callable[[State], Scalar]) -> Verdict:
        """Predictive control (Gustafsson 1994; Hairer & Wanner 1996, IV.8)."""
        new: RadauState = step.state
        old: RadauState = step.retry
        found = self.error_norm(step.errors, norm)
        error = jnp.where(jnp.isfinite(found), jnp.maximum(found, 1e-10), 1e10)
        safety = _SAFETY * (2 * _ITERATIONS + 1) / (2 * _ITERATIONS + new.iterations)
        plain = safety * error**-0.25
        ratio = (new.history.size / old.history.size).astype(error.dtype)
        trend = ratio * (jnp.maximum(old.error, 1e-2) / error) ** 0.25
        is_known = (ratio > 0) & jnp.isfinite(old.error)
        grown = plain * jnp.where(is_known, jnp.minimum(trend, 1), 1)
        grown = jnp.clip(grown, _SHRINK, jnp.where(new.was_rejected, 1, _GROW))
        keeps = ~new.linearisation.wants_jacobian & (grown >= 1) & (grown < _KEEP)
        grown = jnp.where(keeps, 1, grown)
        # An unsolved step is tried again with a new Jacobian, or with half its size.
        cut = jnp.where(old.linearisation.wants_jacobian, 1, 0.5)
        shrunk = jnp.where(step.is_unsolved, cut, jnp.clip(plain, _SHRINK, 1))
        factor = jnp.where((found <= 1) & ~step.is_unsolved, grown, shrunk)
        state = new._replace(error=error.astype(new.error.dtype), was_rejected=jnp.asarray(False))
        return Verdict(found, self.error_order, state, old, factor)

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """Coefficients of the collocation polynomial."""
        del clock, h
        flat = flatten(field, y, lambda error: error)
        rows = jnp.asarray(radau.DENSE, flat.x.dtype) @ jnp.stack(step.stages)
        return tuple(flat.unflatten(row) for row in rows)


def _pair(size: Scalar) -> jax.Array:
    """h gamma for one of the complex eigenvalues."""
    return lax.complex(radau.PAIR.real * size, radau.PAIR.imag * size)
