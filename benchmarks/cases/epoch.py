"""(j) Training the ODE-Net of Table 1, against torchdiffeq's odenet_mnist.py under PyTorch."""

from collections.abc import Iterator

from benchmarks import peers
from benchmarks.cases.training import contestant
from benchmarks.examples import odenet_mnist as example
from benchmarks.measure import race
from benchmarks.plots import Ratios
from benchmarks.rows import OURS, Row

TITLE = "An epoch of the ODE-Net on MNIST"
GRADIENTS = ("adjoint", "exact")
BATCHES = 64
PLOTS = (Ratios("epoch", against="torchdiffeq"),)
NOTE = f"""\
The network, batch (128), tolerance ({example.TOLERANCE:g}), solver (Dopri5) and optimiser of
torchdiffeq's `odenet_mnist.py`; both libraries begin with the same weights, get the same batches
(scikit-learn's digits, enlarged to 28 x 28 and shifted) and train side by side, one step each in
turn. The times are those of an epoch of MNIST: {example.STEPS_PER_EPOCH} times a step. `adjoint` is
`Backsolve()` against the script's `--adjoint True`, `exact` is `Checkpointed()` against its
backpropagation through the solver. Both get the same cores: one, then two. The losses are compared
after the first update: only roughly, as a different end of a last step changes the gradient by
several percent at relu's kinks (see the convolutional ODE block), and the rate is high."""


def rows(budget: float) -> Iterator[Row]:
    """One row for each gradient."""
    weights, batches = example.weights(), example.batches(BATCHES)
    for gradient in GRADIENTS:
        contestants = [contestant(OURS, example.in_neurode(weights, batches, gradient))]
        absent = []
        if peers.find("torchdiffeq"):
            iteration = example.in_torchdiffeq(weights, batches, gradient)
            contestants.append(contestant("torchdiffeq", iteration))
        else:
            absent.append(peers.not_installed("torchdiffeq"))
        row = race(
            {"gradient": gradient}, contestants, budget, agree=0.05, in_step=True, absent=absent
        )
        for entry in row.entries:
            if entry.seconds is not None:
                entry.seconds *= example.STEPS_PER_EPOCH
        ratio = row.ratio_to("torchdiffeq")
        if ratio is not None:
            row.checks[f"epoch, {gradient}"] = ratio
        yield row
