"""ode_demo: learn a spiral, y' = y^3 A, from short windows of one trajectory.

A network of 50 tanh units of y^3; 20 windows of 10 times; mean absolute error; RMSprop. The solver
runs at torchdiffeq's default tolerances.
"""

import numpy as np

from benchmarks.examples import Iteration

NAME = "ode_demo"
RTOL, ATOL = 1e-7, 1e-9
TIMES, WINDOW, BATCH = 1000, 10, 20
A = np.array([[-0.1, 2.0], [-2.0, -0.1]])
RATE = 1e-3


def trajectory() -> tuple[np.ndarray, np.ndarray]:
    """Times [1000] and the true states [1000, 2]."""
    from scipy.integrate import solve_ivp

    ts = np.linspace(0.0, 25.0, TIMES)
    field = lambda t, y: y**3 @ A  # noqa: E731
    sol = solve_ivp(field, (0.0, 25.0), [2.0, 0.0], t_eval=ts, rtol=1e-9, atol=1e-9)
    return ts, sol.y.T


def weights() -> dict[str, np.ndarray]:
    """Small random weights, no biases."""
    key = np.random.default_rng(0)
    return {
        "w1": key.normal(0, 0.1, (2, 50)).astype(np.float32), "b1": np.zeros(50, np.float32),
        "w2": key.normal(0, 0.1, (50, 2)).astype(np.float32), "b2": np.zeros(2, np.float32),
    }  # fmt: skip


def batches(count: int) -> list[dict[str, np.ndarray]]:
    """Windows: times [10], states [10, 20, 2]."""
    key = np.random.default_rng(1)
    ts, ys = trajectory()
    found = []
    for _ in range(count):
        starts = key.choice(TIMES - WINDOW, BATCH, replace=False)
        windows = np.stack([ys[starts + i] for i in range(WINDOW)])
        found.append({"ts": ts[:WINDOW].astype(np.float32), "ys": windows.astype(np.float32)})
    return found


def in_neurode(weights: dict, batches: list) -> Iteration:
    """With the defaults of `solve`, but for the method and its tolerances."""
    import jax.numpy as jnp
    import optax

    import neurode as nd
    from benchmarks.examples.training import with_optax

    def field(t, y, w):
        return jnp.tanh(y**3 @ w["w1"] + w["b1"]) @ w["w2"] + w["b2"]

    def loss(w, batch):
        sol = nd.solve(
            field, batch["ys"][0], batch["ts"], (w,), solver=nd.Dopri5(), rtol=RTOL, atol=ATOL
        )
        return jnp.mean(jnp.abs(sol.ys - batch["ys"])), sol.stats.num_f_evals

    # PyTorch's RMSprop: its epsilon stands outside of the root.
    optimiser = optax.rmsprop(RATE, decay=0.99, eps=1e-8, eps_in_sqrt=False)
    return with_optax(loss, optimiser, weights, batches)


def in_torchdiffeq(weights: dict, batches: list) -> Iteration:
    """As the example does it: backpropagation through the solver."""
    import torch
    from torch import nn

    from benchmarks.examples.training import with_torch
    from benchmarks.peers.torchdiffeq import solve

    class Field(nn.Module):
        def __init__(self, w):
            super().__init__()
            self.w, self.evals = w, 0

        def forward(self, t, y):
            self.evals += 1
            w = self.w
            return torch.tanh(y**3 @ w["w1"] + w["b1"]) @ w["w2"] + w["b2"]

    def loss(w, batch):
        field = Field(w)
        ys = solve(field, batch["ys"][0], batch["ts"], rtol=RTOL, atol=ATOL)
        return (ys - batch["ys"]).abs().mean(), field.evals

    return with_torch(loss, lambda p: torch.optim.RMSprop(p, lr=RATE), weights, batches)
