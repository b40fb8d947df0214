"""(e) The convolutional ODE block of the MNIST ODE-Net, against PyTorch's convolutions."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import peers
import programs
from measure import Contestant, race
from plots import Ratios
from rows import OURS, Row

TITLE = "Convolutional ODE block"
BATCH, SIZE, CHANNELS = 128, 7, 64
TOLERANCE = 1e-3
FIRST_STEP = 0.1
WHATS = ("forward", "gradient, exact", "gradient, adjoint")
PLOTS = (Ratios("conv", against="torchdiffeq"),)
NOTE = f"""\
The ODE block of the ODE-Net, {BATCH} images of {SIZE} x {SIZE} x {CHANNELS}: two 3 x 3
convolutions with time as a channel and three group normalisations as f, from t = 0 to 1. Dopri5,
rtol = atol = {TOLERANCE:g}, first step {FIRST_STEP:g}, float32, the same weights. The gradient of
the mean square of the final state is with respect to the weights and the initial state; `exact` is
`Checkpointed()` against `odeint`, `adjoint` is `Backsolve()` against `odeint_adjoint`. Both
libraries get the same cores: one, then two."""


def rows(budget: float) -> Iterator[Row]:
    """One row for each question, on the threads of this process."""
    from neurode.nn import ConvField

    field = ConvField(CHANNELS, key=jax.random.key(0))
    shape = (SIZE, SIZE, BATCH, CHANNELS)
    x0 = jax.random.normal(jax.random.key(1), shape, jnp.float32)
    for what in WHATS:
        contestants, absent = [ours(field, x0, what)], []
        peer = peers.find("torchdiffeq")
        if peer is None:
            absent.append(peers.not_installed("torchdiffeq"))
        else:
            contestants.append(theirs(peer, field, x0, what))
        yield race({"what": what}, contestants, budget, agree=2e-2, absent=absent)


def kind(what: str) -> str:
    """Which gradient."""
    return "adjoint" if what.endswith("adjoint") else "exact"


def ours(field, x0: jax.Array, what: str) -> Contestant:
    """neurode's block; the state has the images before the channels, as its convolutions want."""
    peer, ts = peers.find(OURS), jnp.array([0.0, 1.0])

    def solve(x0, field):
        return peer.solve(
            lambda t, x, field: field(t, x), x0, ts, field, tolerance=TOLERANCE,
            first_step=FIRST_STEP, gradient=kind(what),
        )  # fmt: skip

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

    return Contestant("torchdiffeq", forward if what == "forward" else gradient, read)
