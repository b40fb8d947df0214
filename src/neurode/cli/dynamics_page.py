"""The report of `neurode fit dynamics`: the data, the fit, the forecast, and how it was found."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from neurode.data import Table
from neurode.demo.forecasts import LAST, MEAN, measure_errors, spell_losers, spell_verdict
from neurode.demo.learning import average_history
from neurode.estimators import NeuralODE
from neurode.estimators.settings import MATCHING
from neurode.report import (
    Curve,
    Page,
    Portrait,
    draw_errors,
    draw_phase,
    draw_series,
    draw_training,
    format_number,
)
from neurode.store import saving

MODEL = "model"
_SERIES, _VARIABLES = 4, 6  # drawn; a page is for looking at
_CURVE_POINTS = 400


class _Series(NamedTuple):
    """One series as it is drawn: what was learned, what was held out, and the model's curve."""

    label: str
    learned: Table
    held_out: Table | None
    times: np.ndarray
    curve: np.ndarray

    def at(self, table: Table) -> np.ndarray:
        """The model's values at the times of a table, [m, d]."""
        return self.curve[np.searchsorted(self.times, table.times)]


def write_report(
    out: Path, model: NeuralODE, learned: Table, held_out: Table | None, *, command: str
) -> Path:
    """Write report.html and its figures into the run folder.

    Args:
        out: the run folder.
        model: the fitted estimator.
        learned: what it was fitted to.
        held_out: what it was not, or None.
        command: what was typed.

    Returns:
        The path of report.html.

    Raises:
        SaveError: it could not be written.
    """
    shown = _follow(model, learned, held_out)
    page = Page(
        f"Dynamics of {learned.source}",
        f"{'A network' if model.estimates_ is None else 'An ODE'} for "
        f"{', '.join(learned.names)}, learned from {_spell_size(learned)}.",
    )
    _write_summary(page, model, shown)
    if held_out is not None and np.isfinite(held_out.values).any():
        _write_forecast(page, learned, held_out, shown)
    _write_fits(page, learned, shown)
    if model.estimates_ is not None:
        _write_parameters(page, model)
    if len(learned.names) == 2:
        _write_phase(page, learned, shown)
    if len(model.history_["step"]) > 1:  # matching keeps no record of its search
        _write_training(page, model)
    with saving(out):
        return page.write(out, command=command, seconds=model.stats_["seconds"])


def _follow(model: NeuralODE, learned: Table, held_out: Table | None) -> list[_Series]:
    """Each series with the model's curve through all its times, in one prediction."""
    series, later = learned.split(), {} if held_out is None else held_out.split()
    times = []
    for label, part in series.items():
        observed = (
            np.concatenate([part.times, later[label].times]) if label in later else part.times
        )
        dense = np.linspace(observed[0], observed[-1], _CURVE_POINTS)
        times.append(np.union1d(dense, observed))
    curves = [np.asarray(curve) for curve in model.predict(times)]
    return [
        _Series(label, part, later.get(label), t, curve)
        for (label, part), t, curve in zip(series.items(), times, curves, strict=True)
    ]


def _write_summary(page: Page, model: NeuralODE, shown: list[_Series]) -> None:
    truth = np.concatenate([series.learned.values for series in shown])
    fitted = np.concatenate([series.at(series.learned) for series in shown])
    errors = measure_errors(fitted, truth)
    facts = {
        f"rms error of {n}, fitted": format_number(e, 3)
        for n, e in zip(model.names_, errors, strict=False)
    }
    page.summary.facts(
        dict(list(facts.items())[:_VARIABLES]) | {"steps": model.stats_["steps"]}, big=True
    )
    if not model.stats_["converged"]:
        page.summary.note("The search for the parameters had not converged.", "warning")


