"""Solvers and gradients, run on the problem."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core.status import Status
from ..core.trees import is_differentiable
from ..gradients import Backsolve, Checkpointed, Direct, Forward, Interpolated, Reversible
from ..ivp import solve
from ..solvers import Dopri8, ExplicitRungeKutta, ReversibleRK, Rodas5P, Solver, Tsit5
from ..stepping.controller import IController
from .case import Case, flat_rows, flatten_real, stopwatch
from .trajectory import Reference

WINDOWS = 20


@dataclass(frozen=True)
class SolverRow:
    """What a solver did with the problem at the user's tolerance."""

    name: str
    status: str
    steps: int
    rejected: int
    nfe: int
    milliseconds: float
    reached: float
    """The last time reached."""
    error: float
    """The largest error at the save times, over the tolerance there; NaN without a reference."""


def measure_solvers(case: Case, reference: Reference) -> list[SolverRow]:
    """The user's own solver, then the candidates with adaptive steps."""
    rows = [measure_solver(case, case.solver, reference, case.options)]
    candidates: list[Solver] = [Tsit5(), Dopri8()]
    if case.suits_implicit:
        candidates.append(Rodas5P())
    is_adaptive = case.options["stepsize"].adaptive
    adaptive = case.options | {"stepsize": IController()}
    for solver in candidates:
        if solver != case.solver or not is_adaptive:
            rows.append(measure_solver(case, solver, reference, adaptive))
    return rows


def measure_solver(case: Case, solver: Solver, reference: Reference, options: dict) -> SolverRow:
    """What one solver does with the problem."""
    sol, seconds = stopwatch(lambda: case.solve(solver=solver, **options))
    stats, error = sol.stats, np.nan
    status = Status(int(sol.status))
    if reference.is_whole and status == Status.SUCCESS:
        error = error_over_tolerance(case, flat_rows(sol.ys), reference)
    return SolverRow(
        type(solver).__name__, status.name, int(stats.num_steps), int(stats.num_rejected),
        int(stats.num_f_evals), 1e3 * seconds, float(sol.resume.time), error,
    )  # fmt: skip


def error_over_tolerance(case: Case, ys: np.ndarray, reference: Reference) -> float:
    """The largest error at the save times over atol + rtol |y|, |y| the largest of its row."""
    direction = 1 if case.ts[-1] >= case.ts[0] else -1
    at = np.searchsorted(direction * reference.ts, direction * np.asarray(case.ts, float))
    exact = reference.ys[np.minimum(at, len(reference.ts) - 1)]
    size = np.abs(exact).max(axis=1, keepdims=True)
    return float((np.abs(ys - exact) / (case.atol + case.rtol * size)).max())


@dataclass(frozen=True)
class WindowRow:
    """What the user's solver did in a part of the interval."""

    start: float
    end: float
    steps: int
    rejected: int


def measure_windows(case: Case) -> list[WindowRow]:
    """The user's solve in twenty pieces, each begun anew where the one before ended."""
    edges = np.linspace(float(case.ts[0]), float(case.ts[-1]), WINDOWS + 1)
    if case.options["stepsize"].count is not None or case.span == 0:
        return []
    y, rows = case.y0, []
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        ts = np.asarray([a, b], np.asarray(case.ts).dtype)
        sol = case.solve(ts, y)
        stats = sol.stats
        rows.append(WindowRow(a, b, int(stats.num_steps), int(stats.num_rejected)))
        if int(sol.status) != Status.SUCCESS:
            break
        y = jax.tree_util.tree_map(lambda x: x[-1], sol.ys)
    return rows


@dataclass(frozen=True)
class GradientRow:
    """What a gradient strategy did with a loss of the last state."""

    name: str
    solver: str
    nfe_forward: int
    nfe_backward: int | None
    milliseconds: float
    memory_bytes: int
    """Temporaries of the compiled program of value and gradient."""
    error: float
    """Relative, against the gradient of a far more accurate solve."""
    disagreement: float
    """Relative, against the exact gradient of the same discretisation."""
    problem: str = ""
    """Why it could not be measured."""


def strategies(case: Case) -> list[tuple[Any, Solver]]:
    """Every strategy with a solver that it takes."""
    own = case.solver
    pair = ReversibleRK(own) if isinstance(own, ExplicitRungeKutta) else ReversibleRK(Tsit5())
    back = None if own.why_no_adjoints is None else Tsit5()
    return [
        (Checkpointed(), own), (Interpolated(solver=back), own), (Backsolve(solver=back), own),
        (Reversible(warns=False), own if own.is_reversible else pair), (Direct(), own),
        (Forward(), own),
    ]  # fmt: skip


STRATEGIES = ("Checkpointed", "Interpolated", "Backsolve", "Reversible", "Direct", "Forward")


