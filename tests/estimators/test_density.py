"""`ContinuousFlow`: a density in the table's own units, normalised, sampled, saved."""

import jax
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import neurode as nd
from estimators.flows import QUICK, true_log_density, two_lumps
from neurode.estimators import ContinuousFlow


@pytest.fixture(scope="module")
def lumps():
    frame = pd.DataFrame(two_lumps(2000), columns=["km", "degree"])
    return ContinuousFlow(**QUICK).fit(frame)


def grid(count=60):
    x = np.linspace(1000 - 60, 1000 + 60, count)
    y = np.linspace(5 - 0.3, 5 + 0.3, count)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2), (x[1] - x[0]) * (y[1] - y[0])


def test_it_learns_the_density_in_the_tables_units(lumps):
    held_out = two_lumps(1000, seed=1)
    gap = true_log_density(held_out) - lumps.score_samples(held_out)
    assert gap.mean() < 0.1
    assert lumps.score(held_out) == pytest.approx(lumps.score_samples(held_out).mean())
    assert lumps.names_ == ("km", "degree")
    assert lumps.n_features_in_ == 2
    assert lumps.history_["loss"][-20:].mean() == pytest.approx(-lumps.score(held_out), abs=0.3)


def test_the_density_integrates_to_one(lumps):
    points, cell = grid()
    assert np.exp(lumps.score_samples(points)).sum() * cell == pytest.approx(1, abs=2e-3)


def test_samples_follow_the_density(lumps):
    samples = lumps.sample(2000)
    for column, truth in zip(samples.T, two_lumps(2000, seed=2).T, strict=True):
        assert stats.ks_2samp(column, truth).pvalue > 1e-4
    np.testing.assert_array_equal(lumps.sample(2000), samples)  # the same every time
    assert not np.array_equal(lumps.sample(2000, random_state=1), samples)


def test_there_and_back(lumps):
    x = two_lumps(50, seed=3)
    z = lumps.transform(x)
    error = np.abs(lumps.inverse_transform(z) - x) / x.std(axis=0)
    assert error.max() < 1e-4
    assert 0 < lumps.round_trip_error_ < 1e-4
    z = lumps.transform(two_lumps(500, seed=4))
    np.testing.assert_allclose(np.cov(z.T), np.eye(2), atol=0.25)


def test_a_row_depends_on_no_other(lumps):
    x = two_lumps(40, seed=5)
    all_rows = lumps.score_samples(x)
    np.testing.assert_allclose(lumps.score_samples(x[:1]), all_rows[:1], atol=1e-4)
    far = np.vstack([x, [[1e9, 1e9]]])
    np.testing.assert_allclose(lumps.score_samples(far)[:-1], all_rows, atol=1e-4)


def test_far_outside_the_density_is_small_and_never_nan(lumps):
    far = lumps.score_samples([[1e4, 5], [1e9, 5], [1e30, -1e30], [1e200, 1e300]])
    assert not np.isnan(far).any()
    assert (far < -1e3).all()
    assert (far[1:] <= far[:-1]).all()


def test_an_estimated_trace_is_near_the_exact_one(lumps):
    x = two_lumps(400, seed=6)
    exact = lumps.score_samples(x)
    estimate = lumps.score_samples(x, trace="rademacher")
    assert not np.allclose(estimate, exact, atol=1e-4)
    assert abs((estimate - exact).mean()) < 4 * (estimate - exact).std() / 20


def test_a_saved_flow_scores_the_same(lumps, tmp_path):
    again = nd.load(lumps.save(tmp_path / "run"))
    x = two_lumps(40, seed=7)
    np.testing.assert_array_equal(again.score_samples(x), lumps.score_samples(x))
    np.testing.assert_array_equal(again.sample(5), lumps.sample(5))
    assert again.get_params() == lumps.get_params()
    assert again.round_trip_error_ == lumps.round_trip_error_
    np.testing.assert_array_equal(again.history_["loss"], lumps.history_["loss"])


def test_a_field_of_ones_own_is_passed_back(tmp_path):
    from neurode.nn import MLPField

    own = MLPField(1, (4,), key=jax.random.key(1))
    x = np.random.default_rng(0).normal(3.0, 2.0, 100)
    flow = ContinuousFlow(own, **(QUICK | {"steps": 2, "hidden": None})).fit(x)
    file = flow.save(tmp_path)
    with pytest.raises(nd.estimators.loading.ArchiveError, match="your own network 'MLPField'"):
        nd.load(file)
    again = nd.load(file, field=MLPField(1, (4,), key=jax.random.key(2)))
    np.testing.assert_allclose(again.score_samples(x[:5]), flow.score_samples(x[:5]), atol=1e-5)
    with pytest.raises(nd.estimators.loading.ArchiveError, match="computes something else"):
        nd.load(file, field=MLPField(1, (4,), activation="silu", key=jax.random.key(2)))


def test_whole_numbers_have_probabilities():
    """A geometric count, conditioned on nothing: probabilities near the true ones, summing to 1."""
    rng = np.random.default_rng(0)
    x = rng.geometric(0.4, 3000) - 1.0
    flow = ContinuousFlow(discrete=True, bounds={"x0": (0, None)}, **QUICK).fit(x)
    counts = np.arange(-1.0, 25.0)
    p = np.exp(flow.score_samples(counts))
    assert p[0] == 0
    assert p.sum() == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(p[1:5], 0.4 * 0.6 ** np.arange(4), atol=0.04)
    assert flow.score_samples([[0.5]]) == -np.inf
    samples = flow.sample(500)
    assert (samples == np.round(samples)).all()
    assert samples.min() >= 0


def test_a_density_can_be_conditioned():
    rng = np.random.default_rng(0)
    c = rng.uniform(0, 10, (3000, 1))
    x = 5 + 2 * c + 0.5 * rng.normal(size=(3000, 1))
    flow = ContinuousFlow(**QUICK).fit(x, context=c)
    samples = flow.sample(500, context=[3.0])
    assert samples.mean() == pytest.approx(11, abs=0.5)
    assert samples.std() < 1.5
    at = flow.score_samples([[11.0], [11.0]], context=[[3.0], [8.0]])
    assert at[0] > at[1] + 5
    with pytest.raises(ValueError, match="context has 2 columns, but the density takes 1"):
        flow.score_samples([[11.0]], context=[[3.0, 4.0]])
    with pytest.raises(ValueError, match="is conditioned on 1 columns: pass context="):
        flow.sample(3)
