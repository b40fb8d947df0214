"""odenet_mnist: the ODE-Net of the paper on images of digits, 28 x 28.

Three convolutions downsample (the script's default), the ODE block has 64 channels, a linear head
reads the mean over positions: 208,266 parameters. Batches of 128, tolerance 1e-3, SGD with momentum
0.9 and rate 0.1. The images are scikit-learn's 8 x 8 digits enlarged, which need no download: how
long a step takes does not depend on whose handwriting it is.
"""

from typing import Any

import numpy as np

from benchmarks.examples import Iteration

NAME = "odenet_mnist"
TOLERANCE, RATE, MOMENTUM = 1e-3, 0.1, 0.9
BATCH, PIXELS, PADDING = 128, 28, 4
STEPS_PER_EPOCH = 60_000 // BATCH


def weights() -> Any:
    """neurode's network as it is drawn; both libraries begin with its arrays."""
    import jax

    import neurode as nd
    from neurode.models import ODENet

    return ODENet(
        downsampling="conv", solver=nd.Dopri5(), rtol=TOLERANCE, atol=TOLERANCE,
        stepsize=nd.IController(), max_steps=256, key=jax.random.key(0),
    )  # fmt: skip


def batches(count: int) -> list[dict[str, np.ndarray]]:
    """Images in [0, 1], [128, 28, 28], shifted by up to 4 pixels each way, and their labels."""
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    key, digits = np.random.default_rng(0), load_digits()
    large = zoom(digits.images / 16, (1, PIXELS / 8, PIXELS / 8), order=1).astype(np.float32)
    padded = np.pad(large, ((0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    found = []
    for _ in range(count):
        rows = key.choice(len(large), BATCH, replace=False)
        corners = key.integers(0, 2 * PADDING + 1, (BATCH, 2))
        images = [
            padded[row, i : i + PIXELS, j : j + PIXELS]
            for row, (i, j) in zip(rows, corners, strict=True)
        ]
        found.append({"images": np.stack(images), "labels": digits.target[rows]})
    return found


def in_neurode(weights: Any, batches: list, gradient: str) -> Iteration:
    """With `Checkpointed()` for the exact gradient, `Backsolve()` for the adjoint."""
    import dataclasses

    import equinox as eqx
    import jax
    import optax

    from benchmarks.examples.training import with_optax
    from benchmarks.peers.neurode import GRADIENTS
    from neurode.models import odenet

    block = dataclasses.replace(weights.block, gradient=GRADIENTS[gradient])
    model = eqx.tree_at(lambda net: net.block, weights, block)

    def loss(model, batch):
        pair = batch["images"], batch["labels"]
        value, metrics = odenet.objective(model, pair, jax.random.key(0), jax.numpy.zeros(()))
        return value, metrics["nfe_forward"]

    return with_optax(loss, optax.sgd(RATE, momentum=MOMENTUM), model, batches)


def in_torchdiffeq(weights: Any, batches: list, gradient: str) -> Iteration:
    """As the script does it: `odeint`, or `odeint_adjoint` with `--adjoint True`."""
    import torch
    from torch.nn import functional

    from benchmarks.peers.torchdiffeq import ODENet

    net = ODENet(weights, tolerance=TOLERANCE, gradient=gradient)
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE, momentum=MOMENTUM)

    def run(batch):
        optimiser.zero_grad()
        logits, evals = net(batch["images"])
        loss = functional.cross_entropy(logits, batch["labels"])
        loss.backward()
        optimiser.step()
        return loss.item(), float(evals)

    tensors = [
        {"images": torch.tensor(batch["images"]), "labels": torch.tensor(batch["labels"])}
        for batch in batches
    ]
    return Iteration(run, tensors)
