"""Fit the unknown parameters of an ODE to observed trajectories: shoot, compare, correct."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from sklearn.exceptions import ConvergenceWarning

from neurode.core.closures import hoist
from neurode.core.status import SolveError, Status
from neurode.data import DataError, SeriesBatch
from neurode.estimators.effort import Effort
from neurode.estimators.estimator import IdentifiabilityWarning
from neurode.estimators.inference import (
    Estimates,
    describe_problems,
    invert_information,
    student_quantile,
)
from neurode.estimators.least_squares import (
    ENOUGH,
    Arrow,
    Found,
    Residuals,
    minimise,
    normal_equations,
)
from neurode.estimators.odes import wrap_ode
from neurode.estimators.scaling import apply, magnitudes, spread
from neurode.estimators.series import observed_values
from neurode.models import GaussianNoise, ParameterSpace, ParametricODE, SolveOptions

_NOISE_FLOOR = 1e-7  # of a variable's spread: about what tolerances of 1e-8 leave
_MUCH_TO_GAIN = 1e-3  # nats: an estimate further than 0.04 standard errors from the best


class Shooting(eqx.Module):
    """One fit's problem, ready to be compiled; a pytree, so that data sets may be its lanes.

    Attributes:
        model: the ODE.
        noise: the likelihood.
        ts: times [n, T].
        targets: observed T(y), [n, T, d].
        mask: what counts, [n, T, d].
        fixed: the initial states as observed, [n, d]; used if they are not learned.
        units: the spread of each variable's T(y), [d], in which residuals and initial states are
            counted; one for all variables if their noise is of one size.
        transform: T, "identity" or "log".
        is_learned: whether initial states are estimated.
    """

    model: ParametricODE
    noise: GaussianNoise
    ts: Float[Array, "n T"]
    targets: Float[Array, "n T d"]
    mask: Bool[Array, "n T d"]
    fixed: Float[Array, "n d"]
    units: Float[Array, " d"]
    transform: str = eqx.field(static=True)
    is_learned: bool = eqx.field(static=True)

    def initial_state(self, local: Array, fixed: Array) -> Array:
        """A trajectory's initial state from its numbers [q] and observed state [d]."""
        if not self.is_learned:
            return fixed
        return jnp.exp(local * self.units) if self.transform == "log" else local * self.units

    def residuals(
        self,
        shared: Float[Array, " k"],
        local: Float[Array, "n q"],
        is_wanted: Bool[Array, ""] | bool = True,
    ) -> Residuals:
        """(T(prediction) - T(observation)) / units, with exact derivatives.

        Where they are not wanted, the solve ends where it begins: as a lane among others it takes
        no step, and those that have steps to take go on without it.
        """
        ts = jnp.where(is_wanted, self.ts, self.ts[:, :1])
        found = self.model.sensitivities(shared, local, self.initial_state, self.fixed, ts)
        by_shared, by_local, values = found.by_shared, found.by_local, found.states
        if self.transform == "log":
            by_shared, by_local = (by / values[..., None] for by in (by_shared, by_local))
            values = jnp.log(values)
        mask = self.mask[..., None]
        return Residuals(
            jnp.where(self.mask, (values - self.targets) / self.units, 0),
            jnp.where(mask, by_shared / self.units[:, None], 0),
            jnp.where(mask, by_local / self.units[:, None], 0),
            jnp.sum(found.num_f_evals).astype(jnp.int32),
        )


class ShootingFit(NamedTuple):
    """What a fit of parameters found."""

    estimates: Estimates
    history: dict[str, np.ndarray]
    converged: bool


class Optimum(NamedTuple):
    """The most likely parameters and what is known about them.

    Attributes:
        found: the end of the search.
        values: the parameters there, [k].
        slopes: d(parameter) / d(free number), [k].
        initial: the initial states there, [n, d].
        variances: of the noise in units of `Shooting.units`, by the residuals, [d].
        information: on the free numbers.
    """

    found: Found
    values: Float[Array, " k"]
    slopes: Float[Array, " k"]
    initial: Float[Array, "n d"]
    variances: Float[Array, " d"]
    information: Arrow


