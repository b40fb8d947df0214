"""(c) What a save time costs: 2, 100 and 1,000 of them, one system and 64 lanes."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import peers, programs
from benchmarks.measure import disagreement, in_turn, quartiles, seconds
from benchmarks.plots import Lines
from benchmarks.rows import OURS, Entry, Row
from benchmarks.workloads import MLPProblem, mlp

TITLE = "Save times"
TOLERANCE = 1e-5
FIRST_STEP = 0.05
SAVES = (2, 100, 1000)
LANES = (1, 64)
WHATS = ("forward", "gradient")
PROBLEM = MLPProblem(64, 4, 32, t1=10.0)
PLOTS = (
    Lines(
        "save-times", x="saves", y="seconds", panel=("system", "what"), x_label="save times",
        y_label="seconds",
    ),
)  # fmt: skip
NOTE = f"""\
States of dimension 4 under tanh(y W1 + b1) W2 + b2 with 32 hidden units from t = 0 to 10, alone or
as 64 lanes of `jax.vmap` with shared weights. Dopri5, rtol = atol = {TOLERANCE:g}, first step
{FIRST_STEP:g}, float32. All numbers of save times run in turn; `one more` is the slope of a round,
(time with {SAVES[-1]} - time with {SAVES[0]}) / {SAVES[-1] - SAVES[0]}, for all lanes together. The
gradient is exact, of the mean square of the saved states, with respect to the initial states and
the weights."""


def rows(budget: float) -> Iterator[Row]:
    """One group of rows for each number of lanes and question."""
    for lanes in LANES:
        for what in WHATS:
            yield from group(lanes, what, budget)


def question(peer, ts: jax.Array, lanes: int, what: str):
    """(y0, weights) -> answer, evaluations."""

    def solve(y0, weights):
        return peer.solve(mlp, y0, ts, weights, tolerance=TOLERANCE, first_step=FIRST_STEP)

    if what == "forward":
        run = programs.forward(solve)
        return run if lanes == 1 else jax.vmap(run, (0, None))
    loss = programs.loss(solve)
    return programs.gradient(loss if lanes == 1 else programs.shared(loss))


def group(lanes: int, what: str, budget: float) -> Iterator[Row]:
    """The rows of all save times, then the cost of one more."""
    weights, y0 = PROBLEM.arrays()
    y0 = y0[0] if lanes == 1 else y0
    labels = {"system": "one" if lanes == 1 else f"{lanes} lanes", "what": what}
    names = [name for name in (OURS, "diffrax") if peers.find(name)]
    absent = [] if "diffrax" in names else [peers.not_installed("diffrax")]
    found = [Row({**labels, "saves": saves}) for saves in SAVES]
    calls = []
    for row, saves in zip(found, SAVES, strict=True):
        ts = jnp.linspace(0.0, PROBLEM.t1, saves)
        answers = []
        for name in names:
            run = question(peers.find(name), ts, lanes, what)
            contestant = programs.program(name, run, y0, weights)
            entry = Entry(name, compile_seconds=seconds(contestant.call))
            answer, entry.evals = contestant.read(contestant.call())
            row.entries.append(entry)
            answers.append((name, answer))
            calls.append(contestant.call)
        row.entries += absent
        row.problem = disagreement(answers, 100 * TOLERANCE)
    slope = Row({**labels, "saves": "one more"}, [Entry(name) for name in names] + absent)
    slope.problem = "; ".join(row.problem for row in found if row.problem)
    if not slope.problem:
        fill(found, slope, in_turn(calls, budget * len(SAVES)), names, lanes, what)
    yield from found
    yield slope


def fill(found, slope: Row, times, names: list[str], lanes: int, what: str) -> None:
    """Put the times where they belong."""
    by_saves = times.seconds.reshape(-1, len(SAVES), len(names))
    per_save = (by_saves[:, -1] - by_saves[:, 0]) / (SAVES[-1] - SAVES[0])
    for row in (*found, slope):
        row.pairs, row.share = times.pairs, times.share
    for j in range(len(names)):
        for i, row in enumerate(found):
            row.entries[j].seconds = float(np.nanmedian(by_saves[:, i, j]))
            if j:
                row.entries[j].ratio = quartiles(by_saves[:, i, 0] / by_saves[:, i, j])
        slope.entries[j].seconds = float(np.nanmedian(per_save[:, j]))
        if j:
            slope.entries[j].ratio = quartiles(per_save[:, 0] / per_save[:, j])
    if lanes == 64 and what == "forward":
        slope.checks["one more save time"] = slope.entries[0].seconds * 1e6
