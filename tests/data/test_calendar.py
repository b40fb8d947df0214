"""Dates become numbers and dates again, whatever they were written as."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from neurode.data import Calendar, DataError, mauna_loa_co2, table_from_frame
from neurode.data.calendar import is_dates, read_dates

PLAIN = [
    ["1970-01-02", "2024-03-01T12:00"],
    [dt.datetime(1970, 1, 2), dt.datetime(2024, 3, 1, 12)],
    np.array(["1970-01-02", "2024-03-01T12:00"], "datetime64[s]"),
    pd.Series(pd.to_datetime(["1970-01-02 00:00", "2024-03-01 12:00"])),
]


@pytest.mark.parametrize("dates", PLAIN, ids=["text", "datetime", "numpy", "pandas"])
def test_without_a_zone(dates):
    assert is_dates(dates)
    numbers, calendar = read_dates(dates, "times")
    np.testing.assert_allclose(numbers, [1, 19783.5])
    assert calendar == Calendar(None)
    assert calendar.format(numbers).astype("datetime64[m]").tolist() == PLAIN[1]


def test_with_a_zone():
    summer = pd.date_range("2024-03-30 12:00", periods=3, freq="D", tz="Europe/Berlin")
    numbers, calendar = read_dates(summer, "times")
    assert calendar.zone == "Europe/Berlin"
    np.testing.assert_allclose(np.diff(numbers), [23 / 24, 1])  # the night the clocks change
    assert [str(x) for x in calendar.format(numbers)] == [str(x) for x in summer]
    texts = ["2024-03-30T12:00+02:00", "2024-03-31T12:00+02:00"]
    numbers, calendar = read_dates(texts, "times")
    assert [x.isoformat(timespec="minutes") for x in calendar.format(numbers)] == texts


def test_microseconds_survive():
    stamps = np.array(["1958-03-29T01:02:03.000004", "2262-01-01"], "datetime64[us]")
    np.testing.assert_array_equal(Calendar().format(read_dates(stamps, "times")[0]), stamps)


def test_what_is_refused():
    with pytest.raises(DataError, match="times, row 1: 'soon' is not a date"):
        read_dates(["2024-01-01", "soon"], "times")
    with pytest.raises(DataError, match="row 0 has a time zone and row 1 has none"):
        read_dates(["2024-01-01T00:00Z", "2024-01-01"], "times")
    with pytest.raises(DataError, match="no time zone, those that were learned from have one"):
        Calendar("UTC").parse(["2024-01-01"])
    assert not is_dates([1, 2])
    assert not is_dates(["3.5"])


def test_a_frame_with_dates():
    frame = pd.DataFrame({"when": pd.to_datetime(["2024-01-01", "2024-01-03"]), "x": [1, 2]})
    table = table_from_frame(frame, "when", dates=True)
    assert table.times.tolist() == [19723, 19725]
    assert table.calendar == Calendar(None)
    with pytest.raises(DataError, match="when"):
        table_from_frame(frame, "when")


def test_carbon_dioxide_is_the_published_series():
    table = mauna_loa_co2()
    assert table.values.shape == (2284, 1)
    assert np.isnan(table.values).sum() == 59
    assert table.values[0, 0] == 316.1
    assert table.values[-1, 0] == 371.5
    assert str(table.calendar.format(table.times[:1])[0])[:10] == "1958-03-29"
