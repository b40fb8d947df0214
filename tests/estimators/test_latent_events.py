"""`LatentODE` with events: values and event times explained by one latent state."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import neurode as nd
from neurode.data import DataError
from neurode.estimators import SettingError
from neurode.estimators.latent_events import mean_rate, read_eventful
from neurode.estimators.latent_states import cut_all
from neurode.estimators.predictive import restore

END = 4.0
SMALL = {"encoder_units": 8, "hidden": (12,), "decoder_hidden": (12,), "progress": False}


def rate(t, phase):
    """Events come where the signal is high."""
    return 2.5 * np.exp(1.6 * np.sin(1.5 * t + phase))


def make_data(n, seed):
    """Sines of random phases at irregular times, and the events that they drive."""
    rng = np.random.default_rng(seed)
    phases = rng.uniform(0, 2 * np.pi, n)
    series, events = [], []
    for phase in phases:
        t = np.r_[0, np.sort(rng.uniform(0, END, 12)), END]
        series.append((t, np.sin(1.5 * t + phase) + 0.05 * rng.normal(size=14)))
        most = rate(np.pi / 3, 0)
        times = rng.uniform(0, END, rng.poisson(most * END))
        events.append(times[rng.uniform(0, most, len(times)) < rate(times, phase)])
    return series, events, phases


@pytest.fixture(scope="module")
def data():
    return make_data(24, 0)


@pytest.fixture(scope="module")
def fitted(data):
    series, events, _ = data
    model = nd.LatentODE(**SMALL, latent=3, steps=250, learning_rate=3e-2, curriculum=0.3)
    return model.fit(series, events=events, columns=["y"])


TS = np.linspace(0, END, 41)
FEW = {"samples": 4}


def test_the_joint_fit_finds_the_rate_that_the_state_drives(fitted, data):
    _, events, phases = data
    constant = np.mean([len(times) for times in events]) / END
    found = fitted.intensity(TS, **FEW)
    assert found.rate.shape == found.low.shape == (24, 41)
    assert (found.low <= found.rate).all()
    # And of series it has not seen, told the values and the events.
    fresh, happened, others = make_data(24, 1)
    told = fitted.intensity(TS, fresh, events=happened, **FEW)
    for rates, drawn in ((found.rate, phases), (told.rate, others)):
        truth = rate(TS, drawn[:, None])
        assert np.abs(rates - truth).mean() < 0.7 * np.abs(constant - truth).mean()
    counts = fitted.expected_count((0, END), ids=[0, 5], **FEW)
    np.testing.assert_allclose(counts, np.trapezoid(found.rate[[0, 5]], TS), rtol=0.01)
    parts = fitted.expected_count((0, 1, END), ids=[0, 5], **FEW)
    np.testing.assert_allclose(parts.sum(axis=1), counts, rtol=1e-3)


def test_the_score_is_per_number_and_event_in_the_users_units(fitted, data):
    series, events, _ = data
    count = sum(map(len, events))
    bounds = fitted.score_samples(series, events=events, **FEW)
    numbers = sum(len(t) for t, _ in series)
    total = fitted.score(series, events=events, **FEW)
    assert total == pytest.approx(bounds.sum() / (numbers + count), rel=1e-6)
    # The state explains the events: they are likelier where they happened than elsewhere.
    moved = [END - times for times in events]
    assert bounds.sum() > fitted.score_samples(series, events=moved, **FEW).sum() + 100
    # In twice the unit of time each event's density is half as high, and nothing else moves.
    slow = copy_of(fitted)
    slow.scaling_ = replace(fitted.scaling_, span=2 * fitted.scaling_.span)
    doubled = [(2 * t, y) for t, y in series]
    after = slow.score_samples(doubled, events=[2 * times for times in events], **FEW)
    lost = [np.log(2) * len(times) for times in events]
    np.testing.assert_allclose(bounds - after, lost, rtol=1e-3, atol=0.02)


def test_values_come_back_at_the_rows_that_were_given(fitted, data):
    pairs, events = data[0][:2], data[1][:2]
    collection = read_eventful(pairs, None, events, None)
    rows = [collection.rows(i)[1] for i in range(2)]
    for found, (_, y) in zip(restore(rows, collection), pairs, strict=True):
        np.testing.assert_array_equal(found[:, 0], y)
    later = fitted.forecast([5.0, 6.0], ids=[0, 1], **FEW)
    assert later.mean.shape == (2, 2, 1)


def test_saved_and_loaded(fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = nd.load(tmp_path)
    rates = [model.intensity([1.0, 5.0], ids=[2, 3], **FEW).rate for model in (loaded, fitted)]
    assert np.array_equal(*rates)
    assert "or event" in loaded.summary_text()


def copy_of(fitted, **settings):
    """The same fitted model, with other settings."""
    other = nd.LatentODE(**fitted.get_params() | settings)
    for name, value in vars(fitted).items():
        if name.endswith("_"):
            setattr(other, name, value)
    return other


def test_long_series_are_watched_without_a_gap(fitted, data):
    """Stretches of rows that hand over at once: the events of all, and the whole exposure."""
    collection = read_eventful([data[0][0]], None, [data[1][0]], None)
    owners, crops = cut_all(copy_of(fitted, max_length=8)._fitted(), collection)
    assert len(owners) == -(-len(collection.series.ts[0]) // 8)
    assert np.asarray(crops.counts).sum() == len(data[1][0])
    ends = np.asarray(crops.ts[:, -1]) * fitted.scaling_.span
    assert ends.sum() == pytest.approx(END, rel=1e-5)
    assert np.asarray(crops.scored).sum() == 14


def test_every_form_of_events_is_read_alike():
    times, values = [0.0, 1.0, 2.0, 3.0], [1.0, np.nan, 3.0, 2.0]
    pairs = [(times, values), (times[:3], values[:3])]
    listed = read_eventful(pairs, None, [[2.5, 0.5, 2.5], []], None)
    assert np.asarray(listed.series.ts[0]).tolist() == [0, 0.5, 1, 2, 2.5, 3]
    assert listed.counts.tolist() == [[0, 1, 0, 0, 2, 0], [0, 0, 0, 0, 0, 0]]
    assert listed.given[0].tolist() == [True, False, True, True, False, True]
    assert listed.given[1].tolist() == [True] * 3 + [False] * 3
    assert mean_rate(listed) == pytest.approx(3 / 5)

    frame = pd.DataFrame({"who": list("aaaabbb"), "t": times + times[:3], "y": values + values[:3]})
    happened = pd.DataFrame({"who": ["a", "a", "a"], "t": [2.5, 0.5, 2.5]})
    form = {"id": "who", "time": "t"}
    for events in (happened, {"a": [2.5, 0.5, 2.5]}):
        found = read_eventful(frame, None, events, None, **form)
        assert np.array_equal(found.counts, listed.counts)

    # A column that counts, of which nothing is not one.
    frame["n"] = [0, 1, np.nan, 2, 1, 0, 0]
    found = read_eventful(frame, None, None, "n", columns=["y"], **form)
    assert found.series.names == ("y",)
    assert found.counts.tolist() == [[0, 1, 0, 2], [1, 0, 0, 0]]
    assert mean_rate(found) == pytest.approx(3 / 5)  # the first time of a series is not counted

    dated = frame.assign(t=pd.Timestamp("2024-03-01") + pd.to_timedelta(frame["t"], unit="D"))
    events = {"a": ["2024-03-03T12:00"]}
    found = read_eventful(dated, None, events, None, columns=["y"], **form)
    assert found.counts[0].tolist() == [0, 0, 0, 1, 0]

    single = read_eventful(np.array(times), np.array(values), [0.5], None)
    assert single.counts.tolist() == [[0, 1, 0, 0, 0]]
    everywhere = read_eventful(pairs, None, None, "times")
    assert everywhere.counts.tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert mean_rate(everywhere) == pytest.approx(1)


def test_the_times_themselves_may_be_the_events():
    _, events, _ = make_data(3, 2)
    told = [(np.sort(t)[:4], np.sin(np.sort(t)[:4])) for t in events]
    model = nd.LatentODE(**SMALL, steps=1, events="times", curriculum=0).fit(told)
    expected = mean_rate(read_eventful(told, None, None, "times")) * model.scaling_.span
    assert model.model_.rate.scale == pytest.approx(expected)
    assert (model.expected_count((4, 5), **FEW) > 0).all()


PAIRS = [([0.0, 1.0, 2.0], [1.0, 2.0, 3.0])] * 2


@pytest.mark.parametrize(
    ("settings", "events", "message"),
    [
        ({}, [[0.5], [2.5]], "events of series 1: 1 of 1 lie outside the series, which is watched"),
        ({}, [[-1.0, 0.5], []], "from 0 to 2, the first at -1"),
        ({}, [[np.nan], []], "events of series 0: number 0 is no finite time"),
        ({}, [[], []], "no event in 2 series"),
        ({}, [[0.0], []], "no event in 2 series"),
        ({}, [[0.5]], "1 arrays of events for 2 series"),
        ({}, {"a": [0.5]}, "there is no such series"),
        ({}, [["2024-01-01"], []], "are dates, but the times of the series are numbers"),
        ({}, [["x"], []], "must be numbers"),
        ({"events": "times"}, [[0.5], []], "leave out one of the two"),
        ({"events": "flag"}, None, "events='flag' is no column"),
        ({"events": "y0"}, None, "a PoissonProcess learns from events alone"),
        ({"events": ["t"]}, None, "events must be 'times'"),
    ],
)
def test_events_that_cannot_be(settings, events, message):
    model = nd.LatentODE(**SMALL, **settings)
    with pytest.raises((DataError, SettingError), match=message):
        model.fit(PAIRS, events=events)


def test_counts_that_are_none():
    pairs = [([0.0, 1.0, 2.0], np.array([[1.0, 0], [2.0, 0.5], [3.0, 0]]))]
    with pytest.raises(DataError, match=r"column 'n', time 1: 0.5 is no number of events"):
        nd.LatentODE(events="n").fit(pairs, columns=["y", "n"])


def test_a_model_with_events_wants_them(fitted, data):
    series, events, _ = data
    with pytest.raises(DataError, match="fitted with events: give those"):
        fitted.score(series)
    with pytest.raises(DataError, match="lies before"):
        fitted.intensity([-1.0])
    with pytest.raises(DataError, match="a window is"):
        fitted.expected_count([1.0])
