"""ESDIRK methods: stiff problems by Newton's method, one stage after the other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..core.clock import Clock
from ..core.fields import Split
from ..core.types import Scalar, State, VectorField
from .implicit import Flat, ImplicitSolver, combine_flat, flatten
from .jacobians import FlatField
from .newton import solve_stage
from .solver import Evaluations, Step
from .tableaus import esdirk
from .tableaus.esdirk import EsdirkTableau

# Before a rate is observed: one more iteration is made unless the first change is very small.
_UNKNOWN_RATE = 0.5


class Stages(NamedTuple):
    """The stages solved so far; what is not solved yet is zero."""

    slopes: jax.Array
    """k_i of the part that is solved for, [stages, n]."""
    pushes: jax.Array | None
    """The slopes of the explicit part, likewise; None without one."""
    argument: jax.Array
    """The last stage's y + h sum_j a_ij k_j."""
    evals: Any
    rate: Any
    is_solved: Any
    bound: Any = None
    """Of the largest eigenvalue."""


class Rows(NamedTuple):
    """What the tableau says of one stage, padded with zeros; arrays with a leading axis of them."""

    number: jax.Array
    a: jax.Array
    explicit: jax.Array | None
    predictor: jax.Array
    node: jax.Array


@dataclass(frozen=True)
class EsdirkSolver(ImplicitSolver):
    """The algorithm that all ESDIRK methods share. Subclasses name a tableau.

    One Jacobian and one factorisation per step serve the Newton iterations of all its stages,
    which are taken by a loop: unrolled, they would take several times as long to compile.
    """

    tableau: ClassVar[EsdirkTableau]

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
        """The first stage is the last step's last one; the others: as often as Newton asks."""
        return Evaluations(1, 0, 0)

    def start(self, field: VectorField, t: Scalar, y: State) -> Any:
        """f(t, y)."""
        return field(t, y)

    def rows(self, dtype: Any) -> Rows:
        """The tableau's rows for the implicit stages."""
        tableau, stages = self.tableau, len(self.tableau.c)

        def padded(rows):
            full = [[*row, *[0.0] * (stages - len(row))] for row in rows[1:]]
            return jnp.asarray(np.array(full), dtype)

        explicit = tableau.explicit
        return Rows(
            jnp.arange(1, stages),
            padded(tableau.a),
            None if explicit is None else padded(explicit),
            padded(tableau.predictor),
            jnp.asarray(np.array(tableau.c[1:])),
        )

    def solve_stages(
        self, stiff: Flat, push: FlatField | None, clock: Clock, h: Scalar, first: Any
    ) -> Stages:
        """All stages, by Newton's method with I - h gamma J at the beginning of the step."""
        size = h.astype(stiff.x.dtype)
        c = self.tableau.gamma * size
        # The linearisation is no part of the derivative of a step.
        jacobian = lax.stop_gradient(self.jacobian.evaluate(stiff.f, clock.hi, stiff.x))
        factors = self.jacobian.factorise(jacobian, lax.stop_gradient(c))
        operator = self.jacobian.operator(stiff.f, jacobian, lax.stop_gradient(c))
        count, zero = len(self.tableau.c), jnp.zeros((), jnp.int32)

        def begin(slope):
            return jnp.zeros((count, slope.size), slope.dtype).at[0].set(slope)

        def advance(stages: Stages, row: Rows) -> tuple[Stages, None]:
            change = row.a @ stages.slopes
            if stages.pushes is not None:
                change = change + row.explicit @ stages.pushes  # pyright: ignore[reportOptionalOperand]
            base = stiff.x + size * change
            t = clock.hi + (clock.lo + row.node.astype(h.dtype) * h)
            stage = solve_stage(
                self.jacobian, factors, operator, stiff, t, base, c,
                row.predictor @ stages.slopes, stages.rate,
            )  # fmt: skip
            argument, pushes = base + c * stage.slope, stages.pushes
            if push is not None and pushes is not None:
                pushes = pushes.at[row.number].set(push(t, argument))
            return Stages(
                stages.slopes.at[row.number].set(stage.slope), pushes, argument,
                stages.evals + stage.evals, stage.rate, stages.is_solved & stage.is_solved,
            ), None  # fmt: skip

        pushes = None if push is None else begin(push(clock.hi, stiff.x))
        rate = jnp.full_like(stiff.norm(stiff.x), _UNKNOWN_RATE)
        start = Stages(begin(first), pushes, stiff.x, zero, rate, jnp.asarray(True))
        done, _ = lax.scan(advance, start, self.rows(stiff.x.dtype))
        return done._replace(bound=self.jacobian.bound(stiff.f, jacobian))

    def finish(self, flat: Flat, h: Scalar, slopes: jax.Array, x1: Any, stages: Stages) -> Step:
        """The step; NaN where a stage was not solved, so that it is rejected."""
        error = h.astype(flat.x.dtype) * combine_flat(self.tableau.b_error, slopes, flat.x)
        x1 = jnp.where(stages.is_solved, x1, jnp.nan)
        return Step(
            flat.unflatten(x1),
            (flat.unflatten(error),),
            flat.unflatten(slopes[-1]),
            tuple(slopes),
            evals=stages.evals,
            jacobians=1,
            is_unsolved=~stages.is_solved,
            bound=stages.bound,
        )

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: Any,
        norm: Callable[[State], Scalar],
    ) -> Step:
        """One step of (signed) size h."""
        flat = flatten(field, y, norm)
        stages = self.solve_stages(flat, None, clock, h, flatten(field, state, norm).x)
        return self.finish(flat, h, stages.slopes, stages.argument, stages)

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """The norm of the estimate."""
        return norm(errors[0])

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """Coefficients of the continuous extension."""
        del clock, h
        flat = flatten(field, y, lambda error: error)
        powers = zip(*self.tableau.dense, strict=True)
        return tuple(flat.unflatten(combine_flat(w, step.stages, flat.x)) for w in powers)


