"""Neural ordinary differential equations: a differentiable solver, and models built on it."""

from typing import TYPE_CHECKING

from .core.events import Event
from .core.explanation import explain
from .core.fields import Hamiltonian, Split
from .core.first_use import on_first_use
from .core.interpolation import Interpolation
from .core.norms import max_norm, rms_norm
from .core.solution import Solution, Stats
from .core.status import SolveError, Status
from .gradients import Backsolve, Checkpointed, Direct, Forward, Interpolated, Reversible
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
    from .solvers import (
        BDF,
        Adams,
        AdamsBashforth,
        AdamsMoulton,
        AsynchronousLeapfrog,
        AutoSwitch,
        Banded,
        Dense,
        ForestRuth,
        KenCarp4,
        Kvaerno3,
        Kvaerno5,
        Leapfrog,
        MatrixFree,
        Radau,
        ReversibleRK,
        Rodas5P,
        Rosenbrock23,
        Ruth3,
        Yoshida6,
    )

__version__ = "0.1.0"

# The heavy rooms, and most solvers, open on first use, so that the engine imports as fast as JAX.
_ON_FIRST_USE = {
    "BDF": "solvers",
    "Adams": "solvers",
    "AdamsBashforth": "solvers",
    "AdamsMoulton": "solvers",
    "AsynchronousLeapfrog": "solvers",
    "AutoSwitch": "solvers",
    "Banded": "solvers",
    "ContinuousFlow": "estimators",
    "Dense": "solvers",
    "DensitySampler": "estimators",
    "Diagnosis": "diagnosis",
    "ForestRuth": "solvers",
    "JumpSolution": "jumps",
    "KenCarp4": "solvers",
    "Kvaerno3": "solvers",
    "Kvaerno5": "solvers",
    "LatentODE": "estimators",
    "Leapfrog": "solvers",
    "MatrixFree": "solvers",
    "NeuralODE": "estimators",
    "ODENetClassifier": "estimators",
    "ODENetRegressor": "estimators",
    "PoissonProcess": "estimators",
    "Radau": "solvers",
    "ReversibleRK": "solvers",
    "Rodas5P": "solvers",
    "Rosenbrock23": "solvers",
    "Ruth3": "solvers",
    "Schedule": "jumps",
    "Yoshida6": "solvers",
    "diagnose": "diagnosis",
    "load": "estimators",
    "solve_with_jumps": "jumps",
}

__getattr__, __dir__ = on_first_use(__name__, _ON_FIRST_USE)

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
    "Radau",
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
