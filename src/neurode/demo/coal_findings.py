"""What comes out of the section on coal mines, as arrays and numbers; no words yet."""

from typing import NamedTuple

import numpy as np

from neurode.data import Events
from neurode.estimators import Intensity, PoissonProcess
from neurode.estimators.time_rescaling import Residuals

MODEL, CONSTANT, KERNEL = "latent ODE", "constant rate", "kernel estimate"
YEAR = 365.25  # days
HELD_OUT = 0.25


class Findings(NamedTuple):
    """What came out.

    Attributes:
        events: all of them.
        learned: those learned from.
        held_out: those that were not.
        model: fitted to the former.
        times: of the curves, in days since 1970, [m].
        intensity: of the model, per year and for all events, with its band.
        rates: name -> intensity per year of the others, [m].
        scores: name -> log-likelihood of the held-out events, in nats.
        each: name -> what each held-out event adds to it, [k], less an equal share of the integral.
        bandwidth: of the kernel, in years.
        residuals: of those learned from.
    """

    events: Events
    learned: Events
    held_out: Events
    model: PoissonProcess
    times: np.ndarray
    intensity: Intensity
    rates: dict[str, np.ndarray]
    scores: dict[str, float]
    each: dict[str, np.ndarray]
    bandwidth: float
    residuals: Residuals

    def lead(self) -> tuple[str, float, float]:
        """The best of the others, by how much the model is above it, and the standard error."""
        best = max((n for n in self.scores if n != MODEL), key=self.scores.__getitem__)
        gains = self.each[MODEL] - self.each[best]
        return best, float(gains.sum()), float(gains.std(ddof=1) * len(gains) ** 0.5)
