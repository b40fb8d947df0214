"""The methods of the study on parameter estimation: all data sets as lanes of one program.

Seconds are those of the processor (`time.process_time`): all methods run in one thread of one
process, and what else the machine does has no part in them.
"""

import time
import tracemalloc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import least_squares
from scipy.stats import t as student

from neurode.data import SeriesBatch
from neurode.estimators.dynamics import NeuralODE
from neurode.estimators.effort import Effort
from neurode.estimators.matching import (
    default_conditions,
    influence,
    match,
    pose_matching,
    smooth_series,
)
from neurode.estimators.parameter_fits import infer_matched
from neurode.estimators.shooting import infer, pose, search
from neurode.estimators.starting import cut_series, scatter
from neurode.models import Parameters, ParameterSpace, SolveOptions
from neurode.reproduce.estimation_problems import (
    Problem,
    solve_truth,
    split_lanes,
    stack_lanes,
)

OPTIONS = SolveOptions(rtol=1e-8, atol=1e-8, max_steps=1024)
"""At the truth a solve takes some 300 steps at most: a trial that needs three times as many is
turned down, as one that cannot be solved."""

MOST_ITERATIONS = 60
EFFORT = Effort(OPTIONS, MOST_ITERATIONS)
STARTS = 8  # of a matching, anywhere


class Estimated(NamedTuple):
    """What a method found for n data sets.

    Attributes:
        values: [n, k], NaN where it failed.
        low: of the 95% intervals, [n, k].
        high: likewise.
        seconds: of the processor for all fits, from the start values on, compilation apart.
        compile_seconds: of that.
        memory: of the fits beside their arguments, in MB: what the compiled program of all takes,
            or the most that one fit allocates where they follow each other. NaN if unknown.
    """

    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seconds: float
    compile_seconds: float
    memory: float


def run_matching(problem: Problem, data: list[SeriesBatch], weak: bool, seed: int) -> Estimated:
    """Gradient matching, or orthogonality conditions, from starts anywhere."""
    with jax.enable_x64(True):
        began = time.process_time()
        space = _space(problem)
        k, d = len(problem.truth), len(problem.names)
        conditions = default_conditions(k, problem.times, d) if weak else None
        posed = stack_lanes(
            [
                pose_matching(
                    problem.ode,
                    smooth_series(series, "identity"),
                    series,
                    space,
                    "identity",
                    conditions,
                )
                for series in data
            ]
        )
        smoothing = time.process_time() - began
        ones = dict.fromkeys(problem.truth, 1.0)
        starts = scatter(space, ones, list(ones), jax.random.key(seed))[:STARTS]

        def both(problem, starts):
            found = match(problem, starts)
            return found, influence(problem, found)

        ends, seconds, compiling, memory = _measure(
            eqx.filter_vmap(both, in_axes=(eqx.if_array(0), None)), posed, starts
        )

        def conclude(lane: Any, end: tuple[Any, Any], series: Any) -> Any:
            return infer_matched(lane, end[0], end[1], problem.times * d, series)

        parts = (split_lanes(stacked, len(data)) for stacked in (posed, ends))
        lanes = list(zip(*parts, data, strict=True))
        conclude(*lanes[0])  # compiles a little
        began = time.process_time()
        found = [conclude(*lane) for lane in lanes]
        inferring = time.process_time() - began
    return _gather(found, smoothing + seconds + inferring, compiling, memory)


def run_shooting(
    problem: Problem, data: list[SeriesBatch], starts: np.ndarray, segmented: bool
) -> Estimated:
    """Maximum likelihood from start values [n, k]; over segments first, if asked."""
    with jax.enable_x64(True):
        total, compiling, memory = 0.0, 0.0, 0.0
        if segmented:
            pieces = [cut_series(series, None) for series in data]
            effort = EFFORT.over_segments(len(pieces[0]))
            _, ends, *costs = _shoot(problem, pieces, starts, effort)
            starts = np.asarray(ends.values)
            total, compiling, memory = costs
        posed, ends, *costs = _shoot(problem, data, starts, EFFORT)
        k, d = len(problem.truth), len(problem.names)

        def conclude(lane, end):
            if not np.isfinite(end.found.loss):
                return None
            return infer(lane, end, problem.times * d, k + d, problem.names)

        parts = (split_lanes(stacked, len(data)) for stacked in (posed, ends))
        lanes = list(zip(*parts, strict=True))
        conclude(*lanes[0])  # compiles a little
        began = time.process_time()
        found = [conclude(*lane) for lane in lanes]
        total += costs[0] + time.process_time() - began
    return _gather(found, total, compiling + costs[1], max(memory, costs[2]))


def run_scipy(problem: Problem, data: list[SeriesBatch], starts: np.ndarray) -> Estimated:
    """`least_squares` around `solve_ivp`, one data set after the other, from the same starts.

    Its memory is the most that Python and NumPy allocate during the first of the fits, done once
    more for that: one follows the other, and tracing costs time.
    """
    k = len(problem.truth)
    found = np.full((len(data), 3, k), np.nan)
    ready = np.flatnonzero((np.isfinite(starts) & (starts > 0)).all(axis=1))
    began = time.process_time()
    for i in ready:
        found[i] = _fit_by_scipy(problem, data[i], starts[i])
    seconds = time.process_time() - began
    memory = np.nan
    if len(ready):
        tracemalloc.start()
        _fit_by_scipy(problem, data[ready[0]], starts[ready[0]])
        memory = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
    return Estimated(found[:, 0], found[:, 1], found[:, 2], seconds, 0.0, memory)


