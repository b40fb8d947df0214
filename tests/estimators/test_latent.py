"""`LatentODE`: what comes back, in which form and units, and that it does not depend on company."""

import numpy as np
import pandas as pd
import pytest

import neurode as nd
from neurode.data import DataError
from neurode.estimators import SettingError


def make_series(n=12, seed=0):
    """Sines of two phases at irregular times, the second variable half unobserved."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(n):
        t = np.sort(rng.uniform(0, 4, rng.integers(5, 9)))
        y = np.stack([np.sin(t + i % 2), 100 + 10 * np.cos(t + i % 2)], axis=1)
        y[::2, 1] = np.nan
        pairs.append((t, y + 0.01 * rng.standard_normal(y.shape)))
    return pairs


def make_frame(pairs, dates=None):
    frames = []
    for i, (t, y) in enumerate(pairs):
        times = t if dates is None else pd.Timestamp(dates) + pd.to_timedelta(t, unit="h")
        frames.append(pd.DataFrame({"who": f"p{i}", "when": times, "a": y[:, 0], "b": y[:, 1]}))
    return pd.concat(frames, ignore_index=True)


SETTINGS = {"steps": 60, "batch_size": None, "progress": False, "encoder_units": 8, "hidden": (8,)}


@pytest.fixture(scope="module")
def fitted():
    return nd.LatentODE(**SETTINGS).fit(make_series(), columns=["a", "b"])


def test_training_raises_the_evidence(fitted):
    """Losses of different updates are of stretches of different lengths: compare whole series."""
    series = make_series()
    begun = nd.LatentODE(**SETTINGS | {"steps": 1}).fit(series, columns=["a", "b"])
    assert fitted.score(series) > begun.score(series) + 0.3
    assert fitted.stats_["steps"] == 60
    assert fitted.names_ == ("a", "b")
    assert fitted.noise_.shape == (2,)


def test_reconstruction_is_in_the_users_units(fitted):
    series = make_series()
    rebuilt = fitted.reconstruct(series)
    assert [r.shape for r in rebuilt] == [y.shape for _, y in series]
    levels = np.concatenate(rebuilt).mean(axis=0)
    assert abs(levels[0]) < 1
    assert 90 < levels[1] < 110


def test_imputation_leaves_what_was_observed(fitted):
    series = make_series()
    for filled, (_, y) in zip(fitted.impute(series), series, strict=True):
        known = np.isfinite(y)
        np.testing.assert_array_equal(filled[known], y[known])
        assert np.isfinite(filled).all()


def test_forecast_of_the_learned_series(fitted):
    found = fitted.forecast([4.0, 5.0, 6.0], samples=20)
    assert found.mean.shape == (12, 3, 2)
    assert found.samples.shape == (12, 20, 3, 2)
    assert (found.low < found.mean).all()
    assert (found.mean < found.high).all()
    assert (found.high - found.low > 2 * fitted.noise_).all()  # noise is in the interval
    narrow = fitted.forecast([4.0, 5.0, 6.0], samples=20, level=0.5)
    assert (narrow.high - narrow.low < found.high - found.low).all()


def test_a_series_does_not_depend_on_which_others_there_are(fitted):
    series, times = make_series(), [4.0, 5.0]
    together = fitted.forecast(times, series, samples=10)
    alone = fitted.forecast(times, series[3:4], samples=10)
    np.testing.assert_allclose(alone.mean[0], together.mean[3], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(alone.low[0], together.low[3], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        fitted.encode(series[3:4])[0][0], fitted.encode(series)[0][3], rtol=1e-4, atol=1e-5
    )
    one = fitted.forecast(times, ids=[3], samples=10)
    np.testing.assert_allclose(one.mean[0], together.mean[3], rtol=1e-4, atol=1e-4)


def test_times_of_their_own(fitted):
    own = [np.array([5.0 + i]) for i in range(12)]
    found = fitted.forecast(own, samples=5)
    assert [m.shape for m in found.mean] == [(1, 2)] * 12
    assert len(found.to_frame()) == 12


def test_samples_and_scores(fitted):
    drawn = fitted.sample(3, [0.0, 1.0, 2.0])
    assert drawn.shape == (3, 3, 2)
    assert len({tuple(row) for row in drawn[:, 0]}) == 3
    series = make_series()
    elbo, iwae = (fitted.score_samples(series, bound=b, samples=256) for b in ("elbo", "iwae"))
    assert elbo.shape == (12,)
    assert (iwae >= elbo - 0.5).all()  # the tighter bound, up to the noise of its samples
    assert iwae.mean() > elbo.mean()
    count = sum(np.isfinite(y).sum() for _, y in series)
    assert fitted.score(series, samples=256) == pytest.approx(iwae.sum() / count)


def test_a_score_is_a_density_in_the_users_units():
    series = make_series()
    scaled = [(t, y * [1, 1000]) for t, y in series]
    models = [nd.LatentODE(**SETTINGS | {"steps": 3}).fit(data) for data in (series, scaled)]
    scores = [m.score_samples(d) for m, d in zip(models, (series, scaled), strict=True)]
    seen = np.array([np.isfinite(y[:, 1]).sum() for _, y in series])
    np.testing.assert_allclose(scores[1], scores[0] - seen * np.log(1000), atol=0.05)


def test_saved_and_loaded(fitted, tmp_path):
    again = nd.load(fitted.save(tmp_path))
    times = [4.5, 7.0]
    np.testing.assert_array_equal(
        again.forecast(times, samples=5).samples, fitted.forecast(times, samples=5).samples
    )
    series = make_series()
    np.testing.assert_array_equal(again.encode(series)[0], fitted.encode(series)[0])
    np.testing.assert_array_equal(again.noise_, fitted.noise_)


def test_the_unit_of_time_does_not_matter(fitted):
    seconds = [(1.7e9 + 1e6 * t, y) for t, y in make_series()]
    other = nd.LatentODE(**SETTINGS).fit(seconds, columns=["a", "b"])
    found = other.forecast(1.7e9 + 1e6 * np.array([4.0, 5.0]), samples=5)
    wanted = fitted.forecast([4.0, 5.0], samples=5)
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_dates_come_back_as_dates(zone):
    start = pd.Timestamp("2024-03-01", tz=zone)
    frame = make_frame(make_series(), start)
    model = nd.LatentODE(**SETTINGS | {"steps": 3}).fit(frame, id="who", time="when")
    assert model.labels_ == tuple(f"p{i}" for i in range(12))
    later = start + pd.to_timedelta([5, 6], unit="h")
    table = model.forecast(later, samples=5).to_frame("who", "when")
    assert list(pd.to_datetime(table["when"][:2]).dt.tz_localize(None)) == list(
        later.tz_localize(None)
    )
    assert set(model.reconstruct(frame)) == set(model.labels_)
    wrong = later.tz_localize(None) if zone else later.tz_localize("UTC")
    with pytest.raises(DataError, match="time zone"):
        model.forecast(wrong)
    with pytest.raises(DataError, match="dates"):
        model.forecast([5.0])


def test_long_series_are_read_in_stretches():
    t = np.linspace(0, 30, 90)
    long = [(t, np.sin(t)), (t[:20], np.cos(t[:20]))]
    model = nd.LatentODE(**SETTINGS | {"steps": 5, "max_length": 16}).fit(long)
    assert [r.shape for r in model.reconstruct(long)] == [(90, 1), (20, 1)]
    assert model.posterior_.starts[0] == t[90 - 16]
    assert model.forecast([31.0], samples=3).mean.shape == (2, 1, 1)


@pytest.mark.parametrize(("likelihood", "draw"), [("bernoulli", (0, 1)), ("poisson", (0, 5))])
def test_bits_and_counts(likelihood, draw):
    rng = np.random.default_rng(0)
    series = [(np.arange(6.0), rng.integers(draw[0], draw[1] + 1, 6)) for _ in range(8)]
    model = nd.LatentODE(**SETTINGS | {"steps": 20, "likelihood": likelihood}).fit(series)
    found = model.forecast([7.0], samples=20)
    assert ((found.low >= 0) & (found.high <= 50)).all()
    assert np.array_equal(found.high, np.round(found.high))
    assert np.isfinite(model.score(series))
    wrong = [*series, (np.arange(2.0), [0.5, 1.0])]
    with pytest.raises(DataError, match=r"series 8, column 'y0', time 0: .*0\.5"):
        model.fit(wrong)


@pytest.mark.parametrize("encoder", ["gru", "ode-rnn"])
def test_other_encoders(encoder):
    model = nd.LatentODE(**SETTINGS | {"steps": 3, "encoder": encoder}).fit(make_series())
    mean, scale = model.encode(make_series())
    assert mean.shape == scale.shape == (12, 4)
    assert (scale > 0).all()


def test_without_events_there_is_no_rate(fitted):
    with pytest.raises(SettingError, match="no events were learned"):
        fitted.intensity([1.0])
    with pytest.raises(DataError, match="fitted without events"):
        fitted.score(make_series(), events=[[]] * 12)
