"""Two spirals, clockwise and counter-clockwise, watched through windows that begin anywhere."""

from typing import NamedTuple

import numpy as np

_TURNS, _POINTS = 3, 1000
_GROWTH = 0.3  # b, in the script's r = a + b * theta with a = 0
_CENTRES = np.array([[-5.0, 0.0], [5.0, 0.0]])


class Spirals(NamedTuple):
    """Windows of T points on one of two curves in the plane.

    Attributes:
        ts: times since the beginning of a window, [T]: the angle turned, in radians.
        clean: the curves, [n, T, 2].
        noisy: what was observed, [n, T, 2].
        directions: 1 for counter-clockwise, 0 for clockwise, [n].
        begins: the number of each window's first point on its curve, [n].
    """

    ts: np.ndarray
    clean: np.ndarray
    noisy: np.ndarray
    directions: np.ndarray
    begins: np.ndarray


def spiral_curves() -> np.ndarray:
    """The clockwise and the counter-clockwise curve, 1,000 equally spaced points each.

    The counter-clockwise one has radius r = 0.3 theta around (5, 0). The clockwise one turns
    back, r = 15 / theta around (-5, 0), from theta = 6 pi + 1 to 1.

    Returns:
        [2, 1000, 2].

    Source: examples/latent_ode.py of torchdiffeq, whose curves these are; the paper gives none.
    """
    theta = np.linspace(0, 2 * np.pi * _TURNS, _POINTS)
    back = theta[::-1] + 1
    polar = [(50 * _GROWTH / back, back), (_GROWTH * theta, theta)]
    curves = [np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1) for r, angle in polar]
    return np.stack(curves) + _CENTRES[:, None]


def make_spirals(
    n: int = 1000,
    *,
    points: int = 200,
    noise: float = 0.1,
    earliest: int = 100,
    latest: int = 700,
    seed: int = 0,
) -> Spirals:
    """Cut n windows out of the two curves, half of them from each, and add noise.

    Args:
        n: number of windows.
        points: length T of a window.
        noise: standard deviation of what is added to each coordinate.
        earliest: least number of a window's first point on its curve of 1,000.
        latest: greatest, at most 1,000 - T.
        seed: of where the windows begin, and of the noise.

    Raises:
        ValueError: a window would reach beyond the curve.
    """
    if not 0 <= earliest <= latest <= _POINTS - points:
        raise ValueError(
            f"windows of {points} points begin between 0 and {_POINTS - points}, not from "
            f"{earliest} to {latest}"
        )
    rng = np.random.default_rng(seed)
    directions = np.arange(n) % 2
    begins = rng.integers(earliest, latest + 1, n)
    rows = begins[:, None] + np.arange(points)
    clean = spiral_curves()[directions[:, None], rows]
    noisy = clean + noise * rng.standard_normal(clean.shape)
    ts = np.linspace(0, 2 * np.pi * _TURNS, _POINTS)[:points]
    return Spirals(ts, clean, noisy, directions, begins)
