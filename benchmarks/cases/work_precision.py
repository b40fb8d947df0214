"""(d) Work against precision on non-stiff problems, in double precision."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import peers
from benchmarks.measure import Contestant, race
from benchmarks.plots import Lines
from benchmarks.rows import OURS, Row

TITLE = "Work and precision"
TOLERANCES = tuple(10.0**-k for k in range(3, 11))
METHODS = {
    "Dopri5": {OURS: "Dopri5", "diffrax": "Dopri5", "scipy": "RK45"},
    "Tsit5": {OURS: "Tsit5", "diffrax": "Tsit5", "scipy": "LSODA"},
    "Dopri8": {OURS: "Dopri8", "diffrax": "Dopri8", "scipy": "DOP853"},
}
"""Who is compared with whom: the same method, and LSODA beside Tsit5."""
PLOTS = (
    Lines(
        "work-precision-evaluations", x="evals", y="error", panel=("problem",),
        x_label="evaluations of f", y_label="error at the end",
    ),
    Lines(
        "work-precision-time", x="seconds", y="error", panel=("problem",),
        x_label="seconds", y_label="error at the end",
    ),
)  # fmt: skip
NOTE = """\
The final state, float64, rtol = atol from 1e-3 to 1e-10, first step 0.01 for everyone. Methods
that are the same stand together: Dopri5 is SciPy's RK45, Dopri8 is of the family of DOP853; LSODA
stands beside Tsit5. SciPy's fields are written for SciPy: plain numbers for two and four of them,
NumPy for the chain. `error` is against SciPy's DOP853 at 2.3e-14."""


def lotka_volterra(t, y):
    """Prey and predator."""
    x, z = y
    return jnp.stack([(1.5 - z) * x, (x - 3.0) * z])


def kepler(t, y):
    """A planet round the origin."""
    q, p = y[:2], y[2:]
    return jnp.concatenate([p, -q * jnp.sum(q * q) ** -1.5])


def chain(t, y):
    """Fermi-Pasta-Ulam-Tsingou: masses on springs with a cubic force, both ends held."""
    q, p = jnp.split(y, 2)
    stretch = jnp.diff(q, prepend=0.0, append=0.0)
    return jnp.concatenate([p, jnp.diff(stretch + 0.5 * stretch**3)])


@dataclass(frozen=True)
class Problem:
    """y' = f(t, y) from y0 at 0 to t1."""

    name: str
    f: Callable
    y0: tuple[float, ...]
    t1: float


MASSES = 32
BENT = np.sin(np.pi * np.arange(1, MASSES + 1) / (MASSES + 1))
PROBLEMS = (
    Problem("Lotka-Volterra", lotka_volterra, (1.0, 1.0), 10.0),
    Problem("Kepler, e = 0.5", kepler, (0.5, 0.0, 0.0, 3**0.5), 10.0),
    Problem("chain of 32 masses", chain, (*BENT, *np.zeros(MASSES)), 30.0),
)


def rows(budget: float) -> Iterator[Row]:
    """One row for each problem, method and tolerance."""
    for problem in PROBLEMS:
        answer = reference(problem)
        for method, by_library in METHODS.items():
            for tolerance in TOLERANCES:
                yield measure(problem, method, by_library, tolerance, answer, budget)


def reference(problem: Problem) -> np.ndarray | None:
    """The final state to rounding; None without SciPy."""
    peer = peers.find("scipy")
    if peer is None:
        return None
    f = peer.FIELDS[problem.f.__name__]
    return peer.solve(f, np.array(problem.y0), problem.t1, "DOP853", 2.3e-14, 1e-3)[0]


@cache
def compiled(name: str, problem: Problem, method: str) -> Callable:
    """(y0, tolerance) -> final state, evaluations: compiled once for all tolerances."""
    peer, ts = peers.find(name), np.array([0.0, problem.t1])

    @jax.jit
    def run(y0, tolerance):
        field = lambda t, y, _: problem.f(t, y)  # noqa: E731
        ys, evals = peer.solve(
            field, y0, jnp.asarray(ts), None, tolerance=tolerance, first_step=0.01, solver=method,
            max_steps=20_000,
        )  # fmt: skip
        return ys[-1], evals

    return run


def contestant(name: str, problem: Problem, method: str, tolerance: float) -> Contestant:
    """One library with one method."""
    by = f"{name} {method}"
    if name == "scipy":
        peer, y0 = peers.find(name), np.array(problem.y0)
        f = peer.FIELDS[problem.f.__name__]
        call = lambda: peer.solve(f, y0, problem.t1, method, tolerance, 0.01)  # noqa: E731
        return Contestant(by, call, lambda result: result)
    run = compiled(name, problem, method)
    inputs = jnp.asarray(problem.y0), jnp.asarray(tolerance)
    read = lambda result: (np.asarray(result[0]), float(result[1]))  # noqa: E731
    return Contestant(by, lambda: jax.block_until_ready(run(*inputs)), read)


def measure(problem, method, by_library, tolerance, answer, budget) -> Row:
    """One row."""
    with jax.enable_x64(True):
        present = [name for name in by_library if peers.find(name)]
        contestants = [contestant(n, problem, by_library[n], tolerance) for n in present]
        absent = [peers.not_installed(name) for name in by_library if name not in present]
        labels = {"problem": problem.name, "method": method, "tolerance": f"{tolerance:.0e}"}
        # A solver may add up errors of every step: at 1e-3 the answers are rough.
        agree = min(0.5, 3e3 * tolerance)
        return race(labels, contestants, budget, reference=answer, agree=agree, absent=absent)
