"""Neural ordinary differential equations: a differentiable solver, and models built on it."""

import importlib
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from .estimators import LatentODE, NeuralODE, load

__version__ = "0.1.0"

# The heavy rooms open on first use (PEP 562), so that the engine imports as fast as JAX.
_ON_FIRST_USE = {
    "LatentODE": "estimators",
    "NeuralODE": "estimators",
    "load": "estimators",
}


def __getattr__(name: str) -> Any:
    room = _ON_FIRST_USE.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{room}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ON_FIRST_USE})


__all__ = [
    "RK4",
    "RK38",
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
    "LatentODE",
    "Midpoint",
    "NeuralODE",
    "PIController",
    "PIDController",
    "Ralston",
    "Solution",
    "SolveError",
    "Stats",
    "Status",
    "StepTo",
    "Tsit5",
    "load",
    "max_norm",
    "rms_norm",
    "solve",
]
