"""(h) Compile time of value and gradient, for one system and for lanes."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import peers, programs
from benchmarks.measure import quartiles, seconds
from benchmarks.plots import Ratios
from benchmarks.rows import OURS, Entry, Row
from benchmarks.workloads import MLPProblem, mlp

TITLE = "Compile time"
PROBLEM = MLPProblem(20, 2, 50)
TOLERANCE, FIRST_STEP, SAVES = 1e-5, 0.05, 10
ROUNDS = 3
PLOTS = (Ratios("compiling", against="diffrax"),)
NOTE = f"""\
Time to trace and compile a value and gradient with {SAVES} save times, of 20 x 2 states under an
MLP with 50 hidden units, as one system and as 20 lanes of `jax.vmap`; caches are cleared before
each, nothing is kept on disk. Medians of {ROUNDS} rounds."""


def rows(budget: float) -> Iterator[Row]:
    """One row for each kind of gradient and system; the number of rounds is fixed."""
    del budget
    jax.jit(lambda x: x @ x + 1).lower(jnp.ones((2, 2))).compile()  # wake the compiler
    for lanes in (False, True):
        for kind in ("exact", "adjoint"):
            yield measure(lanes, kind)


def measure(lanes: bool, kind: str) -> Row:
    """One row."""
    row = Row({"system": "20 lanes" if lanes else "one", "gradient": kind})
    names = [name for name in (OURS, "diffrax") if peers.find(name)]
    times = np.array([[once(name, lanes, kind) for name in names] for _ in range(ROUNDS)])
    row.pairs = ROUNDS
    for i, name in enumerate(names):
        ratio = quartiles(times[:, 0] / times[:, i]) if i else None
        row.entries.append(Entry(name, float(np.median(times[:, i])), ratio))
    if "diffrax" in names:
        row.checks["compile, lanes" if lanes else "compile, single"] = row.ratio_to("diffrax")
    else:
        row.entries.append(peers.not_installed("diffrax"))
    return row


def once(name: str, lanes: bool, kind: str) -> float:
    """Seconds to trace and compile, as if for the first time."""
    weights, y0 = PROBLEM.arrays()
    ts, peer = jnp.linspace(0.0, PROBLEM.t1, SAVES), peers.find(name)

    def solve(y0, weights):
        return peer.solve(
            mlp, y0, ts, weights, tolerance=TOLERANCE, first_step=FIRST_STEP, gradient=kind
        )

    loss = programs.loss(solve)
    if lanes:
        loss = programs.shared(loss)
    run = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    jax.clear_caches()
    return seconds(lambda: run.lower(y0, weights).compile())
