"""What can be drawn: named arrays with a role, checked when made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neurode.report.style import COLOURS


@dataclass(frozen=True, eq=False)
class Curve:
    """A line, with a band of uncertainty if there is one.

    Attributes:
        x: [m].
        y: [m], or [m, d] where a figure has d panels.
        label: its name in the legend.
        role: which colour and line style, a key of `COLOURS`.
        low: lower edge of the band, shaped like `y`, or None.
        high: upper edge of the band.
    """

    x: Any
    y: Any
    label: str
    role: str = "model"
    low: Any = None
    high: Any = None

    def __post_init__(self):
        where = f"curve {self.label!r}"
        _check_role(self.role, where)
        _hold(self, "x", where, (1,))
        _hold(self, "y", where, (1, 2), rows=len(self.x))
        if (self.low is None) != (self.high is None):
            raise ValueError(f"{where}: give both low and high, or neither")
        if self.low is not None:
            for name in ("low", "high"):
                _hold(self, name, where, (self.y.ndim,), rows=len(self.x))


@dataclass(frozen=True, eq=False)
class Points:
    """Markers, not joined.

    Attributes:
        x: [m].
        y: [m].
        label: their name in the legend.
        role: which colour and marker, a key of `COLOURS`.
    """

    x: Any
    y: Any
    label: str
    role: str = "data"

    def __post_init__(self):
        where = f"points {self.label!r}"
        _check_role(self.role, where)
        _hold(self, "x", where, (1,))
        _hold(self, "y", where, (1,), rows=len(self.x))


@dataclass(frozen=True, eq=False)
class VectorField:
    """A planar vector field on a regular grid.

    Attributes:
        x: evenly spaced first coordinates [nx].
        y: evenly spaced second coordinates [ny].
        u: first component [ny, nx].
        v: second component [ny, nx].
    """

    x: Any
    y: Any
    u: Any
    v: Any

    def __post_init__(self):
        for name in ("x", "y"):
            _hold(self, name, "vector field", (1,))
        for name in ("u", "v"):
            _hold(self, name, "vector field", (2,), rows=len(self.y))
            if getattr(self, name).shape[1] != len(self.x):
                raise ValueError(
                    f"vector field: {name} has shape {getattr(self, name).shape}, "
                    f"expected {(len(self.y), len(self.x))} (rows are y)"
                )


@dataclass(frozen=True, eq=False)
class Portrait:
    """One panel of a phase portrait.

    Attributes:
        title: above the panel.
        curves: trajectories, `x` and `y` being the two state variables.
        field: the vector field behind them.
        data: observed states in time order [n, 2], or None.
        heldout: observed states a model has not seen [k, 2], or None.
    """

    title: str
    curves: Sequence[Curve] = ()
    field: VectorField | None = None
    data: Any = None
    heldout: Any = None

    def __post_init__(self):
        for name in ("data", "heldout"):
            if getattr(self, name) is not None:
                _hold(self, name, f"portrait {self.title!r}", (2,))
                if getattr(self, name).shape[1] != 2:
                    raise ValueError(f"portrait {self.title!r}: {name} must have shape (n, 2)")


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """One run of training.

    Attributes:
        steps: optimiser steps [m].
        loss: [m].
        label: its name in the legend.
        role: which colour, a key of `COLOURS`.
        nfe_forward: evaluations of the vector field per solve, forwards [m], or None.
        nfe_backward: the same for the gradient [m], or None.
    """

    steps: Any
    loss: Any
    label: str
    role: str = "model"
    nfe_forward: Any = None
    nfe_backward: Any = None

    def __post_init__(self):
        where = f"learning curve {self.label!r}"
        _check_role(self.role, where)
        _hold(self, "steps", where, (1,))
        for name in ("loss", "nfe_forward", "nfe_backward"):
            if getattr(self, name) is not None:
                _hold(self, name, where, (1,), rows=len(self.steps))


@dataclass(frozen=True, eq=False)
class Panel:
    """One panel of lines and markers.

    Attributes:
        title: above the panel.
        curves: lines, in one panel [m] each.
        points: markers.
        x_label: name and unit of the horizontal axis.
        y_label: name and unit of the vertical axis.
        log_x: logarithmic horizontal axis.
        log_y: logarithmic vertical axis.
        most: the greatest value there can be, such as an accuracy of 100%; None: there is none.
    """

    title: str = ""
    curves: Sequence[Curve] = ()
    points: Sequence[Points] = ()
    x_label: str = ""
    y_label: str = ""
    log_x: bool = False
    log_y: bool = False
    most: float | None = None

    def __post_init__(self):
        for curve in self.curves:
            if curve.y.ndim != 1:
                raise ValueError(f"curve {curve.label!r}: a panel takes y of shape (m,)")


def _hold(mark: Any, name: str, where: str, ndims: tuple[int, ...], rows: int | None = None):
    """Replace a field by its float64 array, or say why it is none."""
    try:
        array = np.asarray(getattr(mark, name), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {name} is no array of numbers ({error})") from None
    if array.ndim not in ndims or (rows is not None and len(array) != rows):
        expected = f"{rows if rows is not None else 'any'} rows and {ndims} axes"
        raise ValueError(f"{where}: {name} has shape {array.shape}; expected {expected}")
    object.__setattr__(mark, name, array)


def _check_role(role: str, where: str) -> None:
    if role not in COLOURS:
        raise ValueError(f"{where}: role={role!r} is none of {', '.join(COLOURS)}")
