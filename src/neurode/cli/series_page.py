"""The report of `neurode fit series`: the data, reconstructions, forecasts, and the training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurode.cli.series_events import give_events
from neurode.cli.series_rates import count_by_series, panel_of_rate, write_events
from neurode.data import Table
from neurode.demo.learning import average_history
from neurode.estimators import LatentODE
from neurode.report import Curve, Page, draw_series, draw_training, format_number
from neurode.store import saving

_SERIES, _VARIABLES, _POINTS = 4, 6, 200  # drawn; a page is for looking at
_TILES = 6


def write_report(
    out: Path,
    model: LatentODE,
    learned: Table,
    held_out: Table | None,
    events: dict[str, np.ndarray] | None = None,
    *,
    command: str,
) -> Path:
    """Write report.html and its figures into the run folder.

    Args:
        out: the run folder.
        model: the fitted estimator.
        learned: what it was fitted to.
        held_out: what it was not, or None.
        events: times of the events of each series, learned or held out, or None.
        command: what was typed.

    Returns:
        The path of report.html.

    Raises:
        SaveError: it could not be written.
    """
    count = len(learned.split())
    page = Page(
        f"Series of {learned.source}",
        f"A latent ODE for {', '.join(model.names_)}, learned from {count} series with "
        f"{format_number(len(learned.times))} times.",
    )
    facts: dict[str, Any] = {"steps": model.stats_["steps"]}
    counts = None
    if events is not None:
        counts = count_by_series(model, learned, held_out, events)
        facts |= counts.facts()
    given = {} if events is None or model.events else {"events": give_events(events, learned)}
    rebuilt = model.reconstruct(learned, **given)
    learned = _take_values(learned, model.names_)
    held_out = None if held_out is None else _take_values(held_out, model.names_)
    facts |= _judge(model, rebuilt, learned, held_out)
    page.summary.facts(dict(list(facts.items())[:_TILES]), big=True)
    _write_series(page, model, learned, held_out, events)
    if counts is not None:
        write_events(page, counts, learned, model)
    curve, each = average_history(model.history_, "model")
    means = f" Means of {each} steps each." if each > 1 else ""
    also = " or event" if model.has_events_ else ""
    page.section("Training").figure(
        draw_training([curve], loss_label=f"loss (nats per observed number{also})"),
        "training",
        f"The negative evidence lower bound of scaled values, and the evaluations of f.{means}",
    )
    with saving(out):
        return page.write(out, command=command, seconds=model.stats_["seconds"])


def _take_values(table: Table, names: tuple[str, ...]) -> Table:
    """The variables alone, without the column that counts events."""
    places = [table.names.index(name) for name in names]
    return replace(table, values=table.values[:, places], names=names)


def _judge(
    model: LatentODE, rebuilt: Any, learned: Table, held_out: Table | None
) -> dict[str, str]:
    """Errors of reconstructions, and of forecasts where something was held out."""
    facts = {}
    parts = learned.split()
    pairs = [(part.values, rebuilt[name] if name else rebuilt) for name, part in parts.items()]
    gaps = np.concatenate([guess - truth for truth, guess in pairs])
    for name, error in zip(model.names_, np.sqrt(np.nanmean(gaps**2, axis=0)), strict=True):
        facts[f"rms error of {name}, reconstructed"] = format_number(error, 3)
    if held_out is not None and np.isfinite(held_out.values).any():
        later = held_out.split()
        inside, misses = [], []
        for name, part in later.items():
            found = model.forecast(_dates(model, part.times), ids=[name] if name else None)
            mean, low, high = (
                x if x.ndim == 2 else x[0] for x in (found.mean, found.low, found.high)
            )
            known = np.isfinite(part.values)
            inside.append(((part.values >= low) & (part.values <= high))[known])
            misses.append(mean - part.values)
        errors = np.sqrt(np.nanmean(np.concatenate(misses) ** 2, axis=0))
        for name, error in zip(model.names_, errors, strict=True):
            facts[f"rms error of {name}, forecast"] = format_number(error, 3)
        covered = np.concatenate(inside)
        facts["held-out values inside the 95% interval"] = f"{100 * covered.mean():.0f}%"
    return facts


def _write_series(
    page: Page,
    model: LatentODE,
    learned: Table,
    held_out: Table | None,
    events: dict[str, np.ndarray] | None,
) -> None:
    section = page.section("Reconstructions" if held_out is None else "Forecasts")
    later = {} if held_out is None else held_out.split()
    d = min(len(learned.names), _VARIABLES)
    parts = learned.split()
    for i, (name, part) in enumerate(list(parts.items())[:_SERIES]):
        shown = [part] + ([later[name]] if name in later else [])
        last = shown[-1].times[-1]
        start = model.posterior_.starts[0 if not name else list(parts).index(name)]
        dense = np.linspace(start, last if len(shown) > 1 else part.times[-1], _POINTS)
        ids = [name] if name else None
        found = model.forecast(_dates(model, dense), ids=ids)
        mean, low, high = (
            (x if x.ndim == 2 else x[0])[:, :d] for x in (found.mean, found.low, found.high)
        )
        below = None
        if events is not None:
            rates = model.intensity(_dates(model, dense), ids=ids)
            below = panel_of_rate(dense, rates, events[name], model.calendar_ is not None)
        figure = draw_series(
            np.concatenate([each.times for each in shown]),
            np.concatenate([each.values[:, :d] for each in shown]),
            names=learned.names[:d],
            curves=[Curve(dense, mean, "model", "model", low, high)],
            split=float(part.times[-1]) if len(shown) > 1 else None,
            time_label=learned.time_name + (" (days since 1970)" if model.calendar_ else ""),
            below=below,
        )
        caption = f"Series {name}. " if name else ""
        section.figure(figure, f"series-{i + 1}", f"{caption}{_explain_bands(below is not None)}")
    if len(parts) > _SERIES:
        section.text(f"Not drawn: {len(parts) - _SERIES} more series.")


def _explain_bands(has_rate: bool) -> str:
    if not has_rate:
        return "The band is the 95% interval."
    return (
        "The band is the 95% interval of values; that of the rate holds 95% of the paths that the "
        "series leaves open."
    )


def _dates(model: LatentODE, times: np.ndarray) -> np.ndarray:
    return times if model.calendar_ is None else model.calendar_.format(times)
