"""What comes out of the carbon dioxide section, as arrays and numbers; no words yet."""

from typing import NamedTuple

import numpy as np

from neurode.data import Table
from neurode.estimators import LatentODE

SEEN_YEARS, AHEAD_YEARS = 2, 1
LEARNED_UNTIL = 1990
ORIGINS = range(1992, 2002)
"""Forecasts of each of these years from the two before it; none of them is learned from."""
LEVEL = 0.95
NAIVE, DRIFT, MODEL = "a year ago", "a year ago + growth", "latent ODE"


class Origin(NamedTuple):
    """One forecast of a year.

    Attributes:
        year: the calendar year.
        level: mean of the two years before it, which all values are counted from.
        seen: times (years AD) and values of the two years before it, observed weeks only.
        times: of the year's observed weeks, [m].
        truth: their values, [m].
        forecasts: name -> [m].
        low: lower end of the model's interval, [m].
        high: upper end.
    """

    year: int
    level: float
    seen: tuple[np.ndarray, np.ndarray]
    times: np.ndarray
    truth: np.ndarray
    forecasts: dict[str, np.ndarray]
    low: np.ndarray
    high: np.ndarray


class Findings(NamedTuple):
    """What came out.

    Attributes:
        table: the data.
        years: their times as years AD, [n].
        learned: number of stretches learned from.
        model: the fitted estimator.
        origins: a forecast for each year held out.
    """

    table: Table
    years: np.ndarray
    learned: int
    model: LatentODE
    origins: list[Origin]

    def errors(self) -> dict[str, float]:
        """Root mean square error of each forecast over all years held out."""
        truth = np.concatenate([o.truth for o in self.origins])
        return {
            name: float(
                np.sqrt(
                    np.mean(
                        (np.concatenate([o.forecasts[name] for o in self.origins]) - truth) ** 2
                    )
                )
            )
            for name in (MODEL, NAIVE, DRIFT)
        }

    def inside(self) -> tuple[int, int]:
        """How many held-out weeks lie inside the model's interval, and of how many."""
        hits = [(o.low <= o.truth) & (o.truth <= o.high) for o in self.origins]
        return int(sum(hit.sum() for hit in hits)), sum(len(hit) for hit in hits)
