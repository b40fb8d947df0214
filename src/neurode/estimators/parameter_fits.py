"""The four ways to fit an ODE's unknown parameters, and what they have in common."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Key
from sklearn.exceptions import ConvergenceWarning

from neurode.data import DataError, SeriesBatch
from neurode.estimators.effort import Effort
from neurode.estimators.estimator import IdentifiabilityWarning
from neurode.estimators.inference import (
    Estimates,
    describe_problems,
    invert_information,
    student_quantile,
)
from neurode.estimators.matching import (
    Matched,
    Matching,
    default_conditions,
    influence,
    match,
    pose_matching,
    smooth_series,
)
from neurode.estimators.scaling import revert
from neurode.estimators.series import first_states
from neurode.estimators.settings import MATCHING, read_bounds
from neurode.estimators.shooting import ShootingFit, fit_parameters
from neurode.estimators.starting import cut_series, read_start, scatter, surround
from neurode.models import ParameterSpace, SolveOptions


class Plan(NamedTuple):
    """How parameters are to be fitted; see `NeuralODE` for what each of these is."""

    method: str
    parameters: Mapping[str, float | None]
    bounds: Mapping[str, tuple[float, float]]
    transform: str
    is_learned: bool
    is_shared_noise: bool
    options: SolveOptions
    max_iterations: int
    starts: int
    segments: int | None
    key: Key


def make_plan(estimator: Any, options: SolveOptions) -> Plan:
    """What the settings of a `NeuralODE` ask for."""
    e = estimator
    given = e.parameters
    return Plan(
        e.method,
        given if isinstance(given, Mapping) else dict.fromkeys(given),
        read_bounds(e),
        e.transform,
        e.initial == "learned",
        e.noise == "shared",
        options,
        e.max_iterations,
        int(e.starts),
        e.segments,
        e._key(),
    )


def fit_ode(ode: Callable, series: SeriesBatch, first: np.ndarray, plan: Plan) -> ShootingFit:
    """Fit an ODE's parameters by the plan's method.

    Args:
        ode: the user's `ode(t, y, p)`.
        series: what was observed.
        first: the state at the first time of each trajectory, or a first guess of it, [n, d].
        plan: how.

    Raises:
        DataError: too few observations for what is asked.
        SolveError: the ODE cannot be solved at the start values.
    """
    start, missing = read_start(plan.parameters, plan.bounds)
    for_match, for_starts = jax.random.split(plan.key)
    if plan.method in MATCHING:
        with jax.enable_x64(True):
            return _match(ode, series, start, missing, plan, for_match)
    others: list[dict[str, float]] = []
    is_whole = bool(np.asarray(series.mask).any(axis=1).all())
    if missing or (plan.starts > 1 and is_whole):
        with jax.enable_x64(True):
            found = _match(ode, series, start, missing or list(start), plan, for_match)
        matched = _start_from(found, plan)
        start, others = (matched, []) if missing else (start, [matched])
    how = {"transform": plan.transform, "is_shared_noise": plan.is_shared_noise}
    effort = Effort(plan.options, plan.max_iterations)

    def around(space):
        free = [space.free(values.values()) for values in (start, *others)]
        return surround(jnp.asarray(np.stack(free)), plan.starts, for_starts)

    starts: Callable | None = around
    if plan.method == "multiple_shooting":
        pieces = cut_series(series, plan.segments)
        guess = first_states(pieces, plan.transform, True)
        with warnings.catch_warnings():  # that a segment alone does not determine is no matter
            warnings.simplefilter("ignore")
            found = fit_parameters(
                ode, pieces, guess, start, plan.bounds, around, is_learned=True,
                effort=effort.over_segments(len(pieces) // len(series)), **how,
            )  # fmt: skip
        start = _start_from(found, plan)
        if plan.is_learned:
            first = np.stack([found.estimates.initial[i] for i in _first_pieces(series, pieces)])
        starts = None
    return fit_parameters(
        ode, series, first, start, plan.bounds, starts, is_learned=plan.is_learned,
        effort=effort, **how,
    )  # fmt: skip


def _start_from(found: ShootingFit, plan: Plan) -> dict[str, float]:
    """Fitted parameters as start values, moved off bounds that they were rounded onto."""
    start = {}
    for name, value in zip(found.estimates.names, found.estimates.values, strict=True):
        lower, upper = plan.bounds.get(name, (-np.inf, np.inf))
        least = 1e-8 * max(1.0, abs(value))
        start[name] = float(np.clip(value, lower + least, upper - least))
    return start


def _first_pieces(series: SeriesBatch, pieces: SeriesBatch) -> list[int]:
    """Which piece each trajectory begins with."""
    begins, found = np.asarray(pieces.ts[:, 0]), []
    at = 0
    for i in range(len(series)):
        while begins[at] != float(series.ts[i, 0]):
            at += 1
        found.append(at)
        at += 1
    return found


def _match(
    ode: Callable,
    series: SeriesBatch,
    start: Mapping[str, float],
    missing: list[str],
    plan: Plan,
    key: Key,
) -> ShootingFit:
    smoothed = smooth_series(series, plan.transform)
    space = ParameterSpace.around(start, plan.bounds)
    d, observed = len(series.names), int(np.asarray(series.mask).sum())
    conditions = None
    if plan.method == "orthogonality":
        length = int(np.asarray(series.mask).any(axis=2).sum(axis=1).max())
        conditions = default_conditions(len(start), length, d)
    if observed <= len(start):
        raise DataError(
            f"{observed} observations cannot determine {len(start)} parameters: observe more, or "
            "fix some parameters"
        )
    problem = pose_matching(ode, smoothed, series, space, plan.transform, conditions)
    starts = scatter(space, start, missing, key)
    if not missing:
        starts = surround(starts[:1], plan.starts, key)
    found = match(problem, starts)
    if not np.isfinite(found.loss):
        raise DataError(
            "the ODE is not finite along the smoothed trajectories at any start that was tried: "
            "check the ODE, or give start values or bounds"
        )
    moved = influence(problem, found)
    estimates = infer_matched(problem, found, moved, observed, series)
    if plan.method in MATCHING:
        for sentence in estimates.problems:
            warnings.warn(sentence, IdentifiabilityWarning, stacklevel=5)
        if not found.converged:
            warnings.warn(
                "the search for matching parameters stopped early: start elsewhere, or raise "
                "starts",
                ConvergenceWarning,
                stacklevel=5,
            )
    history = {name: np.zeros(1) for name in ("step", "nfe_forward", "nfe_backward")}
    history["loss"] = np.array([float(found.loss)])
    return ShootingFit(estimates, history, bool(found.converged))


def infer_matched(
    problem: Matching, found: Matched, moved: Any, observed: int, series: SeriesBatch
) -> Estimates:
    """Estimates with the sandwich covariance.

    Args:
        problem: what was matched.
        found: where the search ended.
        moved: d(free) / d(observation) there, as `influence` has it.
        observed: numbers observed.
        series: what was observed.
    """
    n, d = problem.smoothed.values.shape[0], len(series.names)
    moved = np.asarray(moved)
    variances = np.asarray(problem.smoothed.variances)
    covariance = np.einsum("indt,jndt,d->ij", moved, moved, variances)
    gradient = np.asarray(found.gradient)
    nothing = np.zeros((0, len(gradient.T), 0)), np.zeros((0, 0, 0))
    information = invert_information(gradient.T @ gradient, *nothing)
    space = problem.space
    values = np.asarray(space.values(found.free))
    slopes = np.asarray(jnp.diagonal(jax.jacfwd(space.values)(found.free)))
    is_open = np.isnan(np.diagonal(information.covariance))
    covariance[is_open] = np.nan
    covariance[:, is_open] = np.nan
    errors = np.sqrt(np.diagonal(covariance))
    half = student_quantile(observed - len(values))
    ends = np.asarray(found.free) + half * errors * np.array([[-1], [1]])
    intervals = np.asarray(jax.vmap(space.values)(jnp.asarray(ends))).T
    to_start = np.asarray(problem.smoothed.to_values)[:, :, 0, :]
    initial = revert(problem.transform, np.asarray(problem.smoothed.values)[:, 0])
    initial_errors = np.sqrt(np.einsum("ndt,d->nd", to_start**2, variances))
    if problem.transform == "log":
        initial_errors = initial_errors * initial
    return Estimates(
        names=space.names,
        values=values,
        standard_errors=np.abs(slopes) * errors,
        intervals=np.sort(intervals, axis=1),
        covariance=covariance * np.outer(slopes, slopes),
        initial=initial,
        initial_standard_errors=initial_errors,
        noise=np.sqrt(variances),
        num_observations=observed,
        num_unknowns=len(values) + n * d,
        problems=describe_problems(information, space.names, slopes, series.names),
    )


def add_unobserved(series: SeriesBatch, names: Mapping[str, Any]) -> SeriesBatch:
    """The series with columns for components of the state that nobody observed, if any.

    Raises:
        DataError: a name is taken.
    """
    for name in names:
        if name in series.names:
            raise DataError(f"{name!r} is observed, so it cannot be in unobserved={{…}} too")
    if not names:
        return series
    n, size = series.ts.shape
    with jax.enable_x64(True):
        empty = np.zeros((n, size, len(names)))
        return SeriesBatch(
            series.ts,
            jnp.concatenate([series.ys, jnp.asarray(empty, series.ys.dtype)], axis=2),
            jnp.concatenate([series.mask, jnp.asarray(empty > 0)], axis=2),
            series.lengths,
            (*series.names, *names),
        )
