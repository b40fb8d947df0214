"""Densities and clouds of points in the plane, as a grid of small pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neurode.report.strokes import start
from neurode.report.style import COLOURS, GROUPS, MUTED, WIDTH, apply_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False)
class DensityMap:
    """A density on a regular grid.

    Attributes:
        x: first coordinates [nx].
        y: second coordinates [ny].
        values: the density [ny, nx], in any unit; each picture has its own scale.
    """

    x: Any
    y: Any
    values: Any

    def __post_init__(self):
        for name in ("x", "y", "values"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        if self.values.shape != (len(self.y), len(self.x)):
            raise ValueError(
                f"density: values have shape {self.values.shape}, expected "
                f"{(len(self.y), len(self.x))} (rows are y)"
            )


@dataclass(frozen=True, eq=False)
class Frame:
    """One small picture.

    Attributes:
        density: shaded, the darker the denser; or None.
        points: a cloud [n, 2] on top of it, or None.
        title: above it.
        note: below it, small.
        role: colour of the points, a key of `COLOURS`.
        groups: the number of each point's group, from 0 to 9 [n], which then gives its colour.
    """

    density: DensityMap | None = None
    points: Any = None
    title: str = ""
    note: str = ""
    role: str = "data"
    groups: Any = None


def draw_frames(
    rows: Sequence[Sequence[Frame | None]],
    *,
    titles: Sequence[str] = (),
    labels: Sequence[str] = (),
    names: tuple[str, str] | None = None,
    limits: tuple[float, float, float, float] | None = None,
    groups: Sequence[str] = (),
) -> "Figure":
    """Draw frames in a grid; those with a density or shared limits show the same window.

    Args:
        rows: of frames, equally long; None leaves a gap.
        titles: of the columns.
        labels: of the rows.
        names: of the two coordinates, which are then on the axes; None draws no axes.
        limits: left, right, bottom, top of every frame; None takes each density's own.
        groups: what the groups of points are, by their numbers, for a legend.

    Raises:
        ValueError: there is no row, or rows differ in length.
    """
    if not rows or len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ValueError("frames must be rows of equal length, at least one frame in each")
    count = len(rows[0])
    width = WIDTH if count > 2 else WIDTH * (0.5 if count == 1 else 0.85)
    size = (width - 0.3) / count
    with apply_style():
        above = 0.3 if titles or any(f is not None and f.title for row in rows for f in row) else 0
        beside = 0.35 if names else 0.0
        above += 0.3 if groups else 0
        beside += 0.15 if any(f is not None and f.note for row in rows for f in row) else 0
        height = len(rows) * (size + beside + 0.05) + above
        figure, axes = start(len(rows), count, width, height)
        for i, row in enumerate(rows):
            for j, frame in enumerate(row):
                ax = axes[i * count + j]
                _draw_frame(ax, frame, limits, with_axes=names is not None)
                if i == 0 and titles and titles[j]:
                    ax.set_title(titles[j])
                if j == 0 and labels:
                    ax.set_ylabel(labels[i])
                if names is not None and i == len(rows) - 1:
                    ax.set_xlabel(names[0])
                if names is not None and j == 0:
                    ax.set_ylabel(names[1])
        if groups:
            from matplotlib.lines import Line2D

            dots = [Line2D([], [], ls="none", marker="o", mfc=c, mec="none") for c in GROUPS]
            figure.legend(dots[: len(groups)], groups, loc="outside upper left", ncols=len(groups))
        return figure


def _draw_frame(ax: "Axes", frame: Frame | None, limits: Any, *, with_axes: bool) -> None:
    ax.grid(False)
    if frame is None:
        ax.set_visible(False)
        return
    if not with_axes:
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set(visible=True, color="#d0d7de")
    if frame.note:
        ax.set_xlabel(frame.note, fontsize=7, labelpad=2)
    if frame.density is not None:
        density = frame.density
        edges = [_edges(axis) for axis in (density.x, density.y)]
        top = np.max(density.values[np.isfinite(density.values)], initial=0.0)
        ax.pcolormesh(
            *edges, density.values, cmap="Blues", vmin=0, vmax=top or 1.0, rasterized=True
        )
        ax.set(xlim=edges[0][[0, -1]], ylim=edges[1][[0, -1]])
    if frame.points is not None:
        points = np.asarray(frame.points, float)
        many = len(points) > 500
        groups = np.zeros(len(points), int) if frame.groups is None else np.asarray(frame.groups)
        for group in np.unique(groups):
            ax.plot(
                *points[groups == group].T,
                ls="none",
                marker="o",
                ms=1.1 if many else 2.2,
                mfc=COLOURS[frame.role] if frame.groups is None else GROUPS[group % len(GROUPS)],
                mec="none",
                alpha=0.45 if many else 0.7,
            )
    if limits is not None:
        ax.set(xlim=limits[:2], ylim=limits[2:])
    if not with_axes:
        ax.set_aspect("equal")
    if frame.title:
        ax.set_title(frame.title, color=MUTED, fontsize=8.5)


def _edges(centres: np.ndarray) -> np.ndarray:
    """Edges of cells of which these are the middles."""
    half = (centres[1] - centres[0]) / 2
    return np.append(centres - half, centres[-1] + half)
