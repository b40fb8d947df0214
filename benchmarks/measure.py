"""Timing two functions against each other: interleaved pairs, medians of ratios."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Comparison:
    """Times in seconds; ratios are ours / theirs, pair by pair.

    Attributes:
        ours: median time of our call.
        theirs: median time of the peer's.
        ratio: median of the paired ratios, with its quartiles.
    """

    ours: float
    theirs: float
    ratio: float
    quartiles: tuple[float, float]


def seconds(call: Callable[[], object]) -> float:
    """The wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(ours: Callable[[], object], theirs: Callable[[], object], budget: float) -> Comparison:
    """Run the two in turn for about `budget` seconds (at least 5 pairs)."""
    ours(), theirs()
    once = seconds(ours) + seconds(theirs)
    pairs = int(np.clip(budget / once, 5, 2000))
    times = np.array([(seconds(ours), seconds(theirs)) for _ in range(pairs)])
    ratios = times[:, 0] / times[:, 1]
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return Comparison(*np.median(times, axis=0), middle, (low, high))
