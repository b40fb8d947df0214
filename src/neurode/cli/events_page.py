"""The report of `neurode fit events`: the intensity, the residuals, and how it was found."""

from pathlib import Path

import numpy as np

from neurode.cli.intensity import format_intensity
from neurode.data import Events
from neurode.demo.learning import average_history
from neurode.estimators import PoissonProcess
from neurode.report import (
    Curve,
    Page,
    Panel,
    Points,
    draw_panels,
    draw_training,
    format_number,
)
from neurode.store import saving, write_bytes

_TIMES = 257
_MOST_DOTS = 2000  # events in a picture
_YEAR = 365.25  # days


def write_intensity(path: Path, model: PoissonProcess) -> Path:
    """Write the intensity over the windows and its 95% band as CSV.

    Raises:
        SaveError: it could not be written.
    """
    times = np.linspace(model.windows_.min(), model.windows_.max(), _TIMES)
    shown = times if model.calendar_ is None else model.calendar_.format(times)
    write_bytes(path, format_intensity(model, shown).encode())
    return path


def write_events_report(out: Path, model: PoissonProcess, events: Events, *, command: str) -> Path:
    """Write report.html and its figures into the run folder.

    Args:
        out: the run folder.
        model: the fitted estimator.
        events: what it was fitted to.
        command: what was typed.

    Returns:
        The path of report.html.

    Raises:
        SaveError: it could not be written.
    """
    residuals = model.residuals(events)
    constant = np.log(events.count / events.exposure) - 1
    gain = model.score(events) - constant
    page = Page(
        f"Events of {events.source}",
        f"{events.count} events in {len(events.windows)} window(s), as a Poisson process whose "
        "intensity is read off a latent ODE.",
    )
    page.summary.facts(
        {
            "nats per event above a constant rate": format_number(gain, 3),
            "Kolmogorov-Smirnov distance of rescaled times": format_number(residuals.statistic, 3),
            "its p-value (on the fitted events)": format_number(residuals.p_value, 2),
        },
        big=True,
    )
    page.section("The intensity").figure(
        draw_panels([panel_of_intensity(model, events)], columns=1, panel_height=3.2),
        "intensity",
        "The fitted rate with its 95% band at each time (a linearised Laplace approximation), "
        "and the events.",
    )
    page.section("Residuals").text(
        "If the intensity is right, the expected number of events between two events follows an "
        "exponential distribution of mean 1, and the curve the diagonal. On the events that were "
        "fitted it does so more closely than on new ones."
    ).figure(
        draw_panels([panel_of_residuals(residuals.gaps)], columns=1, panel_height=3.0),
        "residuals",
        "Quantiles of the rescaled gaps, with the 95% band of the Kolmogorov-Smirnov test.",
    )
    curve, each = average_history(model.history_, "intensity")
    page.section("Training").figure(
        draw_training([curve], loss_label="negative log posterior (nats per event)"),
        "training",
        f"Each point is the mean of {each} steps.",
    )
    with saving(out):
        return page.write(out, command=command, seconds=model.stats_["seconds"])


def panel_of_intensity(model: PoissonProcess, events: Events) -> Panel:
    """The rate with its band over the events, in years where times are dates."""
    times = np.linspace(model.windows_.min(), model.windows_.max(), _TIMES)
    dated = model.calendar_ is not None
    found = model.intensity(model.calendar_.format(times) if model.calendar_ else times)
    unit = _YEAR if dated else 1.0
    rate, low, high = (unit * x for x in found)
    place = (lambda t: 1970 + t / _YEAR) if dated else (lambda t: t)
    shown = events.all_times
    shown = shown[:: -(-len(shown) // _MOST_DOTS)]
    return Panel(
        curves=[Curve(place(times), rate, "intensity", "model", low, high)],
        points=[Points(place(shown), np.zeros(len(shown)), "events")],
        x_label="year" if dated else "time",
        y_label="events per year" if dated else "events per unit of time",
    )


def panel_of_residuals(gaps: np.ndarray) -> Panel:
    """The distribution of rescaled gaps against the one that they should have."""
    n = len(gaps)
    found, expected = np.sort(-np.expm1(-gaps)), (np.arange(n) + 0.5) / n
    half = 1.36 / np.sqrt(n)  # of the Kolmogorov-Smirnov test at 5%, for many events
    ends = np.array([0.0, 1.0])
    return Panel(
        curves=[
            Curve(ends, ends, "expected", "baseline", ends - half, ends + half),
            Curve(expected, found, "rescaled gaps", "model"),
        ],
        x_label="expected quantile",
        y_label="found",
    )
