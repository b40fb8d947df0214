"""Rows as small PNG figures. Knows no case: a case says what is on the axes."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.rows import OURS, Entry, Row

COLORS = {OURS: "#0b6e4f", "diffrax": "#c8553d", "scipy": "#3d5a80", "torchdiffeq": "#e09f3e"}
OTHER = "#888888"
MARKS = "osD^vP*X<>"
WIDTH = 4.2


@dataclass(frozen=True)
class Lines:
    """One line for each contestant, both axes logarithmic.

    Attributes:
        name: of the file.
        x: an attribute of `Entry`, or a label of the row.
        y: likewise.
        panel: the labels whose values get a panel each; none for one panel.
        x_label: in words.
        y_label: in words.
    """

    name: str
    x: str
    y: str
    panel: tuple[str, ...]
    x_label: str
    y_label: str

    def draw(self, figure: Any, rows: Sequence[Row]) -> None:
        """All panels, with one legend."""
        names = unique(self.panel_of(row) for row in rows)
        figure.set_size_inches(min(WIDTH * len(names), 12) + 1.8, 3.6)
        axes = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
        series = unique(entry.by for row in rows for entry in row.entries)
        for axis, name in zip(axes, names, strict=True):
            here = [row for row in rows if self.panel_of(row) == name]
            for by in series:
                points = self.points(here, by)
                if points:
                    axis.plot(*zip(*points, strict=True), **style(by, series), label=by)
            axis.set(xscale="log", yscale="log", xlabel=self.x_label, title=name)
        axes[0].set_ylabel(self.y_label)
        handles = {h.get_label(): h for axis in axes for h in axis.get_lines()}
        figure.legend(handles.values(), handles, loc="outside right center", fontsize=8)

    def panel_of(self, row: Row) -> str:
        """The panel a row belongs to, by its title."""
        return ", ".join(str(row.labels[label]) for label in self.panel)

    def points(self, rows: Sequence[Row], by: str) -> list[tuple[float, float]]:
        """(x, y) of one contestant, in the order of the rows."""
        found = [(row, row.entry(by)) for row in rows if not row.problem]
        pairs = [(value(r, e, self.x), value(r, e, self.y)) for r, e in found if e is not None]
        return [pair for pair in pairs if all(isinstance(v, (int, float)) for v in pair)]


@dataclass(frozen=True)
class Ratios:
    """Our time over each peer's: a dot with its quartiles for every row.

    Attributes:
        name: of the file.
        against: the peer.
    """

    name: str
    against: str

    def draw(self, figure: Any, rows: Sequence[Row]) -> None:
        """The first row on top."""
        from matplotlib.ticker import LogLocator, NullFormatter

        rows = [row for row in rows if row.ratio_to(self.against) is not None]
        figure.set_size_inches(6.4, 0.8 + 0.19 * len(rows))
        axis = figure.subplots()
        for i, row in enumerate(rows):
            low, middle, high = row.entry(self.against).ratio
            axis.plot([low, high], [i, i], color=COLORS[OURS], lw=3, alpha=0.4)
            axis.plot([middle], [i], "o", color=COLORS[OURS], ms=4)
        names = [
            " · ".join(f"{v} {k}" if isinstance(v, int) else str(v) for k, v in row.labels.items())
            for row in rows
        ]
        axis.set_yticks(range(len(rows)), names, fontsize=7)
        axis.set(xscale="log", ylim=(len(rows) - 0.5, -0.5))
        axis.axvline(1.0, color=OTHER, lw=1)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.set_xlabel(f"time of {OURS} / {self.against}")


def unique(values: Any) -> list:
    """Without repeats, in order."""
    return list(dict.fromkeys(values))


def value(row: Row, entry: Entry, name: str) -> float | None:
    """An attribute of the entry or a label of the row."""
    if name in {field.name for field in fields(Entry)}:
        return getattr(entry, name)
    return row.labels[name]


def style(by: str, series: Sequence[str]) -> dict[str, Any]:
    """One colour for each library, one mark for each of its methods."""
    library = by.split()[0]
    methods = [name for name in series if name.split()[0] == library]
    return {
        "color": COLORS.get(library, OTHER), "marker": MARKS[methods.index(by) % len(MARKS)],
        "ls": "-" if library == OURS else "--", "ms": 4, "lw": 1.2,
    }  # fmt: skip


def draw(figures: Sequence[Lines | Ratios], rows: Sequence[Row], folder: Path) -> list[Path]:
    """Write the figures that have something to show; without matplotlib, one line says so."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("plots: not drawn, matplotlib is not installed; `make bench` installs it")
        return []
    paths = []
    for wanted in figures:
        figure = Figure(layout="constrained", dpi=110)
        wanted.draw(figure, rows)
        if any(axis.lines for axis in figure.axes):
            folder.mkdir(parents=True, exist_ok=True)
            paths.append(folder / f"{wanted.name}.png")
            figure.savefig(paths[-1])
    return paths
