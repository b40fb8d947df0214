"""What decides the next step size. Knows no solver."""

from .controller import IController, PIController, PIDController, StepController
from .grids import ConstantSteps, StepTo

__all__ = [
    "ConstantSteps",
    "IController",
    "PIController",
    "PIDController",
    "StepController",
    "StepTo",
]