@eqx.filter_jit
def search(
    problem: Shooting,
    shared: Float[Array, " k"],
    local: Float[Array, "n q"],
    max_iterations: Int[Array, ""],
    enough: Float[Array, ""] | float = ENOUGH,
) -> Optimum:
    """Maximise the likelihood; `problem` may hold many data sets under `eqx.filter_vmap`.

    `max_iterations` and `enough` are those of `minimise`.
    """
    found = minimise(problem.residuals, problem.noise, shared, local, max_iterations, enough)
    space = problem.model.space
    observed = jnp.sum(problem.mask)
    # Divided by the degrees of freedom instead of the observations, all variables alike.
    shrink = observed / (observed - shared.size - local.size)
    variances = problem.noise.variances(found.residuals.values) * shrink
    information, _ = normal_equations(found.residuals, 1 / variances)
    return Optimum(
        found,
        space.values(found.shared),
        jnp.diagonal(jax.jacfwd(space.values)(found.shared)),
        jax.vmap(problem.initial_state)(found.local, problem.fixed),
        variances,
        information,
    )


def search_best(
    problem: Shooting,
    starts: Float[Array, "m k"],
    local: Float[Array, "n q"],
    max_iterations: Int[Array, ""],
    enough: Float[Array, ""] | float = ENOUGH,
) -> Optimum:
    """Search from several starts at once, as lanes, and keep the most likely end."""
    if len(starts) == 1:
        return search(problem, starts[0], local, max_iterations, enough)
    ends = eqx.filter_vmap(search, in_axes=(None, 0, None, None, None))(
        problem, starts, local, max_iterations, enough
    )
    best = int(jnp.argmin(jnp.where(jnp.isfinite(ends.found.loss), ends.found.loss, jnp.inf)))
    return jax.tree.map(lambda x: x[best], ends)


def fit_parameters(
    ode: Callable,
    series: SeriesBatch,
    first: np.ndarray,
    start: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    around: Callable[[ParameterSpace], Float[Array, "m k"]] | None = None,
    *,
    transform: str,
    is_learned: bool,
    is_shared_noise: bool,
    effort: Effort,
) -> ShootingFit:
    """Fit an ODE's parameters, and say how well they are known.

    Args:
        ode: the user's `ode(t, y, p)`.
        series: what was observed.
        first: the state at the first time of each trajectory, or a first guess of it, [n, d].
        start: a start value per parameter, strictly inside its bounds.
        bounds: of some or all parameters.
        around: from the parameters' space to free numbers of several starts, the first of which
            is the start itself; they are the lanes of one search, and the best end is kept.
        transform: "identity" or "log": on which scale the noise is Gaussian.
        is_learned: whether initial states are estimated.
        is_shared_noise: whether the noise is of one size for all variables.
        effort: how hard to try.

    Raises:
        DataError: fewer observations than unknowns.
        SolveError: the ODE cannot be solved at the start values.
    """
    with jax.enable_x64(True):
        problem = pose(
            ode, series, first, start, bounds, transform, is_learned, is_shared_noise,
            effort.options,
        )  # fmt: skip
        space = problem.model.space
        shared = jnp.asarray(space.free(start.values()))
        local = jnp.asarray(apply(transform, first) / np.asarray(problem.units))
        local = local if is_learned else local[:, :0]
        unknowns = shared.size + local.size
        observed = int(problem.mask.sum())
        _check_count(observed, shared.size, local.size)
        starts = shared[None] if around is None else around(space)
        most = jnp.asarray(effort.max_iterations)
        optimum = search_best(problem, starts, local, most, effort.enough)
        found = optimum.found
        if not np.isfinite(found.loss):
            raise _start_failure(problem, shared, local, start, effort.options)
        estimates = infer(problem, optimum, observed, unknowns, series.names)
        count = int(found.iterations) + 1
        history = {
            "step": np.arange(count),
            "loss": np.asarray(found.losses[:count]),
            "nfe_forward": np.asarray(found.evaluations[:count], float) / len(series),
            "nfe_backward": np.zeros(count),  # sensitivities ride along forwards
        }
        converged = bool(found.to_gain < _MUCH_TO_GAIN)
    if not converged:
        warnings.warn(
            f"the search stopped after {count - 1} steps, with about {float(found.to_gain):.2g} "
            "nats of likelihood to gain by the next one: raise max_iterations, or start elsewhere",
            ConvergenceWarning,
            stacklevel=3,
        )
    for sentence in estimates.problems:
        warnings.warn(sentence, IdentifiabilityWarning, stacklevel=3)
    return ShootingFit(estimates, history, converged)


