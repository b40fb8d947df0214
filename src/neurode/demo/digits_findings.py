"""What comes out of the section on digits, as arrays and numbers; no words yet."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from neurode.estimators import ToleranceDial

NETS = ("ODE-Net", "ResNet")


class Digits(NamedTuple):
    """Two networks on the same digits.

    Attributes:
        images: a few of those held out, [k, 8, 8].
        labels: of all those held out, [n].
        learned: how many were learned from.
        right: network -> whether each held-out image was read right, [n].
        parameters: network -> how many.
        blocks: of the ResNet.
        dial: what becomes of the ODE-Net as its tolerance is turned.
        trained_at: the tolerance of its training.
        depths: of the features, [m].
        features: of the held-out images in the plane, [m, n, 2].
        histories: network -> history of its training.
        seconds: of the ODE-Net's fit.
    """

    images: np.ndarray
    labels: np.ndarray
    learned: int
    right: Mapping[str, np.ndarray]
    parameters: Mapping[str, int]
    blocks: int
    dial: ToleranceDial
    trained_at: float
    depths: tuple[float, ...]
    features: np.ndarray
    histories: Mapping[str, Mapping[str, Any]]
    seconds: float

    def accuracies(self) -> dict[str, float]:
        """The share read right."""
        return {name: float(np.mean(right)) for name, right in self.right.items()}

    def lead(self) -> tuple[float, float]:
        """By how much the ODE-Net's accuracy is above the ResNet's, and the standard error.

        The images are the same, so that those on which both agree say nothing.
        """
        gain = self.right[NETS[0]].astype(float) - self.right[NETS[1]]
        return float(gain.mean()), float(gain.std(ddof=1) / len(gain) ** 0.5)


def flatten_features(states: np.ndarray) -> np.ndarray:
    """States [m, n, d] in the plane in which those at the last depth spread most, [m, n, 2]."""
    centre = states[-1].mean(axis=0)
    axes = np.linalg.svd(states[-1] - centre, full_matrices=False)[2][:2]
    return (states - centre) @ axes.T
