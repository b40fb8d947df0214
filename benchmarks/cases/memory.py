"""(f) Memory of a gradient against the number of steps, from XLA's own analysis."""

from collections.abc import Callable, Iterator
from functools import partial

import jax

from benchmarks import peers, programs
from benchmarks.measure import disagreement
from benchmarks.plots import Lines
from benchmarks.rows import OURS, Entry, Row
from benchmarks.workloads import MLPProblem, mlp

TITLE = "Memory of a gradient"
STEPS = (64, 256, 1024, 4096)
PROBLEM = MLPProblem(256, 16, 8)
STATE_KIB = PROBLEM.batch * PROBLEM.dim * 4 / 1024
NOTE = f"""\
Temporary memory of the compiled value-and-gradient, as XLA's memory analysis reports it, for n
equal steps of Dopri5 (`max_steps` = n) from t = 0 to {PROBLEM.t1:g} of an MLP with a state of
{STATE_KIB:.0f} KiB. The gradients are computed once, and compared. `Checkpointed(2 MiB)` is
`Checkpointed(max_memory=2 * 2**20)`."""
PLOTS = (Lines("memory", x="steps", y="bytes", panel=(), x_label="steps", y_label="bytes"),)


def rows(budget: float) -> Iterator[Row]:
    """One row for each number of steps; nothing is timed."""
    del budget
    weights, y0 = PROBLEM.arrays()
    for steps in STEPS:
        row, answers = Row({"steps": steps}), []
        for by, solve in ways(steps):
            run = jax.jit(programs.gradient(programs.loss(solve)))
            compiled = run.lower(y0, weights).compile()
            analysis = compiled.memory_analysis()
            row.entries.append(Entry(by, bytes=int(analysis.temp_size_in_bytes)))
            answers.append((by, programs.flat(compiled(y0, weights)[0])))
        if peers.find("diffrax") is None:
            row.entries.append(peers.not_installed("diffrax"))
        # The continuous adjoint differs from the discrete one by the error of the steps.
        row.problem = disagreement(answers, 1e-3)
        yield row


def ways(steps: int) -> Iterator[tuple[str, Callable]]:
    """(who, solve(y0, weights)) for every way to take a gradient."""
    step = PROBLEM.t1 / steps
    for name in (OURS, "diffrax"):
        peer = peers.find(name)
        for gradient in peer.EQUAL_STEPS_GRADIENTS if peer else ():
            yield f"{name} {gradient}", partial(peer.equal_steps, mlp, steps, step, gradient)
