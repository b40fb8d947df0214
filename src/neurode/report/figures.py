"""Arrays to pictures: each function draws one kind of figure and returns it."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np

from neurode.report.marks import Curve, LearningCurve, Panel, Portrait
from neurode.report.strokes import (
    add_legend,
    as_columns,
    draw_curve,
    draw_data,
    draw_error_bars,
    draw_evaluations,
    draw_field,
    draw_points,
    draw_states,
    label_bars,
    label_between_decades,
    limit_values,
    set_whole_ticks,
    shade_forecast,
    start,
    with_unit,
)
from neurode.report.style import COLOURS, INK, LINES, MUTED, WIDTH, apply_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_P = ParamSpec("_P")


def _styled(draw: "Callable[_P, Figure]") -> "Callable[_P, Figure]":
    @functools.wraps(draw)
    def draw_styled(*args: _P.args, **kwargs: _P.kwargs) -> "Figure":
        with apply_style():
            return draw(*args, **kwargs)

    return draw_styled


@_styled
def draw_series(
    times: Any,
    values: Any,
    *,
    names: Sequence[str],
    curves: Sequence[Curve] = (),
    split: float | None = None,
    time_label: str = "time",
    unit: str = "",
) -> "Figure":
    """Draw observed series, one panel per variable, with fits and forecasts.

    Args:
        times: [n].
        values: [n, d] (or [n]), NaN where nothing was observed.
        names: the d variables.
        curves: models and baselines, `y` [m, d]; a band is drawn where `low` and `high` are.
        split: end of the training data. What comes later is shaded; data there are hollow.
        time_label: name and unit of the time axis.
        unit: unit of the values.

    Raises:
        ValueError: shapes disagree.
    """
    times, values = np.asarray(times, float), np.asarray(values, float)
    values = values[:, None] if values.ndim == 1 else values
    d = len(names)
    if values.shape != (len(times), d):
        raise ValueError(f"values have shape {values.shape}; expected {(len(times), d)}")
    curves = [as_columns(curve, d) for curve in curves]
    figure, axes = start(d, 1, WIDTH, 0.75 + 2.05 * d, sharex=True)
    seen = np.full(len(times), True) if split is None else times <= split
    for j, ax in enumerate(axes):
        if split is not None:
            shade_forecast(ax, split, times, curves, label=j == 0)
        for k, curve in enumerate(curves):
            draw_curve(ax, curve, column=j, zorder=3 + 0.1 * k)
        draw_data(ax, times[seen], values[seen, j], "data", hollow=False)
        if not seen.all():
            draw_data(ax, times[~seen], values[~seen, j], "data, held out", hollow=True)
        limit_values(ax, values[:, j], [curve.y[:, j] for curve in curves])
        ax.set_title(names[j])
        ax.set_ylabel(unit)
    axes[-1].set_xlabel(time_label)
    set_whole_ticks(axes[-1], times)
    figure.align_ylabels()
    add_legend(figure, axes)
    return figure


@_styled
def draw_phase(
    portraits: Sequence[Portrait], *, names: tuple[str, str] = ("y0", "y1"), unit: str = ""
) -> "Figure":
    """Draw phase portraits side by side: vector field, trajectories, data.

    Args:
        portraits: the panels; they share their axes.
        names: the two state variables.
        unit: their unit.
    """
    columns = min(_count(portraits), 2)
    rows = -(-len(portraits) // columns)
    width = WIDTH if columns == 2 else 0.66 * WIDTH
    figure, axes = start(rows, columns, width, 0.6 + 3.4 * rows, sharex=True, sharey=True)
    for i, (ax, portrait) in enumerate(zip(axes, portraits, strict=False)):
        ax.grid(False)
        if portrait.field is not None:
            draw_field(ax, portrait.field)
        for curve in portrait.curves:
            draw_curve(ax, curve, zorder=4)
            ring = {
                "marker": "o",
                "mfc": "white",
                "mec": COLOURS[curve.role],
                "mew": 1.8,
                "ms": 6.5,
            }
            ax.plot(curve.x[0], curve.y[0], ls="none", label="start", zorder=6, **ring)
        draw_states(ax, portrait)
        ax.set_title(portrait.title)
        if i >= len(portraits) - columns:
            ax.set_xlabel(with_unit(names[0], unit))
        if i % columns == 0:
            ax.set_ylabel(with_unit(names[1], unit))
    for ax in axes[len(portraits) :]:
        ax.set_visible(False)
    add_legend(figure, axes)
    return figure


@_styled
def draw_training(runs: Sequence[LearningCurve], *, loss_label: str = "loss") -> "Figure":
    """Draw the loss, and beside it the evaluations per solve forwards and backwards.

    The loss is drawn on a logarithmic axis if it is positive and spans more than a factor of 5.

    Args:
        runs: one line each (two in the panel of evaluations).
        loss_label: name and unit of the loss.
    """
    _count(runs)
    counted = any(run.nfe_forward is not None or run.nfe_backward is not None for run in runs)
    figure, axes = start(1, 2 if counted else 1, WIDTH, 2.9)
    for run in runs:
        axes[0].plot(
            run.steps,
            run.loss,
            color=COLOURS[run.role],
            ls=LINES[run.role],
            lw=1.4,
            label=run.label,
        )
    losses = np.concatenate([run.loss[np.isfinite(run.loss)] for run in runs])
    if len(losses) and losses.min() > 0 and losses.max() > 5 * losses.min():
        axes[0].set_yscale("log")
    axes[0].set(title=loss_label, xlabel="step")
    if counted:
        draw_evaluations(axes[1], runs)
    add_legend(figure, axes[:1])
    return figure


@_styled
def draw_errors(
    labels: Sequence[str],
    errors: Any,
    *,
    groups: Sequence[str] = ("",),
    roles: Sequence[str] | None = None,
    error_label: str = "error",
    low: Any = None,
    high: Any = None,
) -> "Figure":
    """Draw errors as horizontal bars, models against baselines; the smallest is in bold.

    Args:
        labels: the k models and baselines, top to bottom.
        errors: [k, g] (or [k]), one panel per group; NaN is drawn as "none".
        groups: names of the g panels.
        roles: colour of each bar, a key of `COLOURS`; None makes all "model".
        error_label: name and unit of the error.
        low: lower ends of error bars, shaped like `errors`, or None.
        high: upper ends.

    Raises:
        ValueError: shapes disagree.
    """
    table, shape = np.asarray(errors, float), (len(labels), len(groups))
    table = table[:, None] if table.ndim == 1 else table
    if table.shape != shape:
        raise ValueError(f"errors have shape {table.shape}; expected {shape}")
    ends = None
    if low is not None and high is not None:
        ends = [np.asarray(end, float).reshape(shape) for end in (low, high)]
    figure, axes = start(1, len(groups), WIDTH, 0.95 + 0.33 * len(labels), sharey=True)
    colours = [COLOURS[role] for role in roles or ["model"] * len(labels)]
    rows = np.arange(len(labels))
    for j, ax in enumerate(axes):
        column = table[:, j]
        ax.barh(rows, np.nan_to_num(column), height=0.62, color=colours, zorder=2)
        reach = column
        if ends is not None:
            draw_error_bars(ax, column, ends[0][:, j], ends[1][:, j])
            reach = np.fmax(column, ends[1][:, j])
        label_bars(ax, column, reach)
        ax.set(title=groups[j], yticks=rows, yticklabels=labels)
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.grid(visible=False, axis="y")
    axes[0].invert_yaxis()
    figure.supxlabel(error_label, fontsize=9, color=MUTED)
    return figure


@_styled
def draw_panels(
    panels: Sequence[Panel], *, columns: int = 2, panel_height: float = 2.5
) -> "Figure":
    """Draw panels of lines and markers, for whatever has no figure of its own.

    Args:
        panels: left to right, top to bottom.
        columns: panels per row, at most.
        panel_height: in inches, without titles and labels.
    """
    columns = min(columns, _count(panels))
    rows = -(-len(panels) // columns)
    figure, axes = start(rows, columns, WIDTH, 0.5 + (panel_height + 0.3) * rows)
    for ax, panel in zip(axes, panels, strict=False):
        for curve in panel.curves:
            draw_curve(ax, curve)
        for points in panel.points:
            draw_points(ax, points)
        ax.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
        if panel.log_x:
            ax.set_xscale("log")
        else:
            set_whole_ticks(ax, np.concatenate([[0], *(curve.x for curve in panel.curves)]))
        if panel.log_y:
            ax.set_yscale("log")
            label_between_decades(ax.yaxis)
    for ax in axes[len(panels) :]:
        ax.set_visible(False)
    add_legend(figure, axes)
    return figure


def _count(things: Sequence[Any]) -> int:
    if not things:
        raise ValueError("nothing to draw: the list is empty")
    return len(things)
