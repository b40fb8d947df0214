"""Symplectic methods for separable Hamiltonians: kicks and drifts in turn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from ..core.clock import Clock
from ..core.fields import Hamiltonian
from ..core.trees import displace, subtract, tree_map
from ..core.types import Scalar, State, VectorField
from .solver import Evaluations, Solver, Step
from .tableaus import symplectic
from .tableaus.symplectic import Composition


@dataclass(frozen=True)
class SymplecticSolver(Solver):
    """The algorithm that all compositions of kicks and drifts share. Subclasses name one.

    For `f = nd.Hamiltonian(dH_dp, dH_dq)` with the state (q, p), and fixed steps: a step size that
    varies would let the energy drift. Hairer, Lubich & Wanner (2006), "Geometric Numerical
    Integration", II.5 and VI.3.
    """

    composition: ClassVar[Composition]
    why_no_adjoints: ClassVar[str | None] = "which takes Hamiltonians only, as the adjoint is not"

    @property
    def is_reversible(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the composition reads the same backwards (but for a last kick of zero)."""
        drifts, kicks = self.composition.drifts, self.composition.kicks[:-1]
        is_closed = self.composition.kicks[-1] == 0
        return is_closed and drifts == drifts[::-1] and kicks == kicks[::-1]

    @property
    def reverse_evaluations(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Evaluations of the force to undo a step."""
        return self.evaluations.step

    @property
    def order(self) -> int:
        """The order of convergence."""
        return self.composition.order

    @property
    def error_order(self) -> None:
        """No error estimate: fixed steps."""
        return None

    @property
    def evaluations(self) -> Evaluations:
        """Those of the force; the dense output takes some, and derivatives, at both ends."""
        return Evaluations(0, sum(kick != 0 for kick in self.composition.kicks), 4)

    def check(self, field: VectorField, y: State) -> None:
        """Positions and momenta must be told apart."""
        if not isinstance(field, Hamiltonian):
            name = type(self).__name__
            raise TypeError(
                f"{name}() moves positions and momenta in turn: write "
                f"f=nd.Hamiltonian(dH_dp, dH_dq) with y0=(q0, p0), or use a method for any f "
                f"such as nd.Tsit5()"
            )

    def start(self, field: VectorField, t: Scalar, y: State) -> None:
        """Nothing is carried from step to step."""

    def step(
        self,
        field: VectorField,
        clock: Clock,
        h: Scalar,
        y: State,
        state: Any,
        norm: Callable[[State], Scalar] | None = None,
    ) -> Step:
        """One step of (signed) size h: drift, kick, drift, kick, ...

        Time goes with both: forces are evaluated at the positions' time, velocities at the
        momenta's, so that the order holds for a Hamiltonian that depends on time.
        """
        del norm
        assert isinstance(field, Hamiltonian)
        q, p = y
        drifted = kicked = 0.0
        for drift, kick in zip(self.composition.drifts, self.composition.kicks, strict=True):
            if drift:
                q = displace(q, drift * h, field.dH_dp(clock.hi + (clock.lo + kicked * h), p))
                drifted += drift
            if kick:
                p = displace(p, -kick * h, field.dH_dq(clock.hi + (clock.lo + drifted * h), q))
                kicked += kick
        return Step((q, p), (), None, ())

    def reverse(
        self, field: VectorField, clock: Clock, h: Scalar, y1: State, memory1: Any
    ) -> tuple[State, Any]:
        """A symmetric composition is undone by a step of -h."""
        return self.step(field, Clock(clock.hi, clock.lo + h), -h, y1, None).y, memory1

    def error_norm(self, errors: tuple[State, ...], norm: Callable[[State], Scalar]) -> Scalar:
        """There is no estimate."""
        raise ValueError(f"{type(self).__name__} has no error estimate")

    def interpolant(
        self, field: VectorField, clock: Clock, h: Scalar, y: State, step: Step
    ) -> tuple[State, ...]:
        """The quintic with the values, slopes and second derivatives of both ends (Hermite)."""
        ends = []
        for t, state in ((clock.hi + clock.lo, y), (clock.hi + (clock.lo + h), step.y)):
            velocity = lambda t, y: field(t, y)  # noqa: E731
            dy = field(t, state)
            curve = jax.jvp(velocity, (t, state), (jnp.ones_like(t), dy))[1]
            ends.append((dy, curve))
        (v0, a0), (v1, a1) = ends
        is_empty = h == 0
        rise = subtract(step.y, y)
        mean = tree_map(
            lambda r, v: jnp.where(is_empty, v, r / jnp.where(is_empty, 1, h).astype(r.dtype)),
            rise,
            v0,
        )

        def mix(weights):
            return tree_map(
                lambda m, v, w, a, b: (
                    weights[0] * m + weights[1] * v + weights[2] * w
                    + h.astype(a.dtype) * (weights[3] * a + weights[4] * b)
                ),
                mean, v0, v1, a0, a1,
            )  # fmt: skip

        return (v0, tree_map(lambda a: h.astype(a.dtype) / 2 * a, a0), *map(mix, _QUINTIC))


# Of theta^3, theta^4, theta^5 of the quintic Hermite interpolant, per slope (y1 - y) / h, v0, v1,
# h a0 and h a1.
_QUINTIC = (
    (10.0, -6.0, -4.0, -1.5, 0.5),
    (-15.0, 8.0, 7.0, 1.5, -1.0),
    (6.0, -3.0, -3.0, -0.5, 0.5),
)


@dataclass(frozen=True)
class Leapfrog(SymplecticSolver):
    """The leapfrog or Stoermer-Verlet method (1907, 1967): half a drift, kick, half a drift."""

    composition = symplectic.LEAPFROG


@dataclass(frozen=True)
class Ruth3(SymplecticSolver):
    """Ruth's method of order 3 (1983), three kicks and drifts."""

    composition = symplectic.RUTH3


@dataclass(frozen=True)
class ForestRuth(SymplecticSolver):
    """Forest & Ruth's method of order 4 (1990), also Yoshida's: three leapfrogs."""

    composition = symplectic.FOREST_RUTH


@dataclass(frozen=True)
class Yoshida6(SymplecticSolver):
    """Yoshida's method of order 6 (1990), solution A: seven leapfrogs."""

    composition = symplectic.YOSHIDA6