@dataclass(frozen=True)
class Kvaerno3(EsdirkSolver):
    """Kvaerno's 3(2) pair (2004). Order 3, L-stable, four stages of which three are implicit.

    For stiff problems at loose tolerances. Arguments as in `ImplicitSolver`.
    """

    tableau = esdirk.KVAERNO3


@dataclass(frozen=True)
class Kvaerno5(EsdirkSolver):
    """Kvaerno's 5(4) pair (2004). Order 5, L-stable, seven stages of which six are implicit.

    For stiff problems whose Jacobians are dear: it needs one per step, and none that is exact.
    Arguments as in `ImplicitSolver`.
    """

    tableau = esdirk.KVAERNO5


@dataclass(frozen=True)
class KenCarp4(EsdirkSolver):
    """Kennedy & Carpenter's ARK4(3)6L[2]SA (2003), an IMEX pair of order 4.

    For `f = nd.Split(stiff, nonstiff)`: the stiff part is solved for implicitly, the other is
    evaluated only. Equations are solved with the Jacobian of the stiff part alone, which is often
    simpler (diffusion without reaction: banded or constant). Arguments as in `ImplicitSolver`.
    An evaluation of either part counts as one.
    """

    tableau = esdirk.KENCARP4

    @property
    def evaluations(self) -> Evaluations:
        """Every stage evaluates the explicit part, the first both; and Newton the stiff one."""
        return Evaluations(0, len(self.tableau.c) + 1, 0)

    def check(self, field: VectorField, y: State) -> None:
        """The two parts must be told apart."""
        if not isinstance(field, Split):
            raise TypeError(
                "KenCarp4() treats a stiff and a nonstiff part of f differently: write "
                "f=nd.Split(stiff, nonstiff), or use nd.Kvaerno5() for an f that is not split"
            )
        super().check(field, y)

    def start(self, field: VectorField, t: Scalar, y: State) -> None:
        """The explicit part is not evaluated at the end of a step: nothing is shared."""

    def slope(self, state: Any, y: State) -> None:
        """Not known."""

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: Any,
        norm: Callable[[State], Scalar],
    ) -> Step:
        """One step of (signed) size h."""
        assert isinstance(field, Split)
        stiff, nonstiff = (flatten(part, y, norm) for part in (field.stiff, field.nonstiff))
        stages = self.solve_stages(stiff, nonstiff.f, clock, h, stiff.f(clock.hi, stiff.x))
        slopes = stages.slopes + stages.pushes  # pyright: ignore[reportOperatorIssue]
        x1 = stiff.x + h.astype(stiff.x.dtype) * combine_flat(self.tableau.b, slopes, stiff.x)
        return self.finish(stiff, h, slopes, x1, stages)._replace(state=None)
