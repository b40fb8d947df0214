"""The methods of fitting an ODE's parameters, on equations with known ones."""

import numpy as np
import pytest

import neurode as nd
from estimators.odes import chain, chain_solution, decay
from neurode.data import DataError
from neurode.estimators import IdentifiabilityWarning, NeuralODE, SettingError

TRUTH = {"a": 0.9, "b": 0.35}
TS = np.linspace(0, 8, 41)
NOISE = 0.03


@pytest.fixture(scope="module")
def chained():
    random = np.random.default_rng(0)
    clean = chain_solution(TS, *TRUTH.values(), 2.0, 0.2).T
    return clean + NOISE * random.normal(size=clean.shape)


@pytest.fixture(scope="module")
def shot(chained):
    """By shooting, with no start values at all."""
    return NeuralODE(chain, parameters=list(TRUTH), positive=True).fit(TS, chained)


@pytest.fixture(scope="module")
def matched(chained):
    methods = ("gradient_matching", "orthogonality")
    return [
        NeuralODE(chain, parameters=list(TRUTH), positive=True, method=method).fit(TS, chained)
        for method in methods
    ]


def test_shooting_needs_no_start_values(shot):
    for name, true in TRUTH.items():
        assert abs(shot.parameters_[name] - true) < 4 * shot.standard_errors_[name]
    assert np.allclose(shot.noise_, NOISE, rtol=0.4)


def test_matching_is_near_and_less_precise(shot, matched):
    for model in matched:
        for name, true in TRUTH.items():
            assert abs(model.parameters_[name] - true) < 5 * model.standard_errors_[name]
            assert model.standard_errors_[name] > 0.8 * shot.standard_errors_[name]
        assert np.allclose(model.initial_[0], [2.0, 0.2], atol=0.15)
        assert model.score(TS, model.predict(TS)) == pytest.approx(1)


def test_the_sandwich_is_the_derivative_by_the_data(chained, matched):
    """Moving one observation moves the estimate as the influence says.

    With roughness chosen by the data the map is not quite linear, so the move is small.
    """
    import jax

    from neurode.data import SeriesBatch
    from neurode.estimators.matching import (
        default_conditions,
        influence,
        match,
        pose_matching,
        smooth_series,
    )
    from neurode.models import ParameterSpace

    with jax.enable_x64(True):
        series = SeriesBatch.from_arrays(TS, chained)
        space = ParameterSpace.around(dict.fromkeys(TRUTH, 1.0), dict.fromkeys(TRUTH, (0, np.inf)))
        smoothed = smooth_series(series, "identity", nodes=81)
        count = default_conditions(2, len(TS), 2)
        posed = pose_matching(chain, smoothed, series, space, "identity", count)
        start = np.log([list(TRUTH.values())])
        found = match(posed, jax.numpy.asarray(start))
        moved = np.asarray(influence(posed, found))[:, 0, 0, 10]
        step = 1e-4
        shifted = smoothed._replace(
            values=smoothed.values.at[0, :, 0].add(step * smoothed.to_values[0, 0, :, 10]),
            slopes=smoothed.slopes.at[0, :, 0].add(step * smoothed.to_slopes[0, 0, :, 10]),
        )
        import equinox as eqx

        posed = eqx.tree_at(lambda p: p.smoothed, posed, shifted)
        after = match(posed, jax.numpy.asarray(start))
        change = np.asarray(after.free - found.free) / step
    # To first order in the moments that noise leaves over: Gauss-Newton's approximation.
    assert np.allclose(change, moved, rtol=0.1, atol=0.05 * np.abs(moved).max())


def test_multiple_shooting_finds_what_shooting_finds(chained, shot):
    model = NeuralODE(
        chain, parameters={"a": 0.1, "b": 5.0}, positive=True, method="multiple_shooting",
        segments=4,
    )  # fmt: skip
    model.fit(TS, chained)
    assert np.allclose(list(model.parameters_.values()), list(shot.parameters_.values()), rtol=1e-4)
    assert model.standard_errors_["a"] == pytest.approx(shot.standard_errors_["a"], rel=1e-3)


def test_an_unobserved_component_is_estimated(chained, tmp_path):
    """The first of the chain is never seen: it is what feeds the second."""

    def fed(t, y, p):
        second, first = y
        return [p.a * first - p.b * second, -p.a * first]

    model = NeuralODE(fed, parameters={"a": 1.2, "b": 0.3}, positive=True, unobserved={"x": 1.0})
    model.fit(TS, chained[:, 1], names=["y"])
    assert model.names_ == ("y", "x")
    assert model.initial_[0, 1] == pytest.approx(2.0, abs=0.4)
    for name, true in TRUTH.items():
        assert abs(model.parameters_[name] - true) < 4 * model.standard_errors_[name]
    assert np.isnan(model.noise_[1])
    model.save(tmp_path)
    assert np.allclose(nd.load(tmp_path, field=fed).predict(TS), model.predict(TS))


def test_what_matching_cannot_tell_apart_is_named():
    def product(t, y, p):
        return [-p.a * p.b * y[0]]

    ts = np.linspace(0, 3, 20)
    model = NeuralODE(product, parameters={"a": 1.0, "b": 0.5}, method="gradient_matching")
    with pytest.warns(IdentifiabilityWarning, match="do not tell 'a' and 'b' apart"):
        model.fit(ts, np.exp(-0.6 * ts))
    assert np.isnan(model.standard_errors_["a"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "newton"}, "method must be one of"),
        ({"starts": 0}, "starts must be a whole number"),
        ({"segments": 0}, "segments must be"),
        ({"unobserved": ["x"]}, "unobserved must be a dict"),
        ({"unobserved": {"x": np.nan}}, "'x' needs a number"),
        ({"unobserved": {"x": 1.0}, "method": "orthogonality"}, "'x' is not observed; use method"),
        ({"unobserved": {"x": 1.0}, "parameters": ["k"]}, "give one for each parameter"),
        ({"parameters": {"k": None}, "bounds": {"k": (3, 2)}}, "must be lower < upper"),
        ({"parameters": None, "field": None, "method": "orthogonality"}, "about an ODE you wrote"),
    ],
)
def test_settings(settings, message):
    with pytest.raises(SettingError, match=message):
        NeuralODE(**{"field": decay, "parameters": {"k": 1.0}, **settings}).fit(TS, np.exp(-TS))


def test_data():
    model = NeuralODE(decay, parameters=["k"], method="orthogonality")
    with pytest.raises(DataError, match="has 3 observations; a smoothing spline needs 5"):
        model.fit(TS[:3], np.exp(-TS[:3]))
    with pytest.raises(DataError, match="'y0' is observed, so it cannot be in unobserved"):
        NeuralODE(decay, parameters={"k": 1.0}, unobserved={"y0": 1.0}).fit(TS, np.exp(-TS))
