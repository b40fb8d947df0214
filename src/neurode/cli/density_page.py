"""The report of `neurode fit density`: the data, samples, the density, and how it was found."""

from pathlib import Path

import numpy as np

from neurode.data import Rows
from neurode.demo.learning import average_history
from neurode.estimators import ContinuousFlow
from neurode.report import (
    Curve,
    DensityMap,
    Frame,
    Page,
    Panel,
    draw_frames,
    draw_panels,
    draw_training,
    format_number,
)
from neurode.store import saving

_PIXELS = 90
_DRAWN = 2000  # rows and samples in a picture


def write_density_report(
    out: Path,
    model: ContinuousFlow,
    learned: Rows,
    held_out: Rows | None,
    *,
    names: list[str],
    context: list[str],
    command: str,
) -> Path:
    """Write report.html and its figures into the run folder.

    Args:
        out: the run folder.
        model: the fitted estimator.
        learned: what it was fitted to.
        held_out: what it was not, or None.
        names: the columns of the density.
        context: the columns it is conditioned on.
        command: what was typed.

    Returns:
        The path of report.html.

    Raises:
        SaveError: it could not be written.
    """
    given = f" given {', '.join(context)}" if context else ""
    page = Page(
        f"Density of {learned.source}",
        f"A continuous normalizing flow for {', '.join(names)}{given}, learned from "
        f"{len(learned.values)} rows.",
    )
    facts = {
        "iterations skipped": model.stats_["skipped"],
        "there and back, standard deviations": f"{model.round_trip_error_:.1e}",
    }
    for label, part in (("held-out", held_out), ("training", learned)):
        if part is not None:
            rows = part.select(context) if context else None
            score = model.score(part.select(names), context=rows)
            facts = {f"nats per {label} row": format_number(score, 4), **facts}
    page.summary.facts(facts, big=True)
    _write_picture(page, model, learned, names, context)
    curve, each = average_history(model.history_, "flow")
    page.section("Training").figure(
        draw_training([curve], loss_label="negative log-likelihood (nats per row)"),
        "training",
        f"Each point is the mean of {each} steps.",
    )
    with saving(out):
        return page.write(out, command=command, seconds=model.stats_["seconds"])


def _write_picture(
    page: Page, model: ContinuousFlow, learned: Rows, names: list[str], context: list[str]
) -> None:
    x = learned.select(names)[:_DRAWN]
    given = learned.select(context)[: len(x)] if context else None
    samples = model.sample(len(x), context=given, random_state=0)
    section = page.section("Data and samples")
    if len(names) == 1:
        section.figure(_draw_line(model, x, samples, names[0], given), "density", "The density.")
        return
    data, drawn = Frame(points=x[:, :2]), Frame(points=samples[:, :2], role="model")
    frames, titles = [data, drawn], ["data", "samples"]
    if len(names) == 2 and given is None:
        frames = [Frame(_map_density(model, x), points=x), drawn]
        titles = ["density and data", "samples"]
    low, high = x[:, :2].min(axis=0), x[:, :2].max(axis=0)
    margin = 0.1 * (high - low)
    limits = tuple(np.stack([low - margin, high + margin]).T.ravel())
    section.figure(
        draw_frames([frames], titles=titles, names=(names[0], names[1]), limits=limits),
        "density",
        f"{names[0]} and {names[1]}: what was given, and as many samples of the flow"
        + (" for the same context." if given is not None else "."),
    )


def _map_density(model: ContinuousFlow, x: np.ndarray) -> DensityMap:
    low, high = x.min(axis=0), x.max(axis=0)
    margin = 0.1 * (high - low)
    sides = [np.linspace(a, b, _PIXELS) for a, b in zip(low - margin, high + margin, strict=True)]
    grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    grid = np.where(model.columns_.discrete, np.round(grid), grid)
    values = np.exp(model.score_samples(grid)).reshape(_PIXELS, _PIXELS)
    return DensityMap(*sides, values)  # pyright: ignore[reportCallIssue]


def _draw_line(model, x, samples, name, given):
    counts, edges = np.histogram(x, bins=40, density=True)
    middles = (edges[1:] + edges[:-1]) / 2
    curves = [Curve(middles, counts, "data", "data")]
    if given is None:
        grid = np.linspace(edges[0], edges[-1], 300)
        grid = np.unique(np.round(grid)) if model.columns_.discrete.any() else grid
        curves.append(Curve(grid, np.exp(model.score_samples(grid[:, None])), "density"))
    else:
        drawn = np.histogram(samples, bins=edges, density=True)[0]
        curves.append(Curve(middles, drawn, "samples"))
    return draw_panels([Panel("density", curves, x_label=name)], columns=1)
