"""Stiff problems with their answers, and who solves them: neurode, SciPy and diffrax.

Double precision, the same problem and tolerances for everyone. An error is the root mean square of
(y - reference) / (atol + rtol |reference|) at the last time: in units of the tolerance.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from scipy.integrate import solve_ivp

import neurode as nd

CELLS, SIDE = 500, 64


@dataclass(frozen=True, eq=False)
class StiffProblem:
    """y' = f(t, y) with its answer.

    Attributes:
        reference: y(t1), from the test set of Hairer & Wanner (1996), or None: then it is computed
            by SciPy's Radau at a tight tolerance.
        atol_share: the absolute tolerance is this times the relative one.
        jacobian: of neurode's solvers.
        sparsity: the pattern of SciPy's sparse Jacobian; None for a dense one, in closed form.
    """

    f: Callable
    y0: np.ndarray
    t1: float
    atol_share: float
    reference: Any = None
    jacobian: nd.Dense | nd.Banded | nd.MatrixFree = nd.Dense()
    sparsity: Any = None


def robertson(t, y, join=jnp.stack):
    """Robertson (1966): three species, rates over nine orders of magnitude."""
    a, b, c = y
    slow, fast = 0.04 * a - 1e4 * b * c, 3e7 * b**2
    return join([-slow, slow - fast, fast])


def van_der_pol(t, y, join=jnp.stack, mu=1e3):
    """Van der Pol (1926), relaxation oscillations."""
    return join([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


def orego(t, y, join=jnp.stack):
    """The Oregonator of Field & Noyes (1974)."""
    a, b, c = y
    return join(
        [
            77.27 * (b + a * (1 - 8.375e-6 * a - b)),
            (c - (1 + a) * b) / 77.27,
            0.161 * (a - c),
        ]
    )


def hires(t, y, join=jnp.stack):
    """High irradiance response of photomorphogenesis, Schaefer (1975)."""
    a, b, c, d, e, f, g, h = y
    bound = 280 * f * h
    return join(
        [
            -1.71 * a + 0.43 * b + 8.32 * c + 0.0007,
            1.71 * a - 8.75 * b,
            -10.03 * c + 0.43 * d + 0.035 * e,
            8.32 * b + 1.71 * c - 1.12 * d,
            -1.745 * e + 0.43 * f + 0.43 * g,
            -bound + 0.69 * d + 1.71 * e - 0.43 * f + 0.69 * g,
            bound - 1.81 * g,
            -bound + 1.81 * g,
        ]
    )


def brusselator(t, y, xp=jnp, alpha=0.02):
    """Diffusing Brusselator in one dimension by the method of lines: 2 x CELLS unknowns."""
    inner = y.reshape(CELLS, 2)
    walls = xp.array([[1.0, 3.0]], y.dtype)
    grid = xp.concatenate([walls, inner, walls])
    diffusion = alpha * (CELLS + 1) ** 2 * (grid[2:] - 2 * inner + grid[:-2])
    u, v = inner.T
    reaction = xp.stack([1 + u**2 * v - 4 * u, 3 * u - u**2 * v], axis=1)
    return (reaction + diffusion).reshape(-1)


def allen_cahn(t, y, xp=jnp, rate=0.02):
    """Diffusion and reaction on a periodic square: SIDE x SIDE unknowns."""
    u = y.reshape(SIDE, SIDE)
    around = sum(xp.roll(u, shift, axis) for shift in (1, -1) for axis in (0, 1))
    return (rate * SIDE**2 / 4 * (around - 4 * u) + 5 * (u - u**3)).reshape(-1)


def _brusselator_start() -> np.ndarray:
    x = np.arange(1, CELLS + 1) / (CELLS + 1)
    return np.stack([1 + np.sin(2 * np.pi * x), np.full(CELLS, 3.0)], axis=1).reshape(-1)


def _square_start() -> np.ndarray:
    x = np.arange(SIDE) / SIDE * 2 * np.pi
    return (np.sin(x)[:, None] * np.cos(2 * x) + 0.3 * np.sin(5 * x)).reshape(-1)


def _square_pattern() -> Any:
    shift = scipy.sparse.eye(SIDE, k=1) + scipy.sparse.eye(SIDE, k=-1)
    shift = shift + scipy.sparse.eye(SIDE, k=SIDE - 1) + scipy.sparse.eye(SIDE, k=1 - SIDE)
    one = scipy.sparse.eye(SIDE)
    return scipy.sparse.kron(shift + one, one) + scipy.sparse.kron(one, shift)


def _band_pattern() -> Any:
    return scipy.sparse.diags([np.ones(2 * CELLS - abs(k)) for k in range(-2, 3)], range(-2, 3))


PROBLEMS = {
    "Robertson": StiffProblem(
        robertson, np.array([1.0, 0, 0]), 1e11, 1e-4,
        np.array([0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050]),
    ),
    "van der Pol": StiffProblem(
        van_der_pol, np.array([2.0, 0.0]), 2000.0, 1.0,
        np.array([0.1706167732170483e1, -0.8928097010247975e-3]),
    ),
    "OREGO": StiffProblem(
        orego, np.array([1.0, 2.0, 3.0]), 360.0, 1e-2,
        np.array([0.1000814870318523e1, 0.1228178521549917e4, 0.1320554942846706e3]),
    ),
    "HIRES": StiffProblem(
        hires, np.array([1.0, 0, 0, 0, 0, 0, 0, 0.0057]), 321.8122, 1e-3,
        np.array([0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4,
                  0.1175651343283149e-2, 0.2386356198831331e-2, 0.6238968252742796e-2,
                  0.2849998395185769e-2, 0.2850001604814231e-2]),
    ),
    "Brusselator 1-D": StiffProblem(
        brusselator, _brusselator_start(), 10.0, 1.0, None, nd.Banded(2, 2), _band_pattern(),
    ),
    "Allen-Cahn 2-D": StiffProblem(
        allen_cahn, _square_start(), 1.0, 1.0, None, nd.MatrixFree(), _square_pattern(),
    ),
}  # fmt: skip

SOLVERS = {"Rodas5P": nd.Rodas5P, "Kvaerno5": nd.Kvaerno5, "Radau": nd.Radau, "BDF": nd.BDF}


def reference(problem: StiffProblem) -> np.ndarray:
    """The answer to about ten digits."""
    if problem.reference is not None:
        return problem.reference
    return by_scipy(problem, "Radau", 1e-10)[0]


@functools.cache
def scipy_options(problem: StiffProblem) -> tuple[Callable, dict]:
    """f as SciPy likes it, in plain numbers where there are few, and the Jacobian's option."""
    if problem.sparsity is not None:
        return functools.partial(problem.f, xp=np), {"jac_sparsity": problem.sparsity}
    jacobian = jax.jit(jax.jacfwd(problem.f, 1))
    return (
        lambda t, y: problem.f(t, y.tolist(), join=list),
        {"jac": lambda t, y: np.asarray(jacobian(t, y))},
    )


