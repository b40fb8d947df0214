"""SciPy's `solve_ivp`: adaptive Runge-Kutta in NumPy, and LSODA."""

from collections.abc import Callable

import numpy as np
from scipy.integrate import solve_ivp


def lotka_volterra(t: float, y: np.ndarray) -> tuple:
    """Prey and predator, in plain numbers: for two of them that is faster than arrays."""
    x, z = y.tolist()
    return (1.5 - z) * x, (x - 3.0) * z


def kepler(t: float, y: np.ndarray) -> tuple:
    """A planet round the origin."""
    x, z, vx, vz = y.tolist()
    pull = -((x * x + z * z) ** -1.5)
    return vx, vz, pull * x, pull * z


def chain(t: float, y: np.ndarray) -> np.ndarray:
    """Fermi-Pasta-Ulam-Tsingou: masses on springs with a cubic force, both ends held."""
    q, p = y[: len(y) // 2], y[len(y) // 2 :]
    stretch = np.diff(q, prepend=0.0, append=0.0)
    force = stretch + 0.5 * stretch**3
    return np.concatenate([p, np.diff(force)])


FIELDS = {"lotka_volterra": lotka_volterra, "kepler": kepler, "chain": chain}
"""The fields of `cases/work_precision.py`, by the names of their functions."""


def solve(
    f: Callable, y0: np.ndarray, t1: float, method: str, tolerance: float, first_step: float
) -> tuple[np.ndarray, int]:
    """y(t1) from y0 at 0, and the number of evaluations of f."""
    sol = solve_ivp(
        f, (0.0, t1), y0, method=method, t_eval=[t1], rtol=tolerance, atol=tolerance,
        first_step=first_step,
    )  # fmt: skip
    if not sol.success:
        raise RuntimeError(f"{method}: {sol.message}")
    return sol.y[:, -1], sol.nfev
