"""The explicit Runge-Kutta methods, as data. Those of other families: in their own modules."""

from .dopri8 import DOPRI8
from .explicit import (
    BOSH3,
    CASH_KARP,
    DOPRI5,
    EULER,
    FEHLBERG45,
    HEUN,
    HEUN_EULER,
    MIDPOINT,
    RALSTON,
    RK4,
    RK38,
    TSIT5,
)

__all__ = [
    "BOSH3",
    "CASH_KARP",
    "DOPRI5",
    "DOPRI8",
    "EULER",
    "FEHLBERG45",
    "HEUN",
    "HEUN_EULER",
    "MIDPOINT",
    "RALSTON",
    "RK4",
    "RK38",
    "TSIT5",
]