def by_scipy(problem: StiffProblem, method: str, rtol: float) -> tuple[np.ndarray, int, int]:
    """The last state, evaluations of f, and Jacobians."""
    f, options = scipy_options(problem)
    found = solve_ivp(
        f, (0, problem.t1), problem.y0, method, rtol=rtol, atol=rtol * problem.atol_share, **options
    )
    return found.y[:, -1], found.nfev, found.njev


@functools.cache
def compiled(problem: StiffProblem, solver: Any) -> Callable:
    """A compiled solve of (y0, rtol)."""
    ts = jnp.array([0.0, problem.t1])

    @jax.jit
    def run(y0, rtol):
        return nd.solve(
            problem.f, y0, ts, solver=solver(problem.jacobian), rtol=rtol,
            atol=rtol * problem.atol_share, max_steps=100_000, throw=False,
        )  # fmt: skip

    return run


def by_neurode(problem: StiffProblem, solver: Any, rtol: float) -> Callable:
    """A solve, to be called."""
    run, y0 = compiled(problem, solver), jnp.asarray(problem.y0)
    return lambda: jax.block_until_ready(run(y0, rtol))


def by_diffrax(problem: StiffProblem, rtol: float) -> Callable:
    """A compiled solve by Kvaerno5, to be called."""
    import diffrax

    controller = diffrax.PIDController(rtol=rtol, atol=rtol * problem.atol_share)

    @jax.jit
    def run(y0):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, y, _: problem.f(t, y)), diffrax.Kvaerno5(), 0.0,
            problem.t1, None, y0, stepsize_controller=controller, max_steps=None, throw=False,
            saveat=diffrax.SaveAt(t1=True),
        )  # fmt: skip

    return lambda: jax.block_until_ready(run(jnp.asarray(problem.y0)))


def best_of(call: Callable, budget: float) -> float:
    """The least wall time among those that fit the budget (at least two)."""
    times: list[float] = []
    while sum(times) < budget or len(times) < 2:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
        if len(times) > 1 and sum(times) > 5 * budget:
            break
    return min(times)
