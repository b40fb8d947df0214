"""Time that runs at the speed of an intensity: residuals of events, and drawing new ones.

On that clock the events of a Poisson process are those of one of rate 1 (Papangelou's theorem;
Daley and Vere-Jones 2003, section 7.4).
"""

from typing import NamedTuple

import numpy as np
from scipy import stats


class Residuals(NamedTuple):
    """What is left of events once time runs at the speed of their intensity.

    Attributes:
        gaps: expected events between one event and the next, all windows in a row, [n]:
            exponential with mean 1 if the intensity is right.
        statistic: the Kolmogorov-Smirnov distance of 1 - exp(-gaps) from uniform.
        p_value: the chance of a greater one. On the events that were fitted it is too large,
            more so the more freely the intensity could follow them.
    """

    gaps: np.ndarray
    statistic: float
    p_value: float


def compare_gaps(counts: list[int], integrals: np.ndarray, ends: np.ndarray) -> Residuals:
    """The Kolmogorov-Smirnov test of rescaled events, with the windows put in a row.

    Args:
        counts: events of each window, [w].
        integrals: the integral of lambda up to each event, window by window, [n].
        ends: and up to the start and the end of each window, [w, 2].

    Source: Brown, Barbieri, Ventura, Kass and Frank (2002), Neural Computation 14, 325-346.
    """
    lengths = np.diff(ends)[:, 0]
    before = np.cumsum(lengths) - lengths - ends[:, 0]
    gaps = np.diff(integrals + np.repeat(before, counts), prepend=0.0)
    test = stats.kstest(-np.expm1(-gaps), "uniform")
    return Residuals(gaps, float(test.statistic), float(test.pvalue))


def draw_events(
    random: np.random.Generator, ends: np.ndarray, grid: np.ndarray, integrals: np.ndarray
) -> list[np.ndarray]:
    """Events of a process with a known integral of lambda, [n] sorted for each window.

    Args:
        random: the generator.
        ends: windows, [w, 2].
        grid: increasing times, those of the windows among them.
        integrals: of lambda up to each; taken for linear in between.
    """
    drawn = []
    for low, high in np.interp(ends, grid, integrals):
        count = random.poisson(max(high - low, 0.0))
        drawn.append(np.interp(np.sort(random.uniform(low, high, count)), integrals, grid))
    return drawn
