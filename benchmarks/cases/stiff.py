"""(i) Stiff problems, in double precision."""

from collections.abc import Iterator

import jax
import numpy as np

from benchmarks import peers, stiff
from benchmarks.measure import Contestant, race
from benchmarks.plots import Ratios
from benchmarks.rows import OURS, Entry, Row

TITLE = "Stiff problems"
TOLERANCES = (1e-4, 1e-6)
METHODS = {
    "Rodas5P": {"scipy": "Radau", "diffrax": "Kvaerno5"},
    "Kvaerno5": {"diffrax": "Kvaerno5"},
    "Radau": {"scipy": "Radau"},
    "BDF": {"scipy": "BDF"},
}
"""neurode's method, and whom it is compared with."""
PLOTS = (
    Ratios("stiff-scipy", against="scipy"),
    Ratios("stiff-diffrax", against="diffrax"),
)
NOTE = f"""\
Robertson to 1e11, van der Pol with mu = 1000, OREGO and HIRES (Hairer & Wanner 1996); the
Brusselator on a line (2 x {stiff.CELLS} unknowns, banded Jacobian) and Allen-Cahn on a square
({stiff.SIDE} x {stiff.SIDE}, matrix-free). Float64, y at the last time. Rodas5P and Radau stand
beside SciPy's Radau, BDF beside SciPy's, Kvaerno5 beside diffrax's. SciPy has its fields in plain
numbers or NumPy, exact Jacobians where they are dense and their sparsity where not. Errors are in
units of the tolerance: the root mean square of (y - reference) / (atol + rtol |reference|).
Evaluations of f are without those for Jacobians, as SciPy counts them. diffrax takes dense
Jacobians only, and is left out where they would be large."""
LARGE = 1000  # unknowns


def rows(budget: float) -> Iterator[Row]:
    """Every problem, tolerance and method."""
    with jax.enable_x64(True):
        for name, problem in stiff.PROBLEMS.items():
            answer = stiff.reference(problem)
            for tolerance in TOLERANCES:
                for method in METHODS:
                    yield measure(name, problem, method, tolerance, answer, budget)


def measure(
    name: str, problem: stiff.StiffProblem, method: str, tolerance: float, answer: np.ndarray,
    budget: float,
) -> Row:  # fmt: skip
    """One row."""
    scale = tolerance * (problem.atol_share + np.abs(answer)) * np.sqrt(answer.size)

    def scaled(y) -> np.ndarray:
        # Differences of these are in units of the tolerance. The reference is a unit vector.
        return (np.asarray(y) - answer) / scale + unit

    unit = np.zeros(answer.size)
    unit[0] = 1.0
    contestants, absent = [ours(problem, method, tolerance, scaled)], []
    for peer, other in METHODS[method].items():
        if peer == "diffrax" and answer.size >= LARGE:
            absent.append(Entry("diffrax", note="dense Jacobians only"))
        elif peers.find(peer) is None:
            absent.append(peers.not_installed(peer))
        else:
            contestants.append(MAKERS[peer](problem, other, tolerance, scaled))
    labels = {"problem": name, "method": method, "tolerance": f"{tolerance:.0e}"}
    row = race(labels, contestants, budget, reference=unit, agree=1e3, absent=absent)
    for peer in METHODS[method]:
        ratio = row.ratio_to(peer)
        if ratio is not None:
            row.checks[f"stiff, {peer}"] = ratio
    return row


def ours(problem, method, tolerance, scaled) -> Contestant:
    """neurode."""
    call = stiff.by_neurode(problem, stiff.SOLVERS[method], tolerance)
    read = lambda sol: (scaled(sol.ys[-1]), float(sol.stats.num_f_evals))  # noqa: E731
    return Contestant(OURS, call, read)


def scipys(problem, method, tolerance, scaled) -> Contestant:
    """SciPy."""
    read = lambda found: (scaled(found[0]), float(found[1]))  # noqa: E731
    return Contestant("scipy", lambda: stiff.by_scipy(problem, method, tolerance), read)


def diffraxs(problem, method, tolerance, scaled) -> Contestant:
    """diffrax's Kvaerno5; its statistics do not count the evaluations of an implicit step."""
    del method
    call = stiff.by_diffrax(problem, tolerance)
    return Contestant("diffrax", call, lambda sol: (scaled(sol.ys[-1]), None))


MAKERS = {"scipy": scipys, "diffrax": diffraxs}
