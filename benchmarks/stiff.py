"""Stiff problems: neurode's implicit solvers beside SciPy's Radau and BDF and diffrax's Kvaerno5.

    python benchmarks/stiff.py [--budget SECONDS_PER_TIME] [--problem NAME ...]

One thread, float64, the same problem, tolerances and (for SciPy) exact Jacobians. An error is the
root mean square of (y - reference) / (atol + rtol |reference|) at the last time: in units of the
tolerance. SciPy counts evaluations for the Jacobian apart from those of f, as neurode does.
"""

import os

if __name__ == "__main__":
    THREADS = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {THREADS}".strip()

import argparse
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
        band: (lower, upper) for SciPy's sparse Jacobian; None for a dense one.
    """

    f: Callable
    y0: np.ndarray
    t1: float
    atol_share: float
    reference: Any = None
    jacobian: nd.Dense | nd.Banded | nd.MatrixFree = nd.Dense()
    sparsity: Any = None


def robertson(t, y):
    """Robertson (1966): three species, rates over nine orders of magnitude."""
    a, b, c = y
    slow, fast = 0.04 * a - 1e4 * b * c, 3e7 * b**2
    return jnp.stack([-slow, slow - fast, fast])


def van_der_pol(t, y, mu=1e3):
    """Van der Pol (1926), relaxation oscillations."""
    return jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


def orego(t, y):
    """The Oregonator of Field & Noyes (1974)."""
    a, b, c = y
    return jnp.stack(
        [
            77.27 * (b + a * (1 - 8.375e-6 * a - b)),
            (c - (1 + a) * b) / 77.27,
            0.161 * (a - c),
        ]
    )


def hires(t, y):
    """High irradiance response of photomorphogenesis, Schaefer (1975)."""
    a, b, c, d, e, f, g, h = y
    bound = 280 * f * h
    return jnp.stack(
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


def brusselator(t, y, alpha=0.02):
    """Diffusing Brusselator in one dimension by the method of lines: 2 x CELLS unknowns."""
    inner = y.reshape(CELLS, 2)
    walls = jnp.array([[1.0, 3.0]], y.dtype)
    grid = jnp.concatenate([walls, inner, walls])
    diffusion = alpha * (CELLS + 1) ** 2 * (grid[2:] - 2 * inner + grid[:-2])
    u, v = inner.T
    reaction = jnp.stack([1 + u**2 * v - 4 * u, 3 * u - u**2 * v], axis=1)
    return (reaction + diffusion).reshape(-1)


def allen_cahn(t, y, rate=0.02):
    """Diffusion and reaction on a periodic square: SIDE x SIDE unknowns."""
    u = y.reshape(SIDE, SIDE)
    around = sum(jnp.roll(u, shift, axis) for shift in (1, -1) for axis in (0, 1))
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

SOLVERS = {"Rodas5P": nd.Rodas5P, "Kvaerno5": nd.Kvaerno5, "BDF": nd.BDF}
TOLERANCES = (1e-4, 1e-6)


def reference(problem: StiffProblem) -> np.ndarray:
    """The answer to about nine digits."""
    if problem.reference is not None:
        return problem.reference
    return by_scipy(problem, "Radau", 1e-9)[0]


def error(y: Any, answer: np.ndarray, problem: StiffProblem, rtol: float) -> float:
    """In units of the tolerance."""
    scale = rtol * (problem.atol_share + np.abs(answer))
    return float(np.sqrt(np.mean(((np.asarray(y) - answer) / scale) ** 2)))


def by_scipy(problem: StiffProblem, method: str, rtol: float) -> tuple[np.ndarray, int, int]:
    """The last state, evaluations of f, and Jacobians."""
    f = jax.jit(problem.f)
    options: dict[str, Any] = {"jac_sparsity": problem.sparsity}
    if problem.sparsity is None:
        jacobian = jax.jit(jax.jacfwd(problem.f, 1))
        options = {"jac": lambda t, y: np.asarray(jacobian(t, y))}
    found = solve_ivp(
        lambda t, y: np.asarray(f(t, y)), (0, problem.t1), problem.y0, method, rtol=rtol,
        atol=rtol * problem.atol_share, **options,
    )  # fmt: skip
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


def by_diffrax(problem: StiffProblem, rtol: float) -> Callable | None:
    """A compiled solve, where diffrax is installed and its dense Jacobian is no hindrance."""
    if problem.y0.size > 2000:
        return None
    try:
        import diffrax
    except ImportError:
        return None
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


def measure(name: str, budget: float) -> list[dict]:
    """All solvers on one problem."""
    problem = PROBLEMS[name]
    answer = reference(problem)
    found = []

    def add(solver, rtol, y, evals, jacobians, seconds):
        found.append(
            {
                "problem": name, "unknowns": problem.y0.size, "solver": solver, "rtol": rtol,
                "error": error(y, answer, problem, rtol), "f_evals": int(evals),
                "jacobians": int(jacobians), "seconds": seconds,
            }
        )  # fmt: skip

    for rtol in TOLERANCES:
        for label, solver in SOLVERS.items():
            call = by_neurode(problem, solver, rtol)
            sol = call()
            if int(sol.status) != nd.Status.SUCCESS:
                continue
            stats = sol.stats
            add(label, rtol, sol.ys[-1], stats.num_f_evals, stats.num_jacobians,
                best_of(call, budget))  # fmt: skip
        for method in ("Radau", "BDF"):
            by_scipy(problem, method, 1e-2)  # compile f
            start = time.perf_counter()
            y, evals, jacobians = by_scipy(problem, method, rtol)
            add(f"SciPy {method}", rtol, y, evals, jacobians, time.perf_counter() - start)
        call = by_diffrax(problem, rtol)
        if call is not None:
            sol = call()
            add("diffrax Kvaerno5", rtol, sol.ys[-1], 0, 0, best_of(call, budget))
    return found


def rows(budget: float, names: Any = tuple(PROBLEMS)) -> list[dict]:
    """One row per problem, tolerance and solver; times in seconds, one thread, without compiling.

    Args:
        budget: seconds for each time that is measured.
        names: of problems.
    """
    with jax.enable_x64(True):
        return [row for name in names for row in measure(name, budget)]


def main() -> None:
    """Print the table as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--budget", type=float, default=1.0)
    parser.add_argument("--problem", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    chosen = parser.parse_args()
    for name in chosen.problem:
        for row in rows(chosen.budget, [name]):
            print(
                f"{row['problem']:16s} {row['unknowns']:5d} {row['rtol']:.0e} "
                f"{row['solver']:17s} error {row['error']:9.3g}  f {row['f_evals']:6d} "
                f"J {row['jacobians']:5d}  {row['seconds'] * 1e3:10.2f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
