"""Neural ordinary differential equations: a differentiable solver, and models built on it."""

from .core.norms import max_norm, rms_norm
from .core.solution import Solution, Stats
from .core.status import SolveError, Status
from .gradients import Backsolve, Checkpointed, Direct
from .ivp import solve
from .solvers import (
    RK4,
    RK38,
    Bosh3,
    CashKarp,
    Dopri5,
    Dopri8,
    Euler,
    Fehlberg45,
    Heun,
    HeunEuler,
    Midpoint,
    Ralston,
    Tsit5,
)
from .stepping import ConstantSteps, IController, PIController, PIDController, StepTo

__version__ = "0.1.0"

__all__ = [
    "Backsolve",
    "Bosh3",
    "CashKarp",
    "Checkpointed",
    "ConstantSteps",
    "Direct",
    "Dopri5",
    "Dopri8",
    "Euler",
    "Fehlberg45",
    "Heun",
    "HeunEuler",
    "IController",
    "Midpoint",
    "PIController",
    "PIDController",
    "RK38",
    "RK4",
    "Ralston",
    "Solution",
    "SolveError",
    "Stats",
    "Status",
    "StepTo",
    "Tsit5",
    "max_norm",
    "rms_norm",
    "solve",
]
