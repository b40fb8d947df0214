"""The words that every room uses. Knows no algorithm."""

from .closures import Hoisted, hoist
from .norms import Tolerance, max_norm, rms_norm
from .solution import DenseOutput, Resume, Solution, Stats
from .status import SolveError, Status

__all__ = [
    "DenseOutput",
    "Hoisted",
    "Resume",
    "Solution",
    "SolveError",
    "Stats",
    "Status",
    "Tolerance",
    "hoist",
    "max_norm",
    "rms_norm",
]
