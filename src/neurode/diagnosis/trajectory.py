"""What the solution looks like: a tight reference, stiffness, jumps of f, a blow-up."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..core.status import Status
from ..solvers.explicit_rk import Dopri8
from ..solvers.rosenbrock import Rodas5P
from ..stepping.controller import IController
from .case import Case, flat_rows, flatten_real

POINTS = 800
_SPECTRA = 25
_LARGEST_SPECTRUM = 64


@dataclass(frozen=True, eq=False)
class Reference:
    """A solution in double precision, far more accurate than what is judged by it."""

    ts: np.ndarray
    """[n] times, those of the user included."""
    ys: np.ndarray
    """[n, size] states."""
    status: Status
    reached: float
    """The last time reached."""
    solver: Any
    rtol: float
    speed: float
    """The largest entry of |f| at the last state that was reached."""

    @property
    def is_whole(self) -> bool:
        """Whether it reached the last time."""
        return self.status == Status.SUCCESS

    @property
    def scale(self) -> float:
        """The largest number of the solution."""
        return float(np.abs(self.ys).max())


def find_reference(case: Case, is_costly: bool) -> Reference:
    """Solve in double precision, with an implicit method where explicit steps are too many.

    Args:
        case: the problem in double precision.
        is_costly: whether explicit methods took many steps already.
    """
    ts = np.union1d(np.linspace(case.ts[0], case.ts[-1], POINTS), case.ts)
    ts = ts if case.ts[-1] >= case.ts[0] else ts[::-1]
    tries = [(Dopri8(), 1e-10), (Rodas5P(), 1e-8)]
    if not case.suits_implicit:
        tries = tries[:1]
    found = []
    for solver, rtol in tries[::-1] if is_costly else tries:
        sol = case.solve(
            ts, solver=solver, rtol=rtol, atol=min(1e-2 * rtol, case.atol * 1e-4),
            stepsize=IController(), max_steps=20_000,
        )  # fmt: skip
        status, reached = Status(int(sol.status)), float(sol.resume.time)
        ys = flat_rows(sol.ys)
        speed = float(np.abs(np.asarray(case.slope(jnp.asarray(reached), ys[-1]))).max())
        found.append(Reference(ts, ys, status, reached, solver, rtol, speed))
        if found[-1].is_whole:
            return found[-1]
        if status != Status.MAX_STEPS and solver == tries[0][0]:
            break
    return max(found, key=lambda one: abs(one.reached - ts[0]))


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of the Jacobian along the solution."""

    ts: np.ndarray
    fastest: np.ndarray
    """[n] the largest decay rate, -min Re, at each time."""
    ratio: np.ndarray
    """[n] that rate over the slowest one that matters on the interval: the stiffness ratio."""


def find_spectrum(case: Case, reference: Reference) -> Spectrum | None:
    """Decay rates along the reference; None for a large state."""
    if case.size > _LARGEST_SPECTRUM:
        return None
    ts, ys = keep_reached(reference)
    picked = np.unique(np.linspace(0, len(ts) - 1, _SPECTRA).astype(int))
    jacobian = jax.jit(jax.vmap(jax.jacfwd(case.slope, argnums=1)))
    matrices = np.asarray(jacobian(ts[picked], ys[picked]))
    finite = np.isfinite(matrices).all(axis=(1, 2))
    values = np.linalg.eigvals(matrices[finite])
    rates = -values.real * (1 if case.ts[-1] >= case.ts[0] else -1)
    fastest = rates.max(axis=1, initial=0.0)
    slowest = np.maximum(np.abs(values).min(axis=1), 1 / max(case.span, 1e-300))
    return Spectrum(ts[picked][finite], fastest, fastest / slowest)


def find_jumps(case: Case, reference: Reference) -> np.ndarray:
    """Times at which f jumps along the solution, by bisection of the largest changes of f.

    Between two points of the reference the state moves along a straight line: it crosses whatever
    surface the solution crosses. A smooth f changes less and less on a halved interval.
    """
    ts, ys = keep_reached(reference)
    if not reference.is_whole:
        ts, ys = _go_on(case, reference, ts, ys)
    if len(ts) < 4:
        return np.zeros(0)
    slope = jax.vmap(case.slope)
    values = np.asarray(slope(ts, ys))  # pyright: ignore[reportArgumentType]
    finite = np.isfinite(values).all(axis=1)
    if not finite.any():
        return np.zeros(0)
    size = np.maximum(np.abs(values[finite]).max(axis=0), 1e-12 * np.abs(values[finite]).max())

    def change(a, b):
        return jnp.max(jnp.abs(a - b) / size, axis=-1)

    @jax.jit
    def bisect(t, y):
        def halve(_, ends):
            (ta, ya, fa), (tb, yb, fb) = ends
            tm, ym = (ta + tb) / 2, (ya + yb) / 2
            fm = slope(tm, ym)
            left = change(fa, fm) > change(fm, fb)

            def pick(a, b):
                return jnp.where(left if a.ndim == 1 else left[:, None], a, b)

            first = tuple(map(pick, (ta, ya, fa), (tm, ym, fm)))
            return first, tuple(map(pick, (tm, ym, fm), (tb, yb, fb)))

        f = slope(t, y)
        ends = (t[:-1], y[:-1], f[:-1]), (t[1:], y[1:], f[1:])
        before, after = jax.lax.fori_loop(0, 34, halve, ends)
        return before[0], change(before[2], after[2])

    times, left = map(np.asarray, bisect(jnp.asarray(ts), jnp.asarray(ys)))
    return times[left > 1e-3]


def _go_on(case: Case, reference: Reference, ts: Any, ys: Any) -> tuple[np.ndarray, np.ndarray]:
    """With the last state, and where a step of Euler's method leads from it.

    A solve that is held up by a jump has not crossed it.
    """
    h, last = (case.ts[-1] - case.ts[0]) / POINTS, reference.ys[-1]
    speed = np.asarray(case.slope(jnp.asarray(reference.reached), jnp.asarray(last)))
    times = [*ts, reference.reached, reference.reached + h]
    return np.array(times), np.stack([*ys, last, last + h * speed])


def keep_reached(reference: Reference) -> tuple[np.ndarray, np.ndarray]:
    """The part of the reference that was reached and is finite."""
    direction = 1 if reference.ts[-1] >= reference.ts[0] else -1
    is_reached = direction * (reference.reached - reference.ts) >= 0
    is_reached &= np.isfinite(reference.ys).all(axis=1)
    return reference.ts[is_reached], reference.ys[is_reached]


def last_state(sol: Any) -> np.ndarray:
    """The last good state of a solution that does not throw."""
    return np.asarray(flatten_real(jax.tree_util.tree_map(lambda x: x[-1], sol.ys))[0], float)