def measure_gradients(
    case: Case, exact: Any, names: Sequence[str] | None = None
) -> list[GradientRow]:
    """Each strategy's gradient of one loss, with respect to the state, the arguments and f.

    Args:
        case: the problem.
        exact: from `exact_gradient`.
        names: which strategies; None is all.
    """
    rows: list[GradientRow] = []
    discrete: Any = None
    for gradient, solver in strategies(case):
        name = type(gradient).__name__
        if names is not None and name not in names:
            continue
        try:
            row, found = _measure_gradient(case, gradient, solver, exact, discrete)
        except (ValueError, TypeError, NotImplementedError) as error:
            why = str(error).splitlines()[0]
            row = GradientRow(
                name, type(solver).__name__, 0, None, np.nan, 0, np.nan, np.nan, why
            )  # fmt: skip
            found = None
        discrete = found if discrete is None else discrete
        rows.append(row)
    return rows


def _measure_gradient(case: Case, gradient: Any, solver: Solver, exact: Any, discrete: Any):
    loss, inputs = _loss(case, gradient, solver)
    nfe_backward: int | None = None
    if isinstance(gradient, Forward):
        run = jax.jit(jax.jacfwd(lambda inputs: loss(inputs, None), has_aux=True))
        compiled = run.lower(inputs).compile()
        (found, stats), seconds = stopwatch(lambda: compiled(inputs))
    else:
        run = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
        zero = jnp.zeros(())
        compiled = run.lower(inputs, zero).compile()
        ((found, probed), stats), seconds = stopwatch(lambda: compiled(inputs, zero))
        nfe_backward = int(probed) if np.isfinite(probed) else None  # a solve that failed
    memory = compiled.memory_analysis()
    found = flatten_gradient(found)
    row = GradientRow(
        type(gradient).__name__,
        type(solver).__name__,
        int(stats.num_f_evals),
        nfe_backward,
        1e3 * seconds,
        0 if memory is None else int(memory.temp_size_in_bytes),
        difference(found, exact),
        0.0 if discrete is None else difference(found, discrete),
    )
    return row, found


def _loss(case: Case, gradient: Any, solver: Solver) -> tuple[Callable, Any]:
    """A weighted sum of the last state, and what it is differentiated with respect to."""
    (moving, rest) = eqx.partition((case.y0, case.args, case.f), _is_float_array)

    def loss(moving, probe):
        y0, args, f = eqx.combine(moving, rest)
        ends = jnp.stack([jnp.asarray(case.ts[0]), jnp.asarray(case.ts[-1])])
        sol = solve(
            f, y0, ends, args, solver=solver, gradient=gradient, probe=probe, rtol=case.rtol,
            atol=case.atol, throw=False, **case.options,
        )  # fmt: skip
        last = flatten_real(jax.tree_util.tree_map(lambda x: x[-1], sol.ys))[0]
        return jnp.sum(last * jnp.cos(jnp.arange(last.size, dtype=last.dtype))), sol.stats

    return loss, moving


def _is_float_array(x: Any) -> bool:
    return eqx.is_array(x) and is_differentiable(x)


def exact_gradient(case: Case, reference: Reference) -> list[np.ndarray]:
    """The gradient of the same loss by a far more accurate solve.

    Args:
        case: the problem in double precision.
        reference: tells solver and tolerance.
    """
    options = {"stepsize": IController(), "max_steps": 20_000}
    tight = replace(case, rtol=reference.rtol, atol=1e-2 * reference.rtol, options=options)
    loss, inputs = _loss(tight, Checkpointed(), reference.solver)
    found, _ = jax.jit(jax.grad(lambda inputs: loss(inputs, None), has_aux=True))(inputs)
    return flatten_gradient(found)


def flatten_gradient(tree: Any) -> list[np.ndarray]:
    """The leaves of a gradient as real vectors in double precision."""
    return [np.asarray(flatten_real(x)[0], float) for x in jax.tree_util.tree_leaves(tree)]


def difference(found: list[np.ndarray], exact: list[np.ndarray]) -> float:
    """The largest relative difference of a leaf; small leaves count by the whole's norm."""
    assert len(found) == len(exact)
    whole = np.sqrt(sum(np.sum(x**2) for x in exact))
    parts = [
        np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-3 * whole, 1e-300)
        for a, b in zip(found, exact, strict=True)
    ]
    return float(np.max(parts)) if np.isfinite(parts).all() else float("inf")


def measure_reconstruction(case: Case) -> float:
    """Solve there and back again: how far from y0 it ends, over the size of y0."""
    there = case.solve(np.asarray(case.ts)[[0, -1]])
    y1 = jax.tree_util.tree_map(lambda x: x[-1], there.ys)
    back = case.solve(np.asarray(case.ts)[[-1, 0]], y1)
    if int(there.status) != Status.SUCCESS or int(back.status) != Status.SUCCESS:
        return float("inf")
    y0, found = flat_rows(back.ys)[-1], flat_rows(there.ys)[0]
    missed = np.abs(y0 - found).max() / max(np.abs(found).max(), case.atol)
    return float(missed) if np.isfinite(missed) else float("inf")
