"""ESDIRK methods: stiff problems by Newton's method, one stage after the other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
from jax import lax

from ..core.clock import Clock
from ..core.fields import Split
from ..core.types import Scalar, State, VectorField
from .implicit import Flat, ImplicitSolver, combine_flat, flatten
from .jacobians import Operator
from .newton import Stage, solve_stage
from .solver import Evaluations, Step
from .tableaus import esdirk
from .tableaus.esdirk import EsdirkTableau

# Before a rate is observed: one more iteration is made unless the first change is very small.
_UNKNOWN_RATE = 0.5


class Linearisation(NamedTuple):
    """What the stages of a step share: I - c J, factorised."""

    c: Scalar
    factors: Any
    operator: Operator


class Stages(NamedTuple):
    """The stages solved so far."""

    slopes: list
    evals: Any
    rate: Any
    is_solved: Any

    def append(self, stage: Stage) -> "Stages":
        """One more."""
        return Stages(
            [*self.slopes, stage.slope],
            self.evals + stage.evals,
            stage.rate,
            self.is_solved & stage.is_solved,
        )


@dataclass(frozen=True)
class EsdirkSolver(ImplicitSolver):
    """The algorithm that all ESDIRK methods share. Subclasses name a tableau.

    One Jacobian and one factorisation per step serve the Newton iterations of all its stages.
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

    def linearise(self, flat: Flat, t: Scalar, h: Scalar) -> Linearisation:
        """I - h gamma J at the beginning of the step. No part of the derivative of a step."""
        c = self.tableau.gamma * h.astype(flat.x.dtype)
        jacobian = lax.stop_gradient(self.jacobian.evaluate(flat.f, t, flat.x))
        fixed = lax.stop_gradient(c)
        factors = self.jacobian.factorise(jacobian, fixed)
        return Linearisation(c, factors, self.jacobian.operator(flat.f, jacobian, fixed))

    def solve_stage(
        self, flat: Flat, system: Linearisation, clock: Clock, h: Scalar, i: int, base: Any,
        stages: Stages,
    ) -> Stages:  # fmt: skip
        """Stage i, added to those before."""
        guess = combine_flat(self.tableau.predictor[i], stages.slopes, flat.x)
        t = clock.hi + (clock.lo + self.tableau.c[i] * h)
        stage = solve_stage(
            self.jacobian, system.factors, system.operator, flat, t, base, system.c, guess,
            stages.rate,
        )  # fmt: skip
        return stages.append(stage)

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
        tableau = self.tableau
        flat = flatten(field, y, norm)
        size = h.astype(flat.x.dtype)
        system = self.linearise(flat, clock.hi, h)
        stages = start_stages(flatten(field, state, norm).x)
        base = flat.x
        for i, row in enumerate(tableau.a[1:], 1):
            base = flat.x + size * combine_flat(row, stages.slopes, flat.x)
            stages = self.solve_stage(flat, system, clock, h, i, base, stages)
        x1 = base + system.c * stages.slopes[-1]
        error = size * combine_flat(tableau.b_error, stages.slopes, flat.x)
        return finish_step(flat, x1, error, stages, flat.unflatten(stages.slopes[-1]))

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


def start_stages(slope: Any) -> Stages:
    """The explicit first stage."""
    zero = jnp.zeros((), jnp.int32)
    return Stages([slope], zero, jnp.full((), _UNKNOWN_RATE, slope.dtype), jnp.asarray(True))


def finish_step(flat: Flat, x1: Any, error: Any, stages: Stages, state: Any) -> Step:
    """The step; NaN where a stage was not solved, so that it is rejected."""
    x1 = jnp.where(stages.is_solved, x1, jnp.nan)
    return Step(
        flat.unflatten(x1),
        (flat.unflatten(error),),
        state,
        tuple(stages.slopes),
        evals=stages.evals,
        jacobians=1,
        is_unsolved=~stages.is_solved,
    )


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

    def slope(self, state: Any) -> None:
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
        tableau = self.tableau
        assert tableau.explicit is not None
        stiff = flatten(field.stiff, y, norm)
        nonstiff = flatten(field.nonstiff, y, norm)
        size = h.astype(stiff.x.dtype)
        system = self.linearise(stiff, clock.hi, h)
        stages = start_stages(stiff.f(clock.hi, stiff.x))
        pushes = [nonstiff.f(clock.hi, stiff.x)]
        for i, (row, push_row) in enumerate(zip(tableau.a[1:], tableau.explicit[1:], strict=True)):
            known = combine_flat(row, stages.slopes, stiff.x)
            base = stiff.x + size * (known + combine_flat(push_row, pushes, stiff.x))
            stages = self.solve_stage(stiff, system, clock, h, i + 1, base, stages)
            t = clock.hi + (clock.lo + tableau.c[i + 1] * h)
            pushes.append(nonstiff.f(t, base + system.c * stages.slopes[-1]))
        stages = stages._replace(
            slopes=[k + push for k, push in zip(stages.slopes, pushes, strict=True)]
        )
        x1 = stiff.x + size * combine_flat(tableau.b, stages.slopes, stiff.x)
        error = size * combine_flat(tableau.b_error, stages.slopes, stiff.x)
        return finish_step(stiff, x1, error, stages, None)
