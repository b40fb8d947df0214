"""What a fit returns, and the error by which it refuses to go on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import PyTree


@dataclass(frozen=True)
class FitResult:
    """What a fit leaves: the model, and how it got there."""

    model: PyTree
    history: dict[str, np.ndarray]  # metric -> values, aligned with history["step"]
    steps_done: int
    interrupted: bool  # stopped by Ctrl-C or SIGTERM before all steps were done
    seconds: float  # of training, those before a resume included


class TrainingError(RuntimeError):
    """Training met a loss, gradient or weight that is not finite, and stopped before using it.

    Attributes:
        happened: what was met; the message begins with it.
        rescue: where the last good weights are; the message goes on with it.
        step: the update that failed, counted from 1.
        loss: the loss there.
        result: a `FitResult` with the last good model and the history up to the failure.
    """

    def __init__(
        self, happened: str, rescue: str, advice: str, *, step: int, loss: float, result: FitResult
    ):
        """Say what happened, what is saved, and what to try in the words of who called."""
        super().__init__(f"{happened}. {rescue}. {advice}")
        self.happened, self.rescue = happened, rescue
        self.step, self.loss, self.result = step, loss, result
