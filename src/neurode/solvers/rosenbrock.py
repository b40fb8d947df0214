"""Rosenbrock methods: stiff problems without an iteration, by one linear system per stage."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..core.clock import Clock
from ..core.trees import all_finite
from ..core.types import Scalar, State, VectorField
from .implicit import ImplicitSolver, combine_flat, flatten
from .jacobians import Dense, implicit_operator, is_small
from .solver import Evaluations, Step
from .tableaus import rosenbrock
from .tableaus.rosenbrock import RosenbrockTableau


@dataclass(frozen=True)
class RosenbrockSolver(ImplicitSolver):
    """The algorithm that all Rosenbrock methods share. Subclasses name a tableau.

    The Jacobian is evaluated at the beginning of each step and factorised once for all stages.
    """

    tableau: ClassVar[RosenbrockTableau]

    @property
    def order(self) -> int:
        """The order of convergence."""
        return self.tableau.order

    @property
    def error_order(self) -> int:
        """The order of the local error estimate."""
        return min(self.tableau.order, self.tableau.embedded_order) + 1

    @property
    def evaluations(self) -> Evaluations:
        """One evaluation of f per stage; those for the Jacobian are counted as Jacobians."""
        return Evaluations(0, len(self.tableau.b), 0)

    def rows(self, dtype: Any) -> tuple[jax.Array, ...]:
        """a, C, c and d for each stage, the first two padded with zeros."""
        tableau, stages = self.tableau, len(self.tableau.b)

        def padded(rows):
            full = [[*row, *[0.0] * (stages - len(row))] for row in rows]
            return jnp.asarray(np.array(full), dtype)

        c, d = (jnp.asarray(np.array(x), dtype) for x in (tableau.c, tableau.d))
        return padded(tableau.a), padded(tableau.coupling), c, d

    def start(self, field: VectorField, t: Scalar, y: State) -> None:
        """Nothing is carried from step to step."""

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: Any,
        norm: Callable[[State], Scalar],
    ) -> Step:
        """One step of (signed) size h. Hairer & Wanner (1996), IV.7, eq. 7.25."""
        tableau = self.tableau
        f, x, unflatten, _ = flatten(field, y, norm)
        t, size = clock.hi, h.astype(x.dtype)
        c = tableau.gamma * size
        jacobian = lax.stop_gradient(self.jacobian.evaluate(f, t, x))
        factors = self.jacobian.factorise(jacobian, lax.stop_gradient(c))
        solve = self.jacobian.sharpened(x.dtype).differentiable_solve(
            factors, implicit_operator(f, t, x, c)
        )
        slope_in_time = jax.jvp(lambda t: f(t, x), (t,), (jnp.ones_like(t),))[1]
        count = len(tableau.b)

        def advance(stages: jax.Array, row: tuple) -> tuple[jax.Array, None]:
            number, a, coupling, node, d = row
            time = t + (clock.lo + node.astype(h.dtype) * h)
            slope = f(time, x + size * (a @ stages)) + d * size * slope_in_time
            stage = solve(tableau.gamma * (slope + coupling @ stages))
            return stages.at[number].set(stage), None

        # Unrolled where a stage is a few calls of a library. Written out, a stage is a long program
        # already; banded and matrix-free solves would take minutes to compile, eight times over.
        rows = (jnp.arange(count), *self.rows(x.dtype))
        unroll = count if isinstance(self.jacobian, Dense) and not is_small(x) else 1
        blank = jnp.zeros((count, x.size), x.dtype)
        stages = lax.scan(advance, blank, rows, unroll=unroll)[0]
        x1 = x + size * combine_flat(tableau.b, stages, x)
        error = size * combine_flat(tableau.b_error, stages, x)
        return Step(
            unflatten(x1), (unflatten(error),), None, tuple(stages), jacobians=1,
            is_unsolved=~all_finite(jacobian), bound=self.jacobian.bound(f, jacobian),
        )  # fmt: skip

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The norm of the estimate."""
        return norm(errors[0])

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """Coefficients of the continuous extension."""
        del clock, h
        _, x, unflatten, _ = flatten(field, y, lambda error: error)
        powers = zip(*self.tableau.dense, strict=True)
        return tuple(unflatten(combine_flat(weights, step.stages, x)) for weights in powers)


@dataclass(frozen=True)
class Rosenbrock23(RosenbrockSolver):
    """Shampine & Reichelt's 2(3) pair (1997), MATLAB's ode23s. Order 2, L-stable.

    For stiff problems at loose tolerances, and for those that are rough. Arguments as in
    `ImplicitSolver`.
    """

    tableau = rosenbrock.ROSENBROCK23


@dataclass(frozen=True)
class Rodas5P(RosenbrockSolver):
    """Steinebach's 5(4) pair (2023). Eight stages, L-stable, no order reduction on linear PDEs.

    The first choice for stiff problems of up to some hundred unknowns. Arguments as in
    `ImplicitSolver`.
    """

    tableau = rosenbrock.RODAS5P
