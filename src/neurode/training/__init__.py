"""Training of any objective on any model and batches; it knows none of them."""

from neurode.training.folder import ConfigMismatch as ConfigMismatch
from neurode.training.folder import RunLocked as RunLocked
from neurode.training.loop import fit as fit
from neurode.training.result import FitResult as FitResult
from neurode.training.result import TrainingError as TrainingError
from neurode.training.state import Batches as Batches

__all__ = [
    "Batches",
    "ConfigMismatch",
    "FitResult",
    "RunLocked",
    "TrainingError",
    "fit",
]
