"""Methods that take one step: pure functions and their coefficients."""

from .adams import Adams
from .auto import AutoSwitch
from .bdf import BDF
from .esdirk import EsdirkSolver, KenCarp4, Kvaerno3, Kvaerno5
from .explicit_rk import (
    RK4,
    RK38,
    Bosh3,
    CashKarp,
    Dopri5,
    Dopri8,
    Euler,
    ExplicitRungeKutta,
    Fehlberg45,
    Heun,
    HeunEuler,
    Midpoint,
    Ralston,
    Tsit5,
)
from .fixed_adams import AdamsBashforth, AdamsMoulton, FixedOrderAdams
from .jacobians import Banded, Dense, Jacobian, MatrixFree
from .reversible import AsynchronousLeapfrog, ReversibleRK
from .rosenbrock import Rodas5P, Rosenbrock23, RosenbrockSolver
from .solver import Solver
from .symplectic import ForestRuth, Leapfrog, Ruth3, SymplecticSolver, Yoshida6
from .tableau import ButcherTableau

__all__ = [
    "BDF",
    "RK4",
    "RK38",
    "Adams",
    "AdamsBashforth",
    "AdamsMoulton",
    "AsynchronousLeapfrog",
    "AutoSwitch",
    "Banded",
    "Bosh3",
    "ButcherTableau",
    "CashKarp",
    "Dense",
    "Dopri5",
    "Dopri8",
    "EsdirkSolver",
    "Euler",
    "ExplicitRungeKutta",
    "Fehlberg45",
    "FixedOrderAdams",
    "ForestRuth",
    "Heun",
    "HeunEuler",
    "Jacobian",
    "KenCarp4",
    "Kvaerno3",
    "Kvaerno5",
    "Leapfrog",
    "MatrixFree",
    "Midpoint",
    "Ralston",
    "ReversibleRK",
    "Rodas5P",
    "Rosenbrock23",
    "RosenbrockSolver",
    "Ruth3",
    "Solver",
    "SymplecticSolver",
    "Tsit5",
    "Yoshida6",
]
