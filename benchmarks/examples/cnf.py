"""cnf: a continuous normalizing flow fitted to two circles by maximum likelihood.

512 points a batch; a field of 64 planar units whose parameters a small network (1-32-32) makes from
t, gated; from t = 10 back to 0, where the density is a Gaussian of variance 0.1. Adam. The trace of
the Jacobian is torchdiffeq's by automatic differentiation, as in its example, and neurode's in
closed form, as in its field.
"""

import numpy as np

from benchmarks.examples import Iteration, linear

NAME = "cnf"
TOLERANCE = 1e-5
POINTS, DIM, WIDTH, HIDDEN = 512, 2, 64, 32
T1, VARIANCE, RATE = 10.0, 0.1, 1e-3
BLOCK = WIDTH * DIM
LOG_SCALE = float(np.log(2 * np.pi * VARIANCE))


def weights() -> dict[str, dict[str, np.ndarray]]:
    """The three layers of the network that makes the parameters."""
    key = np.random.default_rng(0)
    sizes = {"h1": (1, HIDDEN), "h2": (HIDDEN, HIDDEN), "h3": (HIDDEN, 3 * BLOCK + WIDTH)}
    return {name: linear(key, *size) for name, size in sizes.items()}


def batches(count: int) -> list[dict[str, np.ndarray]]:
    """Points [512, 2] on circles of radius 1 and 0.5, with noise."""
    from sklearn.datasets import make_circles

    return [
        {
            "points": make_circles(POINTS, noise=0.06, factor=0.5, random_state=i)[0].astype(
                np.float32
            )
        }
        for i in range(count)
    ]


def in_neurode(weights: dict, batches: list) -> Iteration:
    """With neurode's planar field, whose divergence has a closed form."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import optax

    import neurode as nd
    from benchmarks.examples.training import with_optax
    from neurode.nn import PlanarField

    hyper, key = (HIDDEN, HIDDEN), jax.random.key(0)
    like = PlanarField(DIM, WIDTH, hyper=hyper, average=True, key=key)

    def planar(w):
        made = [x for name in ("h1", "h2", "h3") for x in (w[name]["w"].T, w[name]["b"])]
        return eqx.tree_at(lambda f: [x for n in f.layers for x in (n.weight, n.bias)], like, made)

    def field(t, state, planar):
        dz, divergence = planar.with_divergence(t, state[0])
        return dz, -divergence

    def loss(w, batch):
        start = (batch["points"], jnp.zeros(POINTS))
        sol = nd.solve(
            field, start, jnp.array([T1, 0.0]), (planar(w),), solver=nd.Dopri5(), rtol=TOLERANCE,
            atol=TOLERANCE,
        )  # fmt: skip
        z0, change = sol.ys[0][-1], sol.ys[1][-1]
        base = -LOG_SCALE - jnp.sum(z0**2, 1) / (2 * VARIANCE)
        return -jnp.mean(base - change), sol.stats.num_f_evals

    return with_optax(loss, optax.adam(RATE), weights, batches)


def in_torchdiffeq(weights: dict, batches: list) -> Iteration:
    """As the example does it: the trace by `autograd`, backpropagation through the solver."""
    import torch
    from torch import nn

    from benchmarks.examples.training import with_torch
    from benchmarks.peers.torchdiffeq import solve

    class Field(nn.Module):
        def __init__(self, w):
            super().__init__()
            self.w, self.evals = w, 0

        def velocity(self, t, z):
            w = self.w
            h = torch.tanh(t.reshape(1, 1) @ w["h1"]["w"] + w["h1"]["b"])
            h = torch.tanh(h @ w["h2"]["w"] + w["h2"]["b"])
            made = (h @ w["h3"]["w"] + w["h3"]["b"]).ravel()
            directions, outputs, gates = made[: 3 * BLOCK].reshape(3, WIDTH, DIM)
            units = torch.tanh(z @ directions.T + made[3 * BLOCK :])
            return units @ (outputs * torch.sigmoid(gates)) / WIDTH

        def forward(self, t, state):
            self.evals += 1
            z = state[0].requires_grad_()
            dz = self.velocity(t, z)
            trace = sum(
                torch.autograd.grad(dz[:, i].sum(), z, create_graph=True)[0][:, i]
                for i in range(DIM)
            )
            return dz, -trace

    def loss(w, batch):
        field = Field(w)
        start = (batch["points"].clone(), torch.zeros(POINTS))
        zs, changes = solve(field, start, torch.tensor([T1, 0.0]), rtol=TOLERANCE, atol=TOLERANCE)
        base = -LOG_SCALE - zs[-1].square().sum(1) / (2 * VARIANCE)
        return -(base - changes[-1]).mean(), field.evals

    return with_torch(loss, lambda p: torch.optim.Adam(p, lr=RATE), weights, batches)
