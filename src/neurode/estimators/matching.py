"""Parameters of an ODE without solving it: match the ODE to a smoothed trajectory.

Gradient matching (Varah 1982; Brunel 2008) compares slopes. The orthogonality conditions of
Brunel, Clairon and d'Alche-Buc (2014, arXiv 1410.7566) use the weak form instead, which needs no
slope: for test functions phi that vanish at both ends, integrating by parts,
    e(theta) = integral of phi f(t, x, theta) + phi' x dt
is zero along a solution. Both are least squares in moments that are linear in the observations to
first order, so both have a sandwich covariance.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Bool, Float

from neurode.data import DataError, SeriesBatch
from neurode.estimators.odes import wrap_ode
from neurode.estimators.scaling import apply, spread
from neurode.estimators.series import observed_values
from neurode.estimators.smoothing import smooth
from neurode.models import ParameterSpace

NODES = 201  # of the quadrature, along each trajectory
_MOST_STEPS = 200


class Smoothed(NamedTuple):
    """Smoothed trajectories on a grid, with the linear maps that made them.

    Attributes:
        ts: grid, [n, Q].
        weights: of its quadrature (trapezoids), [n, Q].
        values: T(x) there, [n, Q, d].
        slopes: of T(x), [n, Q, d].
        to_values: from observations to values, [n, d, Q, T]; 0 where nothing was observed.
        to_slopes: from observations to slopes, likewise.
        variances: of the noise, [d].
    """

    ts: Float[Array, "n Q"]
    weights: Float[Array, "n Q"]
    values: Float[Array, "n Q d"]
    slopes: Float[Array, "n Q d"]
    to_values: Float[Array, "n d Q T"]
    to_slopes: Float[Array, "n d Q T"]
    variances: Float[Array, " d"]


class Matching(eqx.Module):
    """The moments of one fit; a pytree, so that data sets may be its lanes.

    Attributes:
        ode: (t, y [d], parameters [k]) -> dy/dt [d].
        space: the parameters' names and bounds.
        smoothed: the trajectories.
        tests: test functions phi on the grid's relative position, [L, Q]; slopes are weighted by
            the first for gradient matching.
        test_slopes: phi' by relative position, [L, Q].
        units: the spread of each T(x), [d].
        transform: T.
        is_weak: orthogonality conditions instead of gradient matching.
    """

    ode: Callable
    space: ParameterSpace
    smoothed: Smoothed
    tests: Float[Array, "L Q"]
    test_slopes: Float[Array, "L Q"]
    units: Float[Array, " d"]
    transform: str = eqx.field(static=True)
    is_weak: bool = eqx.field(static=True)

    def moments(
        self, free: Float[Array, " k"], values: Float[Array, "n Q d"], slopes: Float[Array, "n Q d"]
    ) -> Float[Array, " r"]:
        """What is zero for the true parameters along a true trajectory."""
        parameters = self.space.values(free)
        x = jnp.exp(values) if self.transform == "log" else values
        rate = jax.vmap(jax.vmap(lambda t, y: self.ode(t, y, parameters)))
        rates = rate(self.smoothed.ts, x)
        if self.transform == "log":
            rates = rates / x  # of the logarithm
        length = (self.smoothed.ts[:, -1] - self.smoothed.ts[:, 0])[:, None, None]
        if self.is_weak:
            inner = jnp.einsum("lq,nq,nqd->nld", self.tests, self.smoothed.weights, rates)
            parts = jnp.einsum("lq,nq,nqd->nld", self.test_slopes, self.smoothed.weights, values)
            return ((inner + parts / length) / self.units).ravel()
        weights = jnp.sqrt(self.smoothed.weights * self.tests[0])[..., None]
        return (weights * (rates - slopes) * jnp.sqrt(length) / self.units).ravel()


class Matched(NamedTuple):
    """Where the search ended.

    Attributes:
        free: the free numbers, [k].
        loss: the sum of squared moments; infinite if it failed.
        gradient: d(moments) / d(free), [r, k].
        covariance_root: C with C C' the covariance of moments' projection, see `match`, [k, N].
        converged: whether the search did.
    """

    free: Float[Array, " k"]
    loss: Float[Array, ""]
    gradient: Float[Array, "r k"]
    converged: Bool[Array, ""]


@eqx.filter_jit
def match(problem: Matching, starts: Float[Array, "m k"]) -> Matched:
    """Minimise the moments from several starts by Levenberg-Marquardt; keep the best end."""
    s = problem.smoothed

    def moments(free, _):
        return problem.moments(free, s.values, s.slopes)

    def search(start):
        found = optx.least_squares(
            moments,
            optx.LevenbergMarquardt(rtol=1e-8, atol=1e-8),
            start,
            max_steps=_MOST_STEPS,
            throw=False,
        )
        loss = jnp.sum(moments(found.value, None) ** 2)
        loss = jnp.where(jnp.isfinite(loss), loss, jnp.inf)
        return found.value, loss, found.result == optx.RESULTS.successful

    ends, losses, converged = jax.vmap(search)(starts)
    best = jnp.argmin(losses)
    free = ends[best]
    gradient = jax.jacfwd(lambda free: moments(free, None))(free)
    return Matched(free, losses[best], gradient, converged[best])


@eqx.filter_jit
def influence(problem: Matching, found: Matched) -> Float[Array, "k n d T"]:
    """d(free) / d(observation) by the implicit function theorem, to first order in the moments.

    -(G'G)^-1 G' d(moments)/dy, G = d(moments) / d(free): with noise of variance s_j^2, free's
    covariance is the sum of s_j^2 times its squares, the sandwich (G'G)^-1 G' V G (G'G)^-1.
    """
    s = problem.smoothed
    project = jnp.linalg.pinv(found.gradient, rtol=1e-10)

    def projected(values, slopes):
        return project @ problem.moments(found.free, values, slopes)

    by_values, by_slopes = jax.jacrev(projected, argnums=(0, 1))(s.values, s.slopes)
    through = jnp.einsum("knqd,ndqt->kndt", by_values, s.to_values)
    return -through - jnp.einsum("knqd,ndqt->kndt", by_slopes, s.to_slopes)


def smooth_series(series: SeriesBatch, transform: str, nodes: int = NODES) -> Smoothed:
    """Smooth every variable of every trajectory; call it with 64 bits enabled.

    Raises:
        DataError: a variable of a trajectory has too few observations, or none.
    """
    ts, mask = np.asarray(series.ts, np.float64), np.asarray(series.mask)
    ys = apply(transform, observed_values(series))
    (n, size), d = ts.shape, ys.shape[2]
    grid = np.stack([np.linspace(row[0], row[-1], nodes) for row in ts])
    to_values, to_slopes = (np.zeros((n, d, nodes, size)) for _ in range(2))
    variances, counts = np.zeros((n, d)), mask.sum(axis=1)
    for i in range(n):
        for j in range(d):
            seen = mask[i, :, j]
            if not seen.any():
                raise DataError(
                    f"{series.names[j]!r} is never observed in trajectory {i}: matching needs "
                    "every variable; use method='shooting' with a start value for each parameter"
                )
            what = f"{series.names[j]!r} of trajectory {i}"
            found = smooth(ts[i, seen], ys[i, seen, j], grid[i], what)
            to_values[i, j][:, seen], to_slopes[i, j][:, seen], variances[i, j] = found
    filled = np.nan_to_num(ys)
    step = (grid[:, -1] - grid[:, 0]) / (nodes - 1)
    weights = np.full((n, nodes), 1.0)
    weights[:, [0, -1]] = 0.5
    arrays = (
        grid,
        weights * step[:, None],
        np.einsum("ndqt,ntd->nqd", to_values, filled),
        np.einsum("ndqt,ntd->nqd", to_slopes, filled),
        to_values,
        to_slopes,
        (variances * counts).sum(axis=0) / counts.sum(axis=0),
    )
    return Smoothed(*map(jnp.asarray, arrays))


def pose_matching(
    ode: Callable,
    smoothed: Smoothed,
    series: SeriesBatch,
    space: ParameterSpace,
    transform: str,
    conditions: int | None,
) -> Matching:
    """The moments of a fit, in double precision (call it with 64 bits enabled).

    Args:
        ode: the user's `ode(t, y, p)`.
        smoothed: the trajectories.
        series: what was observed.
        space: the parameters.
        transform: "identity" or "log".
        conditions: test functions per trajectory and variable; None is gradient matching.
    """
    u = np.linspace(0, 1, smoothed.ts.shape[1])
    # Sines vanish at both ends; slopes near the ends of a spline are poor, hence the weight.
    orders = np.pi * np.arange(1, (conditions or 1) + 1)[:, None]
    rate = wrap_ode(ode, len(series.names))
    return Matching(
        lambda t, y, values: rate(t, y, space.named(values)),
        space,
        smoothed,
        jnp.asarray(np.maximum(np.sin(orders * u), 0 if conditions is None else -1)),
        jnp.asarray(orders * np.cos(orders * u)),
        jnp.asarray(spread(apply(transform, observed_values(series)))),
        transform,
        conditions is not None,
    )


def default_conditions(num_parameters: int, num_times: int, num_variables: int) -> int:
    """Test functions per trajectory: enough to determine, few enough to average noise."""
    least = -(-2 * num_parameters // num_variables)
    return max(least, min(10, num_times // 3), 2)
