"""The usual estimate of an intensity: a Gaussian kernel on every event."""

import numpy as np
from scipy.stats import norm

_CANDIDATES = 25


def kernel_intensity(
    t: np.ndarray, events: np.ndarray, width: float, start: float, end: float
) -> np.ndarray:
    """A kernel estimate at times t, in events per unit of time.

    Each event's kernel is scaled to have all its mass in the window.

    Args:
        t: [m].
        events: in the window, [n].
        width: the kernel's standard deviation.
        start: of the window.
        end: of the window.

    Source: Diggle (1985), Applied Statistics 34, 138-147.
    """
    mass = norm.cdf((end - events) / width) - norm.cdf((start - events) / width)
    return (norm.pdf((t[:, None] - events) / width) / (width * mass)).sum(axis=1)


def choose_bandwidth(events: np.ndarray, start: float, end: float) -> float:
    """The width of greatest likelihood with every event left out in turn."""
    widths = np.geomspace(0.01, 0.4, _CANDIDATES) * (end - start)
    scores = []
    for width in widths:
        mass = norm.cdf((end - events) / width) - norm.cdf((start - events) / width)
        own = norm.pdf(0.0) / (width * mass)
        others = kernel_intensity(events, events, width, start, end) - own
        scores.append(np.log(np.maximum(others, 1e-300)).sum())
    return float(widths[int(np.argmax(scores))])
