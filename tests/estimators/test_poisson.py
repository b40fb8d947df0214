"""A Poisson process: its likelihood, what it learns, its band, and how it is kept."""

import numpy as np
import pytest

import neurode as nd
from neurode.data import DataError, read_events
from neurode.estimators import SettingError
from neurode.estimators.intensities import HALF_SPAN, Clock, cut_windows
from neurode.models.baselines import choose_bandwidth, kernel_intensity

END = 10.0


def truth(t):
    return 5 + 40 * np.exp(-0.5 * ((t - 4) / 1.2) ** 2)


@pytest.fixture(scope="module")
def events():
    random = np.random.default_rng(0)
    times = random.uniform(0, END, random.poisson(45 * END))
    return np.sort(times[random.uniform(0, 45, len(times)) < truth(times)])


@pytest.fixture(scope="module")
def fitted(events):
    process = nd.PoissonProcess(hidden=(16,), readout=(8,), steps=400, learning_rate=2e-2)
    return process.fit(events, (0, END))


def test_the_intensity_is_learned(fitted, events):
    t = np.linspace(0, END, 101)
    found = fitted.intensity(t)
    errors = [np.trapezoid(np.abs(rate - truth(t)), t) for rate in (found.rate, len(events) / END)]
    assert errors[0] < errors[1] / 2  # of a constant rate
    inside = (found.low <= truth(t)) & (truth(t) <= found.high)
    assert inside.mean() > 0.8
    wide = fitted.intensity(t, level=0.99)
    assert (wide.low < found.low).all()
    assert abs(fitted.expected_count((0, END)) - len(events)) < 0.1 * len(events)
    shuffled = fitted.intensity(t[::-1]).rate[::-1]
    assert np.allclose(shuffled, found.rate)


def test_the_likelihood_is_the_definition(fitted, events):
    """Sum of log lambda minus its integral, by a quadrature of our own."""
    t = np.linspace(0, END, 4001)
    integral = np.trapezoid(fitted.intensity(t).rate, t)
    expected = np.log(fitted.intensity(events).rate).sum() - integral
    found = fitted.log_likelihood(events, (0, END))
    assert abs(found - expected) < 1e-3
    assert abs(fitted.score(events, (0, END)) - found / len(events)) < 1e-12
    halves = [fitted.log_likelihood(events[events <= 5], (0, 5)),
              fitted.log_likelihood(events[events > 5], (5, END))]  # fmt: skip
    assert abs(sum(halves) - found) < 1e-3  # of 330 nats, solved at 1e-8
    assert fitted.log_likelihood([[]], [(0, 5)]) == pytest.approx(-fitted.expected_count((0, 5)))
    constant = len(events) * (np.log(len(events) / END) - 1)
    assert found > constant + 50


def test_the_training_loss_is_in_the_users_units(fitted, events):
    # A wrong unit of time would be off by the logarithm of some whole number; training's own
    # tolerance by a few hundredths.
    assert abs(fitted.history_["nll"][-1] + fitted.score(events, (0, END))) < 0.05


def test_residuals_and_samples_belong_together(fitted, events):
    """Events drawn from the process pass its own test; those of another do not."""
    drawn = fitted.sample([(0, END)] * 4, random_state=3)
    assert abs(sum(map(len, drawn)) / 4 - fitted.expected_count((0, END))) < 30
    residuals = fitted.residuals(drawn, [(0, END)] * 4)
    assert residuals.p_value > 0.01
    assert abs(residuals.gaps.mean() - 1) < 0.2
    wrong = fitted.residuals([END - times for times in drawn], [(0, END)] * 4)
    assert wrong.p_value < 1e-4
    assert np.array_equal(fitted.sample(), fitted.sample())
    assert fitted.residuals(events, (0, END)).p_value > 0.01


def test_saved_and_loaded(fitted, events, tmp_path):
    fitted.save(tmp_path)
    loaded = nd.load(tmp_path)
    assert loaded.score(events, (0, END)) == fitted.score(events, (0, END))
    t = np.linspace(0, 12, 7)  # the last ones are forecasts
    assert np.array_equal(loaded.intensity(t).high, fitted.intensity(t).high)
    assert loaded.get_params() == fitted.get_params()
    assert f"{len(events)} events" in loaded.summary_text()


def test_what_was_not_fitted_is_refused(fitted):
    with pytest.raises(DataError, match="-1 lies before 0"):
        fitted.intensity([-1.0])
    with pytest.raises(DataError, match="not finite"):
        fitted.intensity([np.nan])
    with pytest.raises(DataError, match="lies before"):
        fitted.log_likelihood([1.0], (-3, 2))
    with pytest.raises(SettingError, match="level"):
        fitted.intensity(1.0, level=95)
    with pytest.raises(DataError, match="no event in 2 window"):
        nd.PoissonProcess().fit([[], []], [(0, 1), (0, 2)])
    with pytest.raises(SettingError, match="prior_precision"):
        nd.PoissonProcess(prior_precision=0).fit([1.0], (0, 2))
    with pytest.raises(SettingError, match="hidden"):
        nd.PoissonProcess(hidden=8).fit([1.0], (0, 2))


def test_many_events_are_minibatched_dates_and_windows_are_kept():
    """Repeated windows of dates, cut into pieces of which an update sees some."""
    random = np.random.default_rng(1)
    start = np.datetime64("2024-01-01T00:00:00", "us")
    windows = [(start, start + np.timedelta64(10, "D"))] * 3
    hours = [np.sort(random.uniform(0, 240, 1500)) for _ in windows]
    dates = [start + (h * 3.6e9).astype("timedelta64[us]") for h in hours]
    process = nd.PoissonProcess(hidden=(16,), readout=(8,), steps=20, batch_size=1024)
    process.fit(dates, windows)
    assert process.num_events_ == 4500
    rate = process.intensity([np.datetime64("2024-01-05")])
    assert 100 < rate.rate[0] < 220  # 150 a day in each window
    assert rate.high[0] / rate.low[0] < 1.5
    drawn = process.sample()
    assert len(drawn) == 3
    assert drawn[0].dtype.kind == "M"
    with pytest.raises(DataError, match="give dates"):
        process.score([1.0], (0.0, 2.0))


def test_a_million_events_are_cut_into_pieces_that_tile_the_window():
    times = np.random.default_rng(2).uniform(0, END, 1_000_000)
    pieces = cut_windows(read_events(times, (0, END)), Clock(0, END))
    assert pieces.times.shape[1] == 512
    assert pieces.mask.sum() == 1_000_000
    ends = np.asarray(pieces.windows)
    assert np.array_equal(ends[1:, 0], ends[:-1, 1])
    assert (ends[0, 0], ends[-1, 1]) == (-HALF_SPAN, HALF_SPAN)
    inside = (pieces.times >= ends[:, :1]) & (pieces.times <= ends[:, 1:])
    assert inside[pieces.mask].all()


def test_one_event_is_enough():
    process = nd.PoissonProcess(hidden=(16,), readout=(8,), steps=2).fit([1.0], (0, END))
    assert 0.3 < process.expected_count((0, END)) < 3
    assert np.isfinite(process.log_likelihood([1.0, 1.0, 1.0], (0, END)))  # a coarse clock


def test_kernel_intensity_has_its_mass_in_the_window(events):
    t = np.linspace(0, END, 2001)
    width = choose_bandwidth(events, 0.0, END)
    rate = kernel_intensity(t, events, width, 0.0, END)
    assert np.trapezoid(rate, t) == pytest.approx(len(events), rel=1e-3)
    assert 0.2 < width < 2
