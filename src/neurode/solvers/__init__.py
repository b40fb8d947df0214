"""Methods that take one step: pure functions and their coefficients."""

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
from .solver import Solver
from .tableau import ButcherTableau

__all__ = [
    "RK4",
    "RK38",
    "Bosh3",
    "ButcherTableau",
    "CashKarp",
    "Dopri5",
    "Dopri8",
    "Euler",
    "ExplicitRungeKutta",
    "Fehlberg45",
    "Heun",
    "HeunEuler",
    "Midpoint",
    "Ralston",
    "Solver",
    "Tsit5",
]