def _fit_by_scipy(problem: Problem, series: SeriesBatch, start: np.ndarray) -> np.ndarray:
    """Estimates and the ends of their 95% intervals, [3, k]."""
    names = list(problem.truth)
    ts, ys = np.asarray(series.ts[0]), np.asarray(series.ys[0])
    size = ys.std(axis=0)

    def wrong(u):
        p = Parameters(zip(names, np.exp(u[: len(names)]), strict=True))
        found = solve_ivp(
            lambda t, y: problem.ode(t, y, p),
            (ts[0], ts[-1]),
            u[len(names) :] * size,
            method="LSODA",
            t_eval=ts,
            rtol=1e-8,
            atol=1e-8 * np.abs(ys).mean(axis=0),
        )
        if found.y.shape[1] < len(ts):
            return np.full(ys.size, 1e6)
        return ((found.y.T - ys) / size).ravel()

    found = least_squares(wrong, np.concatenate([np.log(start), problem.first(series)[0] / size]))
    freedom = ys.size - len(found.x)
    covariance = np.linalg.pinv(found.jac.T @ found.jac) * 2 * found.cost / freedom
    half = student.ppf(0.975, freedom) * np.sqrt(np.diagonal(covariance))[: len(names)]
    free = found.x[: len(names)]
    return np.exp([free, free - half, free + half])


def run_network(problem: Problem, data: list[SeriesBatch], steps: int, seed: int) -> np.ndarray:
    """Neural ODEs that know no equations: relative errors of trajectories and slopes, [n, 2].

    Both are root mean squares over [0, end] against the truth, as shares of its spread. One fit
    follows the other: all data sets of a problem, at any noise, find the same compiled programs.
    """
    ts = np.linspace(0, problem.end, 201)
    truth = solve_truth(problem, ts)
    slopes = np.gradient(truth, ts, axis=0)
    errors = []
    for series in data:
        model = NeuralODE(
            hidden=(32,), steps=steps, random_state=seed, weight_decay=1e-3, progress=False
        )
        model.fit(series)
        found = model.predict(ts)
        gaps = found - truth, np.gradient(found, ts, axis=0) - slopes
        pairs = zip(gaps, (truth, slopes), strict=True)
        errors.append([np.sqrt(np.mean((gap / true.std(axis=0)) ** 2)) for gap, true in pairs])
    return np.array(errors)


def _space(problem: Problem) -> ParameterSpace:
    """All parameters are positive, and nothing else is known of them."""
    ones = dict.fromkeys(problem.truth, 1.0)
    return ParameterSpace.around(ones, dict.fromkeys(ones, (0.0, np.inf)))


def _shoot(
    problem: Problem,
    data: list[SeriesBatch],
    starts: np.ndarray,
    effort: Effort,
) -> tuple[Any, ...]:
    ones = dict.fromkeys(problem.truth, 1.0)
    bounds = dict.fromkeys(ones, (0.0, np.inf))
    posed, local = [], []
    for series in data:
        first = problem.first(series)
        one = pose(
            problem.ode, series, first, ones, bounds, "identity", True, False, effort.options
        )
        posed.append(one)
        local.append(first / np.asarray(one.units))
    stacked = stack_lanes(posed)
    free = jnp.log(jnp.asarray(np.where(starts > 0, starts, 1.0)))
    axes = (eqx.if_array(0), 0, 0, None, None)
    most = jnp.asarray(effort.max_iterations)
    given = stacked, free, jnp.asarray(np.stack(local)), most, effort.enough
    ends, *costs = _measure(eqx.filter_vmap(search, in_axes=axes), *given)
    return stacked, ends, *costs


def _measure(function: Any, *arguments: Any) -> tuple[Any, float, float, float]:
    """Result, seconds, seconds of compilation, and MB that the compiled program takes."""
    arrays, rest = eqx.partition(arguments, eqx.is_array)
    began = time.process_time()
    program = jax.jit(lambda arrays: function(*eqx.combine(arrays, rest))).lower(arrays).compile()
    compiling = time.process_time() - began
    sizes = program.memory_analysis()
    assert sizes is not None
    memory = (sizes.temp_size_in_bytes + sizes.output_size_in_bytes) / 1e6
    began = time.process_time()
    result = jax.block_until_ready(program(arrays))
    return result, time.process_time() - began, compiling, memory


def _gather(found: list[Any], seconds: float, compiling: float, memory: float) -> Estimated:
    k = next(len(e.names) for e in found if e is not None)
    nothing = np.full(k, np.nan)
    values = np.array([nothing if e is None else e.values for e in found])
    low, high = (
        np.array([nothing if e is None else e.intervals[:, j] for e in found]) for j in (0, 1)
    )
    return Estimated(values, low, high, seconds, compiling, memory)
