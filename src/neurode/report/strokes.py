"""The strokes figures are made of: axes, curves, markers, bars, shading and the legend."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from neurode.report.marks import Curve, LearningCurve, Panel, Points, Portrait, VectorField
from neurode.report.style import COLOURS, INK, LINES, MARKERS, MUTED, SHADE, format_number

_MARGIN = 0.04  # above the greatest value there can be, so that a mark there is whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure


def start(
    rows: int, columns: int, width: float, height: float, **shared: Any
) -> "tuple[Figure, list[Axes]]":
    """Return a figure that no global state knows of, and its axes row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **shared).ravel())


def as_columns(curve: Curve, d: int) -> Curve:
    """Return the curve with `y` [m, d], or refuse."""
    if curve.y.ndim == 2 and curve.y.shape[1] == d:
        return curve
    if curve.y.ndim == 1 and d == 1:
        low, high = (None if e is None else e[:, None] for e in (curve.low, curve.high))
        return Curve(curve.x, curve.y[:, None], curve.label, curve.role, low, high)
    raise ValueError(f"curve {curve.label!r}: y has shape {curve.y.shape}; expected (m, {d})")


def draw_curve(ax: "Axes", curve: Curve, column: int | None = None, zorder: float = 3.0) -> None:
    """Draw a curve and its band; `column` picks one variable of a curve that has several."""

    def pick(array: np.ndarray) -> np.ndarray:
        return array if column is None else array[:, column]

    colour, style = COLOURS[curve.role], LINES[curve.role]
    ax.plot(curve.x, pick(curve.y), color=colour, ls=style, label=curve.label, zorder=zorder)
    if curve.low is not None:
        edges = pick(curve.low), pick(curve.high)
        ax.fill_between(curve.x, *edges, color=colour, alpha=0.16, lw=0, zorder=zorder - 1)


def draw_data(ax: "Axes", x, y, label: str, *, hollow: bool) -> None:
    """Draw observations: filled if a model was fitted to them, hollow if it has not seen them."""
    face = "white" if hollow else COLOURS["data"]
    edge = COLOURS["data"] if hollow else "white"
    ax.plot(x, y, ls="none", marker="o", ms=5.5, mfc=face, mec=edge, mew=1.1, label=label, zorder=5)


def draw_points(ax: "Axes", points: Points) -> None:
    """Draw markers; a cloud of many becomes dots that let each other through."""
    many = len(points.x) > 200
    ax.plot(
        points.x,
        points.y,
        ls="none",
        marker="." if many else MARKERS[points.role],
        ms=3.0 if many else 5.5,
        mfc=COLOURS[points.role],
        mec="none" if many else "white",
        mew=0.8,
        alpha=0.6 if many else 1.0,
        label=points.label,
        zorder=4,
    )


def draw_panel(ax: "Axes", panel: Panel) -> None:
    """Draw all that a panel holds."""
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
    bottom, top = ax.get_ylim()
    if panel.most is not None and top > panel.most:
        ax.set_ylim(bottom, panel.most + _MARGIN * (panel.most - bottom))


def draw_field(ax: "Axes", field: VectorField) -> None:
    """Draw stream lines, and end the axes where the field does."""
    ax.streamplot(
        field.x,
        field.y,
        field.u,
        field.v,
        color="#c3cad2",
        linewidth=0.8,
        arrowsize=0.8,
        zorder=1,
    )
    ax.set_xlim(field.x.min(), field.x.max())
    ax.set_ylim(field.y.min(), field.y.max())


def draw_states(ax: "Axes", portrait: Portrait) -> None:
    """Draw the observed states of a portrait, joined in time by a thin line."""
    parts = [part for part in (portrait.data, portrait.heldout) if part is not None]
    if parts:
        ax.plot(*np.concatenate(parts).T, color=COLOURS["data"], lw=0.6, alpha=0.45, zorder=2)
    if portrait.data is not None:
        draw_data(ax, portrait.data[:, 0], portrait.data[:, 1], "data", hollow=False)
    if portrait.heldout is not None:
        heldout = portrait.heldout
        draw_data(ax, heldout[:, 0], heldout[:, 1], "data, held out", hollow=True)


def draw_evaluations(ax: "Axes", runs: Sequence[LearningCurve]) -> None:
    """Draw evaluations per step: a colour for each run, a line style for each direction."""
    from matplotlib.lines import Line2D

    styles = {"forwards": "-", "backwards": (0, (1.2, 1.2))}
    for run in runs:
        for name, counts in zip(styles, (run.nfe_forward, run.nfe_backward), strict=True):
            if counts is not None:
                ax.plot(run.steps, counts, color=COLOURS[run.role], ls=styles[name], lw=1.4)
    ax.set(title="vector field evaluations per step", xlabel="step")
    ax.set_ylim(bottom=0, top=1.18 * ax.dataLim.y1 if ax.dataLim.y1 > 0 else 1)
    handles = [Line2D([], [], color=MUTED, ls=ls, label=name) for name, ls in styles.items()]
    ax.legend(handles=handles, loc="upper right", ncols=2)


