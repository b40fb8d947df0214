"""What comes out of the section on densities, as arrays and numbers; no words yet."""

from typing import NamedTuple

import numpy as np

from neurode.estimators import ContinuousFlow

FLOW, KERNEL, MIXTURE = "flow", "kernel density", "Gaussian mixture"


class Sample(NamedTuple):
    """A data set, what was learned from it, and how it fared on rows it had not seen.

    Attributes:
        name: of the data.
        names: of the two columns.
        learned: rows that were fitted, [n, 2].
        held_out: rows that were not, [m, 2].
        estimator: the fitted flow.
        scores: name of an estimator -> log-density of each held-out row, [m].
        settings: name of an estimator -> what cross-validation chose.
        entropy: the least possible negative log-likelihood, if it is known.
        sides: of the pictures, in units of the columns: [pixels] each.
        density: of the flow on them, [pixels, pixels].
        samples: of the flow, [n, 2].
    """

    name: str
    names: tuple[str, ...]
    learned: np.ndarray
    held_out: np.ndarray
    estimator: ContinuousFlow
    scores: dict[str, np.ndarray]
    settings: dict[str, str]
    entropy: float | None
    sides: tuple[np.ndarray, np.ndarray]
    density: np.ndarray
    samples: np.ndarray

    def losses(self) -> dict[str, float]:
        """The mean negative log-density of the held-out rows by estimator, in nats."""
        return {name: float(-scores.mean()) for name, scores in self.scores.items()}

    def errors(self) -> dict[str, float]:
        """The standard error of each."""
        return {n: float(s.std(ddof=1) / len(s) ** 0.5) for n, s in self.scores.items()}

    def lead(self) -> tuple[str, float, float]:
        """The best of the others, by how much the flow is below it, and the standard error."""
        losses = self.losses()
        best = min((name for name in losses if name != FLOW), key=losses.__getitem__)
        gains = self.scores[FLOW] - self.scores[best]
        return best, float(gains.mean()), float(gains.std(ddof=1) / len(gains) ** 0.5)


class Films(NamedTuple):
    """A flow between its base and its data, in standardised units.

    Attributes:
        times: of the frames.
        side: of the pictures, [pixels].
        densities: [frames, pixels, pixels].
        clouds: samples on their way, [frames, n, 2].
    """

    times: tuple[float, ...]
    side: np.ndarray
    densities: np.ndarray
    clouds: np.ndarray
