"""Estimates and standard errors of an ODE's parameters against closed forms and SciPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.exceptions import ConvergenceWarning

from estimators.odes import (
    chain,
    chain_solution,
    decay,
    logistic,
    logistic_solution,
    lotka_volterra,
)
from neurode.data import SeriesBatch, lynx_hare
from neurode.estimators import IdentifiabilityWarning, NeuralODE
from neurode.estimators.shooting import infer, pose, search
from neurode.models import SolveOptions


def covariance(jacobian, residuals):
    """The textbook's: the variance of the residuals times (J'J)^-1."""
    n, k = jacobian.shape
    return residuals @ residuals / (n - k) * np.linalg.inv(jacobian.T @ jacobian)


def test_many_ragged_trajectories_with_gaps_give_what_scipy_gives():
    rng = np.random.default_rng(0)
    starts, truth = [0.3, 1.0, 4.0], (0.9, 3.0)
    series = []
    for start, count in zip(starts, (12, 9, 15), strict=True):
        ts = np.sort(rng.uniform(0, 8, count))
        ys = logistic_solution(ts - ts[0], *truth, start) + 0.1 * rng.standard_normal(count)
        ys[rng.random(count) < 0.15] = np.nan
        series.append((ts, ys))

    def residuals(x):
        parts = [
            logistic_solution(ts - ts[0], *x[:2], start) - ys
            for (ts, ys), start in zip(series, x[2:], strict=True)
        ]
        joined = np.concatenate(parts)
        return joined[~np.isnan(joined)]

    expected = optimize.least_squares(residuals, [1, 2, *starts], xtol=1e-14, gtol=1e-14)
    model = NeuralODE(logistic, parameters={"r": 0.5, "K": 2.0}, positive=True).fit(series)
    estimates = model.estimates_
    found = [*model.parameters_.values(), *model.initial_[:, 0]]
    np.testing.assert_allclose(found, expected.x, rtol=1e-5)
    inverse = covariance(expected.jac, expected.fun)
    np.testing.assert_allclose(estimates.covariance, inverse[:2, :2], rtol=1e-3)
    errors = [*estimates.standard_errors, *estimates.initial_standard_errors[:, 0]]
    np.testing.assert_allclose(errors, np.sqrt(np.diagonal(inverse)), rtol=1e-3)
    np.testing.assert_allclose(
        model.noise_, np.sqrt(expected.fun @ expected.fun / estimates.degrees_of_freedom), rtol=1e-6
    )


@pytest.fixture(scope="module")
def mixed():
    """Two variables with noise of very different size."""
    ts = np.linspace(0, 6, 25)
    clean = chain_solution(ts, 0.7, 0.3, 2.0, 0.5)
    return ts, clean + np.random.default_rng(1).standard_normal(clean.shape) * [[0.02], [0.2]]


CHAIN = {"parameters": {"a": 1.0, "b": 0.2}}


def test_shared_noise_gives_what_curve_fit_gives(mixed):
    ts, ys = mixed
    values, inverse = optimize.curve_fit(
        lambda _, *x: chain_solution(ts, *x).ravel(),
        ts,
        ys.ravel(),
        p0=[1, 0.2, 2, 0.5],
        ftol=1e-14,
    )
    model = NeuralODE(chain, **CHAIN, noise="shared").fit(ts, ys.T)
    np.testing.assert_allclose([*model.parameters_.values(), *model.initial_[0]], values, rtol=1e-5)
    errors = [*model.standard_errors_.values(), *model.estimates_.initial_standard_errors[0]]
    np.testing.assert_allclose(errors, np.sqrt(np.diagonal(inverse)), rtol=1e-3)
    assert model.noise_[0] == model.noise_[1]
    half = stats.t.ppf(0.975, 50 - 4) * np.outer(errors[:2], [-1, 1])
    np.testing.assert_allclose(model.estimates_.intervals, values[:2, None] + half, rtol=1e-4)


def test_each_variable_has_noise_of_its_own(mixed):
    ts, ys = mixed

    def loss(x):
        return np.log(np.sum((chain_solution(ts, *x) - ys) ** 2, axis=1)).sum() * len(ts) / 2

    best = optimize.minimize(loss, [0.7, 0.3, 2, 0.5], method="Nelder-Mead", tol=1e-10)
    model = NeuralODE(chain, **CHAIN).fit(ts, ys.T)
    np.testing.assert_allclose([*model.parameters_.values(), *model.initial_[0]], best.x, rtol=1e-4)
    np.testing.assert_allclose(model.noise_, [0.02, 0.2], rtol=0.35)
    # Weighted: the precise variable decides, so errors are smaller than with shared noise.
    shared = NeuralODE(chain, **CHAIN, noise="shared").fit(ts, ys.T)
    assert model.standard_errors_["a"] < 0.5 * shared.standard_errors_["a"]


@pytest.fixture(scope="module")
def decaying():
    rng = np.random.default_rng(2)
    ts = np.sort(rng.uniform(0, 3, 30))
    return ts, 5 * np.exp(-0.8 * ts + 0.1 * rng.standard_normal(30))


def test_logarithms_of_a_decay_are_a_linear_regression(decaying):
    ts, ys = decaying
    line = stats.linregress(ts - ts[0], np.log(ys))
    model = NeuralODE(decay, parameters={"k": 2.0}, transform="log", positive=["k"]).fit(ts, ys)
    assert model.parameters_["k"] == pytest.approx(-line.slope, rel=1e-6)
    assert model.standard_errors_["k"] == pytest.approx(line.stderr, rel=1e-4)
    start, error = model.initial_[0, 0], model.estimates_.initial_standard_errors[0, 0]
    assert np.log(start) == pytest.approx(line.intercept, rel=1e-6)
    assert error / start == pytest.approx(line.intercept_stderr, rel=1e-4)
    # The interval of a positive parameter is symmetric in its logarithm.
    reach = stats.t.ppf(0.975, 28) * line.stderr / -line.slope
    expected = -line.slope * np.exp([-reach, reach])
    np.testing.assert_allclose(model.intervals_["k"], expected, rtol=1e-4)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """400 simulated data sets, fitted as the lanes of one compiled search."""
    truth, start, count = np.array([0.9, 3.0]), 0.4, 400
    ts = np.linspace(0, 8, 20)
    clean = logistic_solution(ts, *truth, start)
    noisy = clean + 0.15 * np.random.default_rng(3).standard_normal((count, 20))
    with jax.enable_x64(True):
        series = SeriesBatch.from_arrays(ts, clean)
        guess = {"r": 0.7, "K": 2.5}
        bounds = dict.fromkeys(guess, (0.0, np.inf))
        problem = pose(
            logistic,
            series,
            np.array([[start]]),
            guess,
            bounds,
            "identity",
            True,
            False,
            SolveOptions(rtol=1e-6, atol=1e-6),
        )
        shared = jnp.asarray(problem.model.space.free(guess.values()))
        local = jnp.full((1, 1), start) / problem.units

        def fit(targets):
            lane = eqx.tree_at(lambda p: p.targets, problem, targets)
            return search(lane, shared, local, jnp.asarray(30))

        optima = jax.jit(jax.vmap(fit))(jnp.asarray(noisy)[:, None, :, None])
        leaves, structure = jax.tree.flatten(jax.device_get(optima))
        lanes = [structure.unflatten(lane) for lane in zip(*leaves, strict=True)]
        fits = [infer(problem, lane, 20, 3, ("y",)) for lane in lanes]
    values = np.array([fit.values for fit in fits])
    errors = np.array([fit.standard_errors for fit in fits])
    intervals = np.array([fit.intervals for fit in fits])
    covered = ((intervals[..., 0] <= truth) & (truth <= intervals[..., 1])).sum(axis=0)
    low, high = stats.binom.ppf([0.0005, 0.9995], count, 0.95)
    assert ((covered >= low) & (covered <= high)).all(), covered
    np.testing.assert_allclose(errors.mean(axis=0), values.std(axis=0), rtol=0.12)


def test_lynx_and_hare_give_the_published_parameters():
    table = lynx_hare()
    start = {"alpha": 1.0, "beta": 0.05, "delta": 0.05, "gamma": 1.0}
    model = NeuralODE(lotka_volterra, parameters=start, positive=True, transform="log")
    model.fit(table)
    # Posterior means and deviations of the same model in Stan (Carpenter 2018, "Predator-Prey
    # Population Dynamics: the Lotka-Volterra model in Stan").
    published = {
        "alpha": (0.55, 0.064),
        "beta": (0.028, 0.004),
        "delta": (0.024, 0.004),
        "gamma": (0.80, 0.092),
    }
    for name, (mean, deviation) in published.items():
        assert model.parameters_[name] == pytest.approx(mean, abs=0.3 * deviation)
        assert model.standard_errors_[name] == pytest.approx(deviation, rel=0.2)
    np.testing.assert_allclose(model.noise_, 0.25, rtol=0.1)
    assert model.score(table) > 0.85
    assert model.stats_["converged"]
    np.testing.assert_array_equal(model.history_["step"], np.arange(model.stats_["steps"] + 1))
    assert model.history_["loss"][-1] < model.history_["loss"][0]


def test_steps_into_parameters_that_cannot_be_solved_are_rejected():
    def explosion(t, y, p):  # blows up at t = 1 / (c y0)
        return p.c * y**2

    ts = np.linspace(0, 1, 12)
    ys = 1 / (1 / 1.2 - 0.8 * ts) + 0.2 * np.sin(40 * ts)
    settings = {"parameters": {"c": -5.0}, "initial": "observed", "max_steps": 256}
    model = NeuralODE(explosion, **settings).fit(ts, ys)
    losses = model.history_["loss"]
    assert (np.diff(losses[:-1]) == 0).any(), "no step was rejected, so nothing was tested"

    # The first observation is taken for exact, so it is no residual.
    np.testing.assert_array_equal(model.initial_, [[ys[0]]])
    expected = optimize.least_squares(
        lambda x: 1 / (1 / ys[0] - x[0] * ts[1:]) - ys[1:], [0.5], xtol=1e-14, gtol=1e-14
    )
    assert model.parameters_["c"] == pytest.approx(expected.x[0], rel=1e-6)
    error = np.sqrt(covariance(expected.jac, expected.fun)[0, 0])
    assert model.standard_errors_["c"] == pytest.approx(error, rel=1e-4)
    assert model.estimates_.num_observations == 11
    assert model.estimates_.initial_standard_errors[0, 0] == 0


def test_parameters_that_are_not_told_apart_are_named():
    def product(t, y, p):
        return -p.a * p.b * y + p.c

    ts = np.linspace(0, 5, 20)
    ys = 3 * np.exp(-0.5 * ts) + 1 + 0.01 * np.sin(9 * ts)
    with pytest.warns(IdentifiabilityWarning, match="do not tell 'a' and 'b' apart"):
        model = NeuralODE(product, parameters={"a": 1.0, "b": 0.4, "c": 0.3}).fit(ts, ys)
    errors = model.standard_errors_
    assert np.isnan([errors["a"], errors["b"]]).all()
    assert 0 < errors["c"] < 0.1
    assert np.isfinite(model.estimates_.initial_standard_errors).all()
    assert model.parameters_["a"] * model.parameters_["b"] == pytest.approx(0.5, rel=0.05)
    assert "do not tell 'a' and 'b' apart" in model.summary_text()


def test_a_search_that_was_cut_short_says_so(decaying):
    settings = {"parameters": {"k": 4.0}, "transform": "log", "positive": ["k"]}
    with pytest.warns(ConvergenceWarning, match="raise max_iterations"):
        model = NeuralODE(decay, max_iterations=1, **settings).fit(*decaying)
    assert not model.stats_["converged"]