def shade_forecast(
    ax: "Axes", split: float, times: np.ndarray, curves: Sequence[Curve], *, label: bool
) -> None:
    """Shade what lies after the training data, to the end of the axis."""
    ends = [times.max(), *(curve.x.max() for curve in curves)]
    starts = [times.min(), *(curve.x.min() for curve in curves)]
    margin = 0.02 * (max(ends) - min(starts))
    ax.set_xlim(min(starts) - margin, max(ends) + margin)
    ax.axvspan(split, max(ends) + margin, color=SHADE, lw=0, zorder=0)
    ax.axvline(split, color="#afb8c1", lw=0.8, zorder=1)
    if label:
        ax.annotate(
            "forecast",
            (split, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, 3),
            textcoords="offset points",
            color=MUTED,
            fontsize=8.5,
        )


def limit_values(ax: "Axes", values: np.ndarray, curves: list[np.ndarray]) -> None:
    """Let a forecast that runs away leave the panel instead of flattening all else."""
    values = values[np.isfinite(values)]
    if not len(values):
        return
    low, high = values.min(), values.max()
    span = (high - low) or abs(high) or 1.0
    drawn = np.concatenate([values, *(curve[np.isfinite(curve)] for curve in curves)])
    bottom = max(drawn.min(), low - 0.6 * span) - 0.06 * span
    top = min(drawn.max(), high + 0.6 * span) + 0.08 * span
    if drawn.min() >= 0 and low < 0.4 * high:  # near enough for zero to belong to the picture
        bottom = -0.03 * span
    ax.set_ylim(bottom, top)


def set_whole_ticks(ax: "Axes", times: np.ndarray) -> None:
    """Keep the ticks of whole times whole: no year 1902.5."""
    from matplotlib.ticker import MaxNLocator

    if np.array_equal(times, np.round(times)):
        ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, steps=[1, 2, 5, 10]))


def label_between_decades(axis: "Axis") -> None:
    """Write plain numbers at the ticks between powers of ten, if they are neither long nor many."""
    from matplotlib.ticker import LogFormatter

    if axis.get_view_interval()[0] >= 0.01:
        axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.4)))


def draw_error_bars(ax: "Axes", column: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Draw the ends of bars that have any width."""
    rows = np.flatnonzero(np.isfinite(column) & (high > low))
    spread = np.abs(np.stack([column - low, high - column])[:, rows])
    bars = {"fmt": "none", "ecolor": INK, "elinewidth": 1.0, "capsize": 2.5, "zorder": 3}
    ax.errorbar(column[rows], rows, xerr=spread, **bars)


def label_bars(ax: "Axes", column: np.ndarray, reach: np.ndarray) -> None:
    """Write each value behind its bar (which reaches to `reach`), the smallest in bold."""
    best = np.nanmin(column) if np.isfinite(column).any() else None
    for row, (value, end) in enumerate(zip(column, reach, strict=True)):
        known = np.isfinite(value)
        ax.annotate(
            format_number(value, 3) if known else "none",
            (end if np.isfinite(end) else 0, row),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=INK if known else MUTED,
            fontweight="bold" if value == best else "normal",
        )
    top = np.nanmax(reach) if np.isfinite(reach).any() else 1.0
    ax.set_xlim(0, 1.22 * top if top > 0 else 1.0)


def with_unit(name: str, unit: str) -> str:
    """Return an axis label."""
    return f"{name} ({unit})" if unit else name


def add_legend(figure: "Figure", axes: "Sequence[Axes]") -> None:
    """Put one legend above all panels, where it hides nothing: data first, then lines."""
    from matplotlib.lines import Line2D

    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if not any(entries):
        return
    for label, handle in entries.items():
        if handle.get_marker() == ".":  # the dots of a cloud are too small to tell their colour
            dot = {"ls": "none", "marker": "o", "mfc": handle.get_mfc(), "mec": "none"}
            entries[label] = Line2D([], [], **dot)
    if "start" in entries:  # a ring in every trajectory's colour
        ring = {"ls": "none", "marker": "o", "mfc": "white", "mec": MUTED, "mew": 1.8, "ms": 6.5}
        entries["start"] = Line2D([], [], **ring)
    labels = sorted(entries, key=lambda label: (not label.startswith("data"), label == "start"))
    rows = -(-sum(0.075 * len(label) + 0.65 for label in labels) // figure.get_figwidth())
    columns = int(-(-len(labels) // rows))
    # matplotlib fills columns first; readers read rows.
    order = [i for column in range(columns) for i in range(column, len(labels), columns)]
    labels = [labels[i] for i in order]
    handles = [entries[label] for label in labels]
    figure.legend(handles, labels, loc="outside upper left", ncols=columns)
