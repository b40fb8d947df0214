"""The history of a fit as a curve that a figure can hold."""

from collections.abc import Mapping

import numpy as np

from neurode.report import LearningCurve

_DRAWN = ("step", "loss", "nfe_forward", "nfe_backward")


def average_history(
    history: Mapping[str, np.ndarray], label: str, role: str = "model", points: int = 150
) -> tuple[LearningCurve, int]:
    """Return the means of so many consecutive steps that not more than `points` remain.

    Args:
        history: "step", "loss", "nfe_forward" and "nfe_backward", [m] each. Evaluations of no
            backward pass at all, zeros, are left out.
        label: of the curve.
        role: its colour, see `neurode.report.COLOURS`.
        points: of the curve, at most.

    Returns:
        The curve, and how many steps a point is the mean of.
    """
    count = len(history["step"])
    each = -(-count // points)
    starts = np.arange(0, count, each)
    sizes = np.diff(np.append(starts, count))
    step, loss, forward, backward = (np.add.reduceat(history[n], starts) / sizes for n in _DRAWN)
    curve = LearningCurve(
        step,
        loss,
        label,
        role,
        nfe_forward=forward,
        nfe_backward=backward if backward.any() else None,
    )
    return curve, each
