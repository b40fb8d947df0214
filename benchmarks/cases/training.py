"""(g) Whole training iterations of torchdiffeq's three examples."""

import importlib
from collections.abc import Iterator

import numpy as np

from benchmarks import peers
from benchmarks.measure import Contestant, race
from benchmarks.plots import Ratios
from benchmarks.rows import OURS, Row

TITLE = "Training iterations"
EXAMPLES = ("ode_demo", "latent_ode", "cnf")
BATCHES = 32
PLOTS = (Ratios("training", against="torchdiffeq"),)
NOTE = """\
One iteration is a batch, the loss, its gradient and the optimiser's update, with the model, batch
size, tolerances, solver (Dopri5) and optimiser of torchdiffeq's `ode_demo.py`, `latent_ode.py` and
`cnf.py`; both libraries start from the same weights, get the same batches and train side by side.
Everyone takes the exact gradient (`Checkpointed()`; `odeint`) and chooses its own first step. The
losses are compared after the first update."""


def rows(budget: float) -> Iterator[Row]:
    """One row for each example."""
    for name in EXAMPLES:
        example = importlib.import_module(f"benchmarks.examples.{name}")
        weights, batches = example.weights(), example.batches(BATCHES)
        contestants = [contestant(OURS, example.in_neurode(weights, batches))]
        absent = []
        if peers.find("torchdiffeq"):
            iteration = example.in_torchdiffeq(weights, batches)
            contestants.append(contestant("torchdiffeq", iteration))
        else:
            absent.append(peers.not_installed("torchdiffeq"))
        row = race({"example": name}, contestants, budget, agree=1e-3, in_step=True, absent=absent)
        ratio = row.ratio_to("torchdiffeq")
        if ratio is not None:
            row.checks["training"] = ratio
        yield row


def contestant(by: str, iteration) -> Contestant:
    """Its answer is the loss."""

    def read(result):
        loss, evals = result
        return np.array([loss]), evals

    return Contestant(by, iteration, read)
