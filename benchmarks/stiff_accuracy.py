"""What the stiff solvers achieve at a tolerance, and for how many evaluations, beside SciPy's.

    python -m benchmarks.stiff_accuracy [METHOD ...]

Prints the table of docs/guides/choose-a-solver.md: the error at the last time in units of the
tolerance, and evaluations of f and of its Jacobian together. The last step of a solve lands by
chance, and errors at one tolerance scatter tenfold: each number is the geometric mean over five
tolerances within a quarter of the one named.
"""

import sys

import jax
import numpy as np

from benchmarks import stiff

PEERS = {"Radau": "Radau", "Rodas5P": "Radau", "Kvaerno5": "Radau", "BDF": "BDF"}
PROBLEMS = ("Robertson", "van der Pol", "OREGO", "HIRES", "Brusselator 1-D")
TOLERANCES = (1e-4, 1e-6, 1e-8)
NEARBY = np.geomspace(0.8, 1.25, 5)


def average(problem: stiff.StiffProblem, answer: np.ndarray, tolerance: float, run) -> np.ndarray:
    """Error in units of the tolerance, and evaluations, of run(rtol) -> (y, evaluations)."""
    found = []
    for rtol in tolerance * NEARBY:
        y, evals = run(rtol)
        scale = rtol * (problem.atol_share + np.abs(answer))
        found.append((np.sqrt(np.mean(((np.asarray(y) - answer) / scale) ** 2)), evals))
    return np.exp(np.mean(np.log(found), axis=0))


def ours(problem: stiff.StiffProblem, method: str):
    """By neurode."""

    def run(rtol):
        sol = stiff.by_neurode(problem, stiff.SOLVERS[method], rtol)()
        return sol.ys[-1], int(sol.stats.num_f_evals) + int(sol.stats.num_jacobians)

    return run


def theirs(problem: stiff.StiffProblem, method: str):
    """By SciPy."""

    def run(rtol):
        y, evals, jacobians = stiff.by_scipy(problem, method, rtol)
        return y, evals + jacobians

    return run


def main(methods: list[str]) -> None:
    """A line per problem, tolerance and method."""
    print("| problem | rtol | method | error | f + J | SciPy | error | f + J | ratios |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in PROBLEMS:
        problem = stiff.PROBLEMS[name]
        answer = stiff.reference(problem)
        for tolerance in TOLERANCES:
            peers: dict[str, np.ndarray] = {}
            for method in methods:
                peer = PEERS[method]
                if peer not in peers:
                    peers[peer] = average(problem, answer, tolerance, theirs(problem, peer))
                mine, other = (
                    average(problem, answer, tolerance, ours(problem, method)),
                    peers[peer],
                )
                cells = [f"{x:.2g} | {n:.0f}" for x, n in (mine, other)]
                ratio = mine / other
                print(
                    f"| {name} | {tolerance:.0e} | {method} | {cells[0]} | {peer} | {cells[1]} | "
                    f"{ratio[0]:.2f}, {ratio[1]:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    with jax.enable_x64(True):
        main(sys.argv[1:] or list(PEERS))
