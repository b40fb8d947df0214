"""(e) The convolutional ODE block of the MNIST ODE-Net, against PyTorch's convolutions."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import peers, programs
from benchmarks.measure import Contestant, disagreement, race
from benchmarks.plots import Ratios
from benchmarks.rows import OURS, Row

TITLE = "Convolutional ODE block"
BATCH, SIZE, CHANNELS = 128, 7, 64
TOLERANCE = 1e-3
FIRST_STEP = 0.1
REFERENCE = 1e-6
EQUAL, STEPS = "gradient, equal steps", 4
WHATS = ("forward", "gradient, exact", "gradient, adjoint")
PLOTS = (Ratios("conv", against="torchdiffeq"),)
NOTE = f"""\
The ODE block of the ODE-Net, {BATCH} images of {SIZE} x {SIZE} x {CHANNELS}: two 3 x 3
convolutions with time as a channel and three group normalisations as f, from t = 0 to 1. Dopri5,
rtol = atol = {TOLERANCE:g}, first step {FIRST_STEP:g}, float32, the same weights. The gradient of
the mean square of the final state is with respect to the weights and the initial state; `exact` is
`Checkpointed()` against `odeint`, `adjoint` is `Backsolve()` against `odeint_adjoint`. Both
libraries get the same cores: one, then two. That both compute the same is held with {STEPS} equal
steps of the 3/8 rule, whose gradients must agree to 1e-3. The adaptive solves end their steps in
different places (torchdiffeq steps over the end and interpolates), and relu has kinks: `error`,
against neurode at {REFERENCE:g}, says what that makes of the gradients."""


def rows(budget: float) -> Iterator[Row]:
    """One row for each question, on the threads of this process."""
    from neurode.nn import ConvField

    field = ConvField(CHANNELS, key=jax.random.key(0))
    shape = (SIZE, SIZE, BATCH, CHANNELS)
    x0 = jax.random.normal(jax.random.key(1), shape, jnp.float32)
    peer = peers.find("torchdiffeq")
    absent = [] if peer else [peers.not_installed("torchdiffeq")]
    wrong = not_the_same(peer, field, x0[:, :, :8]) if peer else ""
    tight = {
        "forward": answer(ours(field, x0, "forward", REFERENCE)),
        "gradient": answer(ours(field, x0, "gradient, exact", REFERENCE)),
    }
    for what in WHATS:
        if wrong:
            yield Row({"what": what}, problem=wrong)
            continue
        contestants = [ours(field, x0, what, TOLERANCE)]
        if peer:
            contestants.append(theirs(peer, field, x0, what))
        # Close to the kinks of relu a step more or less changes the gradient by several percent.
        agree = 2e-2 if what == "forward" else 0.2
        reference = tight[what.split(",")[0]]
        yield race(
            {"what": what}, contestants, budget, reference=reference, agree=agree, absent=absent
        )


def not_the_same(peer, field, x0: jax.Array) -> str:
    """What is wrong if both do not give one gradient where both must take the same steps."""
    return disagreement(
        [
            (OURS, answer(ours(field, x0, EQUAL))),
            (peer.NAME, answer(theirs(peer, field, x0, EQUAL))),
        ],
        1e-3,
    )


def answer(contestant: Contestant) -> np.ndarray:
    """What it computes."""
    return contestant.read(contestant.call())[0]


def kind(what: str) -> str:
    """Which gradient."""
    return "adjoint" if what.endswith("adjoint") else "exact"


def ours(field, x0: jax.Array, what: str, tolerance: float = TOLERANCE) -> Contestant:
    """neurode's block; the state has the images before the channels, as its convolutions want."""
    peer, ts = peers.find(OURS), jnp.array([0.0, 1.0])

    def f(t, x, field):
        return field(t, x)

    def solve(x0, field):
        if what == EQUAL:
            return peer.equal_steps(f, STEPS, 1 / STEPS, "exact", x0, field, solver="RK38")
        return peer.solve(
            f, x0, ts, field, tolerance=tolerance, first_step=FIRST_STEP, gradient=kind(what)
        )

    if what == "forward":
        return programs.program(OURS, programs.forward(solve), x0, field)
    return programs.program(OURS, programs.gradient(programs.loss(solve)), x0, field)


def theirs(peer, field, x0: jax.Array, what: str) -> Contestant:
    """torchdiffeq's, with the same weights; answers come back in neurode's layout."""
    import torch

    module = peer.ConvField(field)
    start = torch.tensor(np.ascontiguousarray(np.transpose(np.asarray(x0), (2, 3, 0, 1))))
    ts = torch.tensor([0.0, 1.0])

    def run(x):
        module.evals = 0
        if what == EQUAL:
            return peer.equal_steps(module, x, ts, 1 / STEPS)[1]
        return peer.solve(
            module, x, ts, rtol=TOLERANCE, atol=TOLERANCE, first_step=FIRST_STEP,
            gradient=kind(what),
        )[1]  # fmt: skip

    def forward():
        with torch.no_grad():
            return run(start), None, module.evals

    def gradient():
        leaf = start.clone().requires_grad_()
        module.zero_grad()
        end = run(leaf)
        evals = module.evals
        end.square().mean().backward()
        return leaf.grad, module, evals

    def read(result):
        images, source, evals = result
        images = np.transpose(images.numpy(), (2, 3, 0, 1))
        return programs.flat([images, *(source.slopes() if source else [])]), evals

    return Contestant(peer.NAME, forward if what == "forward" else gradient, read)
