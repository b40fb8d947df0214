"""Methods that take one step: pure functions and their coefficients."""

from typing import TYPE_CHECKING

from ..core.first_use import on_first_use
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

if TYPE_CHECKING:
    from .adams import Adams
    from .auto import AutoSwitch
    from .bdf import BDF
    from .esdirk import EsdirkSolver, KenCarp4, Kvaerno3, Kvaerno5
    from .fixed_adams import AdamsBashforth, AdamsMoulton, FixedOrderAdams
    from .jacobians import Banded, Dense, Jacobian, MatrixFree
    from .radau import Radau
    from .reversible import AsynchronousLeapfrog, ReversibleRK
    from .rosenbrock import Rodas5P, Rosenbrock23, RosenbrockSolver
    from .symplectic import ForestRuth, Leapfrog, Ruth3, SymplecticSolver, Yoshida6

# The other families open on first use.
_ON_FIRST_USE = {
    "BDF": "bdf",
    "Adams": "adams",
    "AdamsBashforth": "fixed_adams",
    "AdamsMoulton": "fixed_adams",
    "AsynchronousLeapfrog": "reversible",
    "AutoSwitch": "auto",
    "Banded": "jacobians",
    "Dense": "jacobians",
    "EsdirkSolver": "esdirk",
    "FixedOrderAdams": "fixed_adams",
    "ForestRuth": "symplectic",
    "Jacobian": "jacobians",
    "KenCarp4": "esdirk",
    "Kvaerno3": "esdirk",
    "Kvaerno5": "esdirk",
    "Leapfrog": "symplectic",
    "MatrixFree": "jacobians",
    "Radau": "radau",
    "ReversibleRK": "reversible",
    "Rodas5P": "rosenbrock",
    "Rosenbrock23": "rosenbrock",
    "RosenbrockSolver": "rosenbrock",
    "Ruth3": "symplectic",
    "SymplecticSolver": "symplectic",
    "Yoshida6": "symplectic",
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
    "Radau",
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
