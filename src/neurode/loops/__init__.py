"""Many steps: the loops that integrate. They know no derivative."""

from .driver import integrate
from .problem import Problem, Recording, Trajectory

__all__ = ["Problem", "Recording", "Trajectory", "integrate"]
