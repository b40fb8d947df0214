"""latent_ode: a variational autoencoder of spirals whose latent state follows an ODE.

1,000 noisy windows of 100 times on two spirals; a tanh RNN of 25 units reads each backwards and
gives the mean and the log variance of a latent state of 4; two hidden layers of 20 ELU units are
its dynamics; a decoder of 20 ReLU units gives the positions. The evidence lower bound with a fixed
noise of 0.3; Adam, all windows at once.
"""

import numpy as np

from benchmarks.examples import Iteration, linear

NAME = "latent_ode"
RTOL, ATOL = 1e-7, 1e-9
SPIRALS, TOTAL, WINDOW = 1000, 500, 100
NOISE, GROWTH, STOP = 0.3, 0.3, 6 * np.pi
LATENT, RATE = 4, 0.01


def curves() -> tuple[np.ndarray, np.ndarray]:
    """Times [500], and the two spirals [2, 500, 2]: r = b theta one way, 50 b / theta the other."""
    ts = np.linspace(0.0, STOP, TOTAL)
    found = []
    for angle, radius, centre in (
        (STOP + 1.0 - ts, GROWTH * 50.0 / (STOP + 1.0 - ts), -5.0),
        (ts, GROWTH * ts, 5.0),
    ):
        xy = [radius * np.cos(angle) + centre, radius * np.sin(angle)]
        found.append(np.stack(xy, 1))
    return ts, np.stack(found)


def weights() -> dict[str, dict[str, np.ndarray]]:
    """All layers, drawn as PyTorch does."""
    key = np.random.default_rng(0)
    sizes = {
        "rnn": (2 + 25, 25), "rnn_out": (25, 2 * LATENT), "f1": (LATENT, 20), "f2": (20, 20),
        "f3": (20, LATENT), "d1": (LATENT, 20), "d2": (20, 2),
    }  # fmt: skip
    return {name: linear(key, *size) for name, size in sizes.items()}


def batches(count: int) -> list[dict[str, np.ndarray]]:
    """The same windows each time, with fresh noise for the latent states."""
    key = np.random.default_rng(1)
    ts, both = curves()
    starts = key.integers(WINDOW, TOTAL - WINDOW, SPIRALS)
    which = key.integers(0, 2, SPIRALS)
    windows = np.stack([both[k, s : s + WINDOW] for k, s in zip(which, starts, strict=True)])
    windows = windows + NOISE * key.normal(size=windows.shape)
    shared = {"ts": ts[:WINDOW].astype(np.float32), "xs": windows.astype(np.float32)}
    draws = key.normal(size=(count, SPIRALS, LATENT)).astype(np.float32)
    return [{**shared, "draw": draw} for draw in draws]


LOG_VARIANCE = 2 * float(np.log(NOISE))
LOG_2PI = float(np.log(2 * np.pi))


def in_neurode(weights: dict, batches: list) -> Iteration:
    """With the defaults of `solve`, but for the method and its tolerances."""
    import jax
    import jax.numpy as jnp
    import optax

    import neurode as nd
    from benchmarks.examples.training import with_optax

    def apply(layer, x):
        return x @ layer["w"] + layer["b"]

    def field(t, z, w):
        return apply(w["f3"], jax.nn.elu(apply(w["f2"], jax.nn.elu(apply(w["f1"], z)))))

    def encode(w, xs):
        # Inputs and state side by side in the loop: with their product taken out of it, for all
        # steps at once, it is three times slower here (measured).
        def read(h, x):
            return jnp.tanh(apply(w["rnn"], jnp.concatenate([x, h], 1))), None

        h, _ = jax.lax.scan(read, jnp.zeros((len(xs), 25)), xs.swapaxes(0, 1), reverse=True)
        return jnp.split(apply(w["rnn_out"], h), 2, axis=1)

    def loss(w, batch):
        mean, log_variance = encode(w, batch["xs"])
        z0 = batch["draw"] * jnp.exp(0.5 * log_variance) + mean
        sol = nd.solve(field, z0, batch["ts"], (w,), solver=nd.Dopri5(), rtol=RTOL, atol=ATOL)
        xs = apply(w["d2"], jax.nn.relu(apply(w["d1"], sol.ys))).swapaxes(0, 1)
        misfit = LOG_2PI + LOG_VARIANCE + (batch["xs"] - xs) ** 2 / NOISE**2
        divergence = 0.5 * (jnp.exp(log_variance) + mean**2 - 1 - log_variance)
        value = 0.5 * jnp.sum(misfit, (1, 2)) + jnp.sum(divergence, 1)
        return jnp.mean(value), sol.stats.num_f_evals

    return with_optax(loss, optax.adam(RATE), weights, batches)


def in_torchdiffeq(weights: dict, batches: list) -> Iteration:
    """As the example does it: backpropagation through the solver."""
    import torch
    from torch import nn
    from torch.nn import functional

    from benchmarks.examples.training import with_torch
    from benchmarks.peers.torchdiffeq import solve

    def apply(layer, x):
        return torch.addmm(layer["b"], x, layer["w"])

    class Field(nn.Module):
        def __init__(self, w):
            super().__init__()
            self.w, self.evals = w, 0

        def forward(self, t, z):
            self.evals += 1
            z = functional.elu(apply(self.w["f1"], z))
            return apply(self.w["f3"], functional.elu(apply(self.w["f2"], z)))

    def encode(w, xs):
        h = torch.zeros(len(xs), 25)
        for i in reversed(range(WINDOW)):
            h = torch.tanh(apply(w["rnn"], torch.cat([xs[:, i], h], 1)))
        return apply(w["rnn_out"], h).chunk(2, 1)

    def loss(w, batch):
        mean, log_variance = encode(w, batch["xs"])
        z0 = batch["draw"] * torch.exp(0.5 * log_variance) + mean
        field = Field(w)
        zs = solve(field, z0, batch["ts"], rtol=RTOL, atol=ATOL).transpose(0, 1)
        hidden = functional.relu(zs @ w["d1"]["w"] + w["d1"]["b"])
        xs = hidden @ w["d2"]["w"] + w["d2"]["b"]
        misfit = LOG_2PI + LOG_VARIANCE + (batch["xs"] - xs) ** 2 / NOISE**2
        divergence = 0.5 * (torch.exp(log_variance) + mean**2 - 1 - log_variance)
        return (0.5 * misfit.sum((1, 2)) + divergence.sum(1)).mean(), field.evals

    return with_torch(loss, lambda p: torch.optim.Adam(p, lr=RATE), weights, batches)
