"""Methods that take one step: pure functions and their coefficients."""

from .adams import Adams
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
from .jacobians import Banded, Dense, Jacobian, MatrixFree
from .rosenbrock import Rodas5P, Rosenbrock23, RosenbrockSolver
from .solver import Solver
from .tableau import ButcherTableau

__all__ = [
    "RK4",
    "RK38",
    "Adams",
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
    "Heun",
    "HeunEuler",
    "Jacobian",
    "KenCarp4",
    "Kvaerno3",
    "Kvaerno5",
    "MatrixFree",
    "Midpoint",
    "Ralston",
    "Rodas5P",
    "Rosenbrock23",
    "RosenbrockSolver",
    "Solver",
    "Tsit5",
]