def _write_forecast(page: Page, learned: Table, held_out: Table, shown: list[_Series]) -> None:
    """Errors on the times held out, against the last value seen and the mean of what was seen."""
    forecasts: dict[str, list[np.ndarray]] = {MODEL: [], LAST: [], MEAN: []}
    truth = []
    for series in shown:
        if series.held_out is not None:
            past, count = series.learned.values, len(series.held_out.times)
            truth.append(series.held_out.values)
            forecasts[MODEL].append(series.at(series.held_out))
            forecasts[LAST].append(np.tile(_last_values(past), (count, 1)))
            forecasts[MEAN].append(np.tile(_means(past), (count, 1)))
    errors = {
        name: measure_errors(np.concatenate(made), np.concatenate(truth))
        for name, made in forecasts.items()
    }
    groups = [*learned.names, "all"][: 1 if len(learned.names) == 1 else None]
    naive = {name: errors[name] for name in (LAST, MEAN)}
    verdict = spell_verdict(
        {f"the {MODEL}": float(errors[MODEL][-1])}, {n: float(e[-1]) for n, e in naive.items()}
    )
    losers = spell_losers({f"the {MODEL}": errors[MODEL]}, naive, learned.names)
    section = page.section("Forecast of what was held out")
    section.text(
        f"{_spell_size(held_out)} after {learned.time_name} {learned.times.max():g} were held out. "
        f"{verdict} {losers}"
    )
    if len(groups) <= _VARIABLES:
        section.figure(
            draw_errors(
                list(errors),
                np.array([error[: len(groups)] for error in errors.values()]),
                groups=groups,
                roles=["model", "baseline", "baseline"],
                error_label="error",
            ),
            "forecast-errors",
            "Root mean square errors on the times held out; the smallest is in bold.",
        )
    section.table(
        ["forecast", *groups],
        [[name, *error[: len(groups)]] for name, error in errors.items()],
        caption="Root mean square errors",
        best={group: "min" for group in groups},
        digits=3,
    )


def _write_fits(page: Page, learned: Table, shown: list[_Series]) -> None:
    any_later = any(series.held_out is not None for series in shown)
    section = page.section("Fits and forecasts" if any_later else "Fit")
    d = min(len(learned.names), _VARIABLES)
    for i, series in enumerate(shown[:_SERIES]):
        parts = [series.learned] + ([series.held_out] if series.held_out else [])
        figure = draw_series(
            np.concatenate([part.times for part in parts]),
            np.concatenate([part.values[:, :d] for part in parts]),
            names=learned.names[:d],
            curves=[Curve(series.times, series.curve[:, :d], MODEL)],
            split=float(series.learned.times[-1]) if series.held_out else None,
            time_label=learned.time_name,
        )
        caption = f"Series {series.label}." if series.label else "The data and the model."
        section.figure(figure, f"fit-{i + 1}" if series.label else "fit", caption)
    more = {"series": len(shown) - _SERIES, "variables": len(learned.names) - d}
    left_out = [f"{count} more {what}" for what, count in more.items() if count > 0]
    if left_out:
        section.text(f"Not drawn: {' and '.join(left_out)}.")


def _write_parameters(page: Page, model: NeuralODE) -> None:
    estimates = model.estimates_
    assert estimates is not None
    rows = [
        [f"`{name}`", value, error, *interval]
        for name, value, error, interval in estimates.columns()
    ]
    section = page.section("Parameters").table(
        ["", "estimate", "standard error", "95% from", "to"], rows
    )
    errors = (
        "carry the noise of the observations through the smoothing spline, and know nothing of the "
        "spline's own error"
        if model.method in MATCHING
        else "come from the Fisher information with exact sensitivities; they take the equations "
        "to be true and the noise to be Gaussian"
    )
    section.text(
        f"{estimates.num_observations} observations, {estimates.num_unknowns} unknowns (initial "
        f"states included). Standard errors {errors}."
    )
    for problem in estimates.problems:
        section.note(problem, "warning")


def _write_phase(page: Page, learned: Table, shown: list[_Series]) -> None:
    portraits = [
        Portrait(
            f"series {series.label}" if series.label else "",
            curves=[Curve(series.curve[:, 0], series.curve[:, 1], MODEL)],
            data=series.learned.values,
            heldout=None if series.held_out is None else series.held_out.values,
        )
        for series in shown[:_SERIES]
    ]
    first, second = learned.names
    page.section("Phase portrait").figure(
        draw_phase(portraits, names=(first, second)),
        "phase-portrait",
        "One variable against the other; the ring is where the fitted curve begins.",
    )


def _write_training(page: Page, model: NeuralODE) -> None:
    curve, each = average_history(model.history_, MODEL)
    means = f" Means of {each} steps each." if each > 1 else ""
    page.section("Training").figure(
        draw_training([curve]),
        "training",
        "Left: the mean square error, in units of the variables' variance. Right: evaluations of "
        f"the vector field per trajectory.{means}",
    )


def _last_values(values: np.ndarray) -> np.ndarray:
    """The last observation of each variable, NaN where there is none."""
    last = [column[np.isfinite(column)][-1:] for column in values.T]
    return np.array([found[0] if len(found) else np.nan for found in last])


def _means(values: np.ndarray) -> np.ndarray:
    means = [column[np.isfinite(column)] for column in values.T]
    return np.array([found.mean() if len(found) else np.nan for found in means])


def _spell_size(table: Table) -> str:
    count = len(table.split())
    of = f" of {count} series" if count > 1 else ""
    return f"{len(table.times)} times{of}"
