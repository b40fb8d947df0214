"""What `LatentODE` says about data, times and settings that cannot be: one line, with the place."""

import numpy as np
import pandas as pd
import pytest

import neurode as nd
from neurode.data import DataError
from neurode.estimators import SettingError

T, Y = np.arange(4.0), np.arange(4.0) ** 2
QUICK = {"steps": 2, "progress": False, "batch_size": None, "encoder_units": 4, "hidden": (4,)}
FRAME = pd.DataFrame(
    {"who": ["a"] * 3 + ["b"] * 3, "t": [0, 1, 2] * 2, "x": range(6), "z": range(6)}, dtype=object
)


def change(row, column, value):
    frame = FRAME.copy()
    frame.loc[row, column] = value
    return frame


BAD_DATA = {
    "no series": ([], {}, "the list is empty"),
    "empty series": ([(T, Y), ([], [])], {}, "series 1 is empty; leave it out"),
    "unsorted": ([(T, Y), (T[::-1], Y)], {}, "series 1: time 1 is 2 after 3; sort the rows"),
    "duplicate": ([([0, 1, 1], [1, 2, 3])], {}, "series 0: .*keep one row per time"),
    "nothing seen": ([(T, Y), (T, np.full(4, np.nan))], {}, "series 1 has no observed value"),
    "column": ([(T, np.stack([Y, np.full(4, np.nan)], 1))], {}, "'y1' is never observed"),
    "infinite": ([(T, [0, 1, np.inf, 2])], {}, "series 0: value inf at row 2"),
    "widths": ([(T, Y), (T, np.ones((4, 2)))], {}, "series 1 has 2 variables, the first one has 1"),
    "no values": (T, {}, "the values are missing"),
    "frame, no time": (FRAME, {}, "name its column of times"),
    "frame, wrong name": (FRAME, {"time": "tt"}, "no column 'tt'.*did you mean 't'"),
    "frame, text": (
        change(4, "z", "high"),
        {"time": "t", "id": "who"},
        "row 4, column 'z': 'high'",
    ),
    "frame, unsorted": (change(5, "t", 0.5), {"time": "t", "id": "who"}, "row 5, .*'b'.* sort"),
    "frame, twice": (change(5, "t", 1), {"time": "t", "id": "who"}, "row 5, .*'b' stands already"),
    "frame, one date": (
        change(2, "t", "2024-13-45"),
        {"time": "t", "id": "who"},
        "row 2, column 't'",
    ),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data(name):
    data, form, words = BAD_DATA[name]
    with pytest.raises(DataError, match=words) as caught:
        nd.LatentODE(**QUICK).fit(data, **form)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def fitted():
    return nd.LatentODE(**QUICK).fit(
        FRAME.astype({"t": float, "x": float, "z": float}), id="who", time="t"
    )


BAD_TIMES = {
    "before": ([-1.0, 1.0], "series 'a': time -1 lies before 0"),
    "unsorted": ([3.0, 2.0], "2 comes after 3: sort them"),
    "nan": ([np.nan], "time 0 is nan"),
    "text": (["soon"], "must be numbers or dates"),
    "dates": (["2024-01-01"], "give numbers"),
    "unknown": ({"a": [3.0], "c": [3.0]}, "no series 'c'; there are 'a', 'b'"),
    "missing": ({"a": [3.0]}, "missing for the series 'b'"),
}


@pytest.mark.parametrize("name", BAD_TIMES)
def test_bad_times(name, fitted):
    times, words = BAD_TIMES[name]
    with pytest.raises(DataError, match=words):
        fitted.forecast(times)


@pytest.mark.parametrize("times", [[-1.0, 0.0], [1.0, 0.5], [np.nan]])
def test_new_series_begin_at_0(times, fitted):
    with pytest.raises(DataError, match="times must increase from at least 0"):
        fitted.sample(2, times)


def test_unknown_ids_and_other_variables(fitted):
    with pytest.raises(DataError, match="no series 'q'; there are 'a', 'b'"):
        fitted.forecast([5.0], ids=["a", "q"])
    with pytest.raises(DataError, match=r"1 variables.*fitted with 2 \(x, z\)"):
        fitted.encode(FRAME[["who", "t", "x"]], columns=["x"])


def test_a_series_with_one_observation_is_one(fitted):
    one = [(np.array([3.0]), np.array([[1.0, 2.0]]))]
    found = fitted.forecast([4.0], one, samples=3)
    assert np.isfinite(found.mean).all()
    model = nd.LatentODE(**QUICK).fit([(T, Y), (T[:1], Y[:1])])
    assert np.isfinite(model.reconstruct([(T[:1], Y[:1])])[0]).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"encoder": "lstm"}, "encoder must be one of 'rnn', 'gru', 'ode-rnn', got 'lstm'"),
        ({"likelihood": "normal"}, "likelihood must be one of"),
        ({"noise": -1}, "noise must be a standard deviation above 0"),
        ({"noise": 1, "likelihood": "poisson"}, "noise is of likelihood='gaussian'"),
        ({"latent": 0}, "latent must be a whole number of at least 1"),
        ({"shortest": 2}, "shortest is a share, at most 1"),
        ({"hidden": 20}, "hidden must be a tuple"),
        ({"solver": nd.Euler()}, "no error estimate"),
        ({"field": np.sin}, "equinox.Module"),
    ],
)
def test_bad_settings(settings, words):
    with pytest.raises(SettingError, match=words):
        nd.LatentODE(**QUICK | settings).fit([(T, Y)])
