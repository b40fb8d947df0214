"""The part of a report of series that is about events: their rate, and how many were expected."""

from typing import Any, NamedTuple

import numpy as np

from neurode.data import Table
from neurode.estimators import Intensity, LatentODE
from neurode.estimators.collections import spell_time
from neurode.report import Curve, Page, Panel, Points

_ROWS = 12  # of the table; the others are in its last line
_MOST_DOTS = 2000  # events in a picture


class Counts(NamedTuple):
    """Events of each series in a window, those that happened and those expected.

    Attributes:
        starts: of the windows of what was learned, [n].
        splits: their ends, [n].
        ends: of what was held out, [n]; the same where nothing was.
        happened: in either window, [n, 2].
        expected: by the model, [n, 2].
        constant: by the mean rate of all that was learned, [n, 2].
    """

    starts: np.ndarray
    splits: np.ndarray
    ends: np.ndarray
    happened: np.ndarray
    expected: np.ndarray
    constant: np.ndarray

    @property
    def has_later(self) -> bool:
        """Whether anything was held out."""
        return bool((self.ends > self.splits).any())

    def facts(self) -> dict[str, str]:
        """The sums over all series, for the head of a page."""
        names = ["events, expected (happened)", "held-out events, expected (happened)"]
        sums = zip(names, self.expected.sum(axis=0), self.happened.sum(axis=0), strict=True)
        return {
            name: f"{expected:.1f} ({happened:.0f})"
            for name, expected, happened in list(sums)[: 1 + self.has_later]
        }


def count_by_series(
    model: LatentODE, learned: Table, held_out: Table | None, events: dict[str, np.ndarray]
) -> Counts:
    """Count the events of each series, and ask the model how many it expects.

    Args:
        model: the fitted estimator.
        learned: what it was fitted to.
        held_out: what it was not, or None.
        events: times of the events of each series.
    """
    parts, later = learned.split(), {} if held_out is None else held_out.split()
    starts = np.asarray(model.posterior_.starts, np.float64)
    splits = np.array([part.times[-1] for part in parts.values()])
    ends = np.array([(later.get(name) or part).times[-1] for name, part in parts.items()])
    edges = np.stack([starts, splits, ends], axis=1)
    happened = [
        np.diff(np.searchsorted(events[name], row, side="right"))
        for name, row in zip(parts, edges, strict=True)
    ]
    calendar = model.calendar_
    windows: Any = list(edges if calendar is None else map(calendar.format, edges))
    expected = np.array(model.expected_count(windows))
    lengths = np.diff(edges, axis=1)
    rate = np.sum([row[0] for row in happened]) / lengths[:, 0].sum()
    return Counts(starts, splits, ends, np.array(happened), expected, rate * lengths)


def panel_of_rate(times: np.ndarray, found: Intensity, events: np.ndarray, is_dated: bool) -> Panel:
    """The rate of events along one series, and when they happened.

    Args:
        times: [T].
        found: the intensity there, [T] or [1, T].
        events: of this series.
        is_dated: whether the times are dates, in days.
    """
    rate, low, high = (np.ravel(x) for x in found)
    shown = events[(events >= times[0]) & (events <= times[-1])]
    shown = shown[:: max(1, -(-len(shown) // _MOST_DOTS))]
    return Panel(
        title="rate of events (per day)" if is_dated else "rate of events",
        curves=[Curve(times, rate, "model", "model", low, high)],
        points=[Points(shown, np.zeros(len(shown)), "events")],
    )


def write_events(page: Page, counts: Counts, learned: Table, model: LatentODE) -> None:
    """Write the section on events: what happened against what was expected.

    Args:
        page: where to.
        counts: of each series.
        learned: what was fitted.
        model: the fitted estimator.
    """
    sides = 1 + counts.has_later
    header = ["series", "from", "to", "happened", "expected", "at a constant rate"]
    header += ["held out to", "happened", "expected", "at a constant rate"] if sides == 2 else []
    names = [name or "all" for name in learned.split()]
    rows = []
    for i, name in enumerate(names[:_ROWS]):
        times = (counts.starts[i], counts.splits[i], counts.ends[i])
        start, split, end = (spell_time(float(t), model.calendar_) for t in times)
        rows.append([name, start, split, *_cells(counts, slice(i, i + 1), 0)])
        rows[-1] += [end, *_cells(counts, slice(i, i + 1), 1)] if sides == 2 else []
    if len(names) > 1:
        rest = f"all {len(names)}"
        rows.append([rest, None, None, *_cells(counts, slice(None), 0)])
        rows[-1] += [None, *_cells(counts, slice(None), 1)] if sides == 2 else []
    page.section("Events").text(
        "The rate of events is read off the latent state that explains the values; a series is "
        "watched from its first time to its last. A constant rate, the same for all series, is "
        "what the model has to be better than where events were held out: of those it was fitted "
        "to, both have about the right number altogether."
    ).table(header, rows, digits=3)


def _cells(counts: Counts, rows: slice, side: int) -> list[Any]:
    """Happened, expected, and expected at a constant rate, summed over some series."""
    columns = (counts.happened, counts.expected, counts.constant)
    happened, expected, constant = (column[rows, side].sum() for column in columns)
    return [int(happened), float(expected), float(constant)]
