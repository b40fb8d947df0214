"""Event times in every form that users have them, and what is refused."""

import datetime

import numpy as np
import pytest

from neurode.data import DataError, coal_disasters, read_event_file, read_events


def test_one_window_in_any_order_with_ties():
    events = read_events([3.0, 1.0, 1.0], (0, 4))
    assert events.times[0].tolist() == [1, 1, 3]
    assert (events.count, events.exposure) == (3, 4)
    assert read_events([1.0, 5.0]).windows.tolist() == [[1, 5]]


def test_events_of_one_clock_are_shared_out():
    events = read_events([1.0, 2.0, 8.0], [(5, 9), (0, 3)])
    assert events.windows.tolist() == [[0, 3], [5, 9]]
    assert [part.tolist() for part in events.times] == [[1, 2], [8]]
    early, late = events.split(6)
    assert early.windows.tolist() == [[0, 3], [5, 6]]
    assert (early.count, late.count) == (2, 1)


def test_dates_become_days():
    days = [datetime.datetime(2024, 1, 2), datetime.datetime(2024, 1, 1)]
    events = read_events(days, ("2024-01-01", "2024-01-11"))
    assert np.diff(events.times[0]).tolist() == [1]
    assert events.exposure == 10
    assert events.calendar is not None


@pytest.mark.parametrize(
    ("events", "windows", "message"),
    [
        ([1.0, 9.0], (0, 5), "1 of 2 events lie outside .* the first at 9"),
        ([1.0], (3, 3), "has no length"),
        ([1.0], (3, 0), "has no length"),
        ([1.0], None, "1 event and no window"),
        ([], None, "0 events and no window"),
        ([np.nan, 1.0], (0, 5), "no finite time"),
        ([1.0], (0, np.inf), "give finite times"),
        ([[1.0], [2.0]], None, "say when each of them began"),
        ([[1.0], [2.0]], [(0, 5)], "2 arrays of events but 1 windows"),
        ([1.0, 4.0], [(0, 3), (5, 9)], "1 of 2 events lie in no window"),
        ([1.0], [(0, 3), (2, 9)], "the windows overlap"),
        (["a", "b"], (0, 3), "must be numbers or dates"),
        ([1.0], (0, 3, 4), "a window is"),
    ],
)
def test_what_cannot_be_is_refused(events, windows, message):
    with pytest.raises(DataError, match=message):
        read_events(events, windows)


def test_a_file(tmp_path):
    file = tmp_path / "times.csv"
    file.write_text("trial,at\na,3\nb,1\na,2\n")
    events = read_event_file(file, "at", id="trial", windows=(0, 4))
    assert [part.tolist() for part in events.times] == [[2, 3], [1]]
    with pytest.raises(DataError, match="say which one holds the times"):
        read_event_file(file)
    with pytest.raises(DataError, match="no column 'when'"):
        read_event_file(file, "when")
    file.write_text("at\n3\n\n1\nx\n")
    with pytest.raises(DataError, match="times must be numbers"):
        read_event_file(file)


def test_coal_mining_disasters():
    events = coal_disasters()
    assert events.count == 191
    [[start, end]] = events.calendar.format(events.windows).astype("datetime64[D]").astype(str)
    assert (start, end) == ("1851-03-15", "1962-03-22")
    assert np.diff(events.times[0])[:7].tolist() == [157, 123, 2, 124, 12, 4, 10]  # Jarrett 1979
    assert (np.diff(events.times[0]) == 0).sum() == 1