def pose(
    ode: Callable,
    series: SeriesBatch,
    first: np.ndarray,
    start: Mapping[str, float],
    bounds: Mapping[str, tuple[float, float]],
    transform: str,
    is_learned: bool,
    is_shared_noise: bool,
    options: SolveOptions,
) -> Shooting:
    """The problem of `fit_parameters`, in double precision (call it with 64 bits enabled)."""
    ts = np.asarray(series.ts, np.float64)
    mask, ys = np.array(series.mask), observed_values(series)
    if not is_learned:
        mask[:, 0] = False  # the start itself, which no parameter can change
    targets = apply(transform, ys)
    seen = mask.any(axis=(0, 1))
    sizes = np.where(first.any(axis=0), np.abs(first).max(axis=0), 1.0)  # of what nobody observed
    units = np.where(seen, spread(np.where(seen, targets, 1.0)), sizes)
    if is_shared_noise:
        units = np.full_like(units, np.sqrt(np.mean(units**2)))
    space = ParameterSpace.around(start, bounds)
    d = len(series.names)
    time, state = jax.ShapeDtypeStruct((), float), jax.ShapeDtypeStruct((d,), float)
    values = jax.ShapeDtypeStruct((len(start),), float)
    rate = wrap_ode(ode, d)
    field = hoist(lambda t, y, values: rate(t, y, space.named(values)), (time, state, values))
    magnitude = np.where(seen, magnitudes(np.where(seen, ys, 1.0)), sizes)
    counts = jnp.asarray(np.maximum(mask.sum(axis=(0, 1)), 1), float)
    return Shooting(
        model=ParametricODE(field, space, jnp.asarray(magnitude), options),
        noise=GaussianNoise(counts, jnp.full(d, _NOISE_FLOOR), is_shared_noise),
        ts=jnp.asarray(ts),
        targets=jnp.asarray(np.nan_to_num(targets)),
        mask=jnp.asarray(mask),
        fixed=jnp.asarray(first, float),
        units=jnp.asarray(units),
        transform=transform,
        is_learned=is_learned,
    )


def _check_count(observed: int, num_parameters: int, num_initial: int) -> None:
    if observed > num_parameters + num_initial:
        return
    initial = f" and {num_initial} initial values" if num_initial else ""
    remedy = "observe more, or fix some parameters"
    if num_initial:
        remedy += ", or take the initial states as observed with initial='observed'"
    raise DataError(
        f"{observed} observations cannot determine {num_parameters} parameters{initial}, and the "
        f"noise: {remedy}"
    )


def _start_failure(
    problem: Shooting, shared: Array, local: Array, start: Mapping[str, float], options: Any
) -> SolveError:
    found = problem.model.sensitivities(
        shared, local, problem.initial_state, problem.fixed, problem.ts
    )
    values = ", ".join(f"{name}={value:g}" for name, value in start.items())
    status = np.asarray(found.status)
    if (status == Status.SUCCESS).all():
        why = "a predicted value is not positive, so it has no logarithm"
        return SolveError(f"at the start values ({values}) {why}; choose other start values")
    i = int(np.argmax(status != Status.SUCCESS))
    kind = Status(int(status[i]))
    ts = np.asarray(problem.ts[i])
    return SolveError(
        f"at the start values ({values}) trajectory {i} cannot be solved from t={ts[0]:g} to "
        f"t={ts[-1]:g} with {type(options.solver).__name__}: {kind.sentence}. Choose other start "
        "values, or check the ODE",
        kind,
    )


@eqx.filter_jit
def _values(space: ParameterSpace, free: Float[Array, "n k"]) -> Float[Array, "n k"]:
    return jax.vmap(space.values)(free)


def infer(
    problem: Shooting, optimum: Optimum, observed: int, unknowns: int, variables: tuple[str, ...]
) -> Estimates:
    """Standard errors by the Fisher information, with the noise's variance from the residuals."""
    found, *arrays = jax.tree.map(np.asarray, optimum)
    values, slopes, initial, variances, matrix = arrays
    information = invert_information(*matrix)
    space, half = problem.model.space, student_quantile(observed - unknowns)
    errors = np.sqrt(np.diagonal(information.covariance))
    seen = np.asarray(problem.mask).any(axis=(0, 1))
    # Symmetric where the likelihood is closest to Gaussian, and thus within the bounds.
    ends = found.shared + half * errors * np.array([[-1], [1]])
    intervals = np.asarray(_values(space, ends)).T
    initial_errors = np.zeros_like(initial)
    if problem.is_learned:
        initial_errors = np.sqrt(information.local_variances) * np.asarray(problem.units)
        if problem.transform == "log":
            initial_errors = initial_errors * initial
    return Estimates(
        names=space.names,
        values=values,
        standard_errors=np.abs(slopes) * errors,
        intervals=np.sort(intervals, axis=1),
        covariance=information.covariance * np.outer(slopes, slopes),
        initial=initial,
        initial_standard_errors=initial_errors,
        noise=np.where(seen, np.sqrt(variances) * np.asarray(problem.units), np.nan),
        num_observations=observed,
        num_unknowns=unknowns,
        problems=describe_problems(information, space.names, slopes, variables),
    )
