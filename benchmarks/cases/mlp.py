"""(a) One system: the states of a batch under a network, integrated jointly."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import peers, programs
from benchmarks.measure import race
from benchmarks.plots import Ratios
from benchmarks.rows import OURS, Row
from benchmarks.workloads import MLP_PROBLEMS, MLPProblem, mlp

TITLE = "One system"
TOLERANCE = 1e-5
FIRST_STEP = 0.05
SAVES = (2, 10)
WHATS = ("forward", "gradient, exact", "gradient, adjoint")
PLOTS = (Ratios("one-system", against="diffrax"),)
NOTE = f"""\
A batch of states under tanh(y W1 + b1) W2 + b2, one joint system from t = 0 to 3. Dopri5, the same
rule for the step size, rtol = atol = {TOLERANCE:g}, first step {FIRST_STEP:g}, float32. The loss is
the mean square of the saved states; its gradient is with respect to the weights and the initial
state. `exact`: `Checkpointed()` against `RecursiveCheckpointAdjoint()`, both defaults. `adjoint`:
`Backsolve()` against `BacksolveAdjoint` with its seminorm. `error` is against a solve in float64 to
1e-12. `floor`: as many evaluations of f as neurode's solve takes, in a compiled loop and with
nothing around them; for the gradient, as many of f with its vjp besides."""
SMALL = [problem.name for problem in MLP_PROBLEMS[:3]]
# The first three sizes spend their time in the solver, the last one in f: each has its goals.
GOALS = {
    "forward": lambda small: "forward",
    "gradient, exact": lambda small: "exact, small" if small else "exact, large",
    "gradient, adjoint": lambda small: "adjoint, small" if small else "adjoint, large",
}


def rows(budget: float) -> Iterator[Row]:
    """Every size, save times and question."""
    for problem in MLP_PROBLEMS:
        for saves in SAVES:
            references = reference(problem, saves)
            for what in WHATS:
                yield measure(problem, saves, what, references[what.split(",")[0]], budget)


def solver(peer, ts: jax.Array, what: str):
    """solve(y0, weights) of one peer."""
    kind = "adjoint" if what.endswith("adjoint") else "exact"

    def solve(y0, weights):
        return peer.solve(
            mlp, y0, ts, weights, tolerance=TOLERANCE, first_step=FIRST_STEP, gradient=kind
        )

    return solve


def question(solve, what: str):
    """The function that is timed: (y0, weights) -> answer, evaluations."""
    return programs.forward(solve) if what == "forward" else programs.gradient(programs.loss(solve))


def reference(problem: MLPProblem, saves: int) -> dict[str, np.ndarray]:
    """The answers in float64, to 1e-12."""
    with jax.enable_x64(True):
        weights, y0 = programs.doubled(problem.arrays())
        ts = jnp.asarray(np.linspace(0.0, problem.t1, saves))
        solve = programs.tight(peers.find(OURS), mlp, ts, FIRST_STEP, 1e-12)
        return programs.references(solve, y0, weights)


def measure(problem: MLPProblem, saves: int, what: str, answer: np.ndarray, budget: float) -> Row:
    """One row."""
    weights, y0 = problem.arrays()
    ts = jnp.linspace(0.0, problem.t1, saves)
    contestants, absent = [], []
    for name in (OURS, "diffrax"):
        peer = peers.find(name)
        if peer is None:
            absent.append(peers.not_installed(name))
            continue
        run = question(solver(peer, ts, what), what)
        contestants.append(programs.program(name, run, y0, weights))
    if what == "forward":
        contestants.append(programs.forward_floor(mlp, contestants[0], y0, weights))
    elif what == "gradient, exact":
        contestants.append(programs.gradient_floor(mlp, contestants[0], y0, weights))
    labels = {"batch x dim, hidden": problem.name, "saves": saves, "what": what}
    row = race(labels, contestants, budget, reference=answer, agree=100 * TOLERANCE, absent=absent)
    row.checks = dict(checks(row, problem, what))
    return row


def checks(row: Row, problem: MLPProblem, what: str) -> Iterator[tuple[str, float]]:
    """What this row has to say about the goals."""
    if row.problem:
        return
    ratio = row.ratio_to("diffrax")
    if ratio is not None:
        yield GOALS[what](problem.name in SMALL), ratio
        if what != "forward":
            yield "gradient error", row.entry(OURS).error / row.entry("diffrax").error
    floor = row.entry("floor")
    if what == "gradient, exact":
        yield "floor, gradient", floor.ratio[1]
    elif what == "forward" and floor.seconds > 2e-6 * row.entry(OURS).evals:
        yield "floor, forward", floor.ratio[1]
