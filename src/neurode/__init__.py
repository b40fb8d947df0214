"""Neural ordinary differential equations: a differentiable solver, and models built on it."""

import importlib
from typing import TYPE_CHECKING, Any

from .core.events import Event
from .core.explanation import explain
from .core.fields import Hamiltonian, Split
from .core.interpolation import Interpolation
from .core.norms import max_norm, rms_norm
from .core.solution import Solution, Stats
from .core.status import SolveError, Status
from .gradients import Backsolve, Checkpointed, Direct, Forward, Interpolated, Reversible
from .ivp import solve
from .solvers import (
    BDF,
    RK4,
    RK38,
    Adams,
    AdamsBashforth,
    AdamsMoulton,
    AsynchronousLeapfrog,
    AutoSwitch,
    Banded,
    Bosh3,
    CashKarp,
    Dense,
    Dopri5,
    Dopri8,
    Euler,
    Fehlberg45,
    ForestRuth,
    Heun,
    HeunEuler,
    KenCarp4,
    Kvaerno3,
    Kvaerno5,
    Leapfrog,
    MatrixFree,
    Midpoint,
    Ralston,
    ReversibleRK,
    Rodas5P,
    Rosenbrock23,
    Ruth3,
    Tsit5,
    Yoshida6,
)
from .stepping import ConstantSteps, IController, PIController, PIDController, StepTo

if TYPE_CHECKING:
    from .diagnosis import Diagnosis, diagnose
    from .estimators import (
        ContinuousFlow,
        DensitySampler,
        LatentODE,
        NeuralODE,
        ODENetClassifier,
        ODENetRegressor,
        PoissonProcess,
        load,
    )
    from .jumps import JumpSolution, Schedule, solve_with_jumps

__version__ = "0.1.0"

# The heavy rooms open on first use (PEP 562), so that the engine imports as fast as JAX.
_ON_FIRST_USE = {
    "ContinuousFlow": "estimators",
    "DensitySampler": "estimators",
    "Diagnosis": "diagnosis",
    "JumpSolution": "jumps",
    "LatentODE": "estimators",
    "NeuralODE": "estimators",
    "ODENetClassifier": "estimators",
    "ODENetRegressor": "estimators",
    "PoissonProcess": "estimators",
    "Schedule": "jumps",
    "diagnose": "diagnosis",
    "load": "estimators",
    "solve_with_jumps": "jumps",
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
    "BDF",
    "RK4",
    "RK38",
    "Adams",
    "AdamsBashforth",
    "AdamsMoulton",
    "AsynchronousLeapfrog",
    "AutoSwitch",
    "Backsolve",
    "Banded",
    "Bosh3",
    "CashKarp",
    "Checkpointed",
    "ConstantSteps",
    "ContinuousFlow",
    "Dense",
    "DensitySampler",
    "Diagnosis",
    "Direct",
    "Dopri5",
    "Dopri8",
    "Euler",
    "Event",
    "Fehlberg45",
    "ForestRuth",
    "Forward",
    "Hamiltonian",
    "Heun",
    "HeunEuler",
    "IController",
    "Interpolated",
    "Interpolation",
    "JumpSolution",
    "KenCarp4",
    "Kvaerno3",
    "Kvaerno5",
    "LatentODE",
    "Leapfrog",
    "MatrixFree",
    "Midpoint",
    "NeuralODE",
    "ODENetClassifier",
    "ODENetRegressor",
    "PIController",
    "PIDController",
    "PoissonProcess",
    "Ralston",
    "Reversible",
    "ReversibleRK",
    "Rodas5P",
    "Rosenbrock23",
    "Ruth3",
    "Schedule",
    "Solution",
    "SolveError",
    "Split",
    "Stats",
    "Status",
    "StepTo",
    "Tsit5",
    "Yoshida6",
    "diagnose",
    "explain",
    "load",
    "max_norm",
    "rms_norm",
    "solve",
    "solve_with_jumps",
]
