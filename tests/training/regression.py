"""A small noisy regression to train on, and a script that trains it: `regression.py FOLDER`."""

import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from neurode.training import fit

STEPS = 1200
OPTIMIZER = optax.adam(3e-3)  # one object for all tests: the program is compiled once
KEY = jax.random.key(7)
MODEL = eqx.nn.MLP(2, 1, 8, 1, key=jax.random.key(1))


class Rows(eqx.Module):
    """`size` random rows for each step, and the step itself."""

    x: jax.Array
    y: jax.Array
    bad: jax.Array  # the steps at which the objective shall not be finite
    size: int = eqx.field(static=True)

    @property
    def steps_per_epoch(self):
        return self.x.shape[0] // self.size

    def __call__(self, step):
        key = jax.random.fold_in(jax.random.key(5), step)
        rows = jax.random.randint(key, (self.size,), 0, self.x.shape[0])
        is_bad = jnp.full((self.size,), (self.bad == step).any())
        return self.x[rows], self.y[rows], is_bad


def make_batches(size=16, seed=0, bad=()):
    x = jax.random.normal(jax.random.key(seed), (64, 2))
    bad = jnp.array([*bad, *[-1] * (3 - len(bad))], jnp.int32)
    return Rows(x, jnp.sin(x[:, :1]) * x[:, 1:], bad, size)


BATCHES = make_batches()


def objective(model, batch, key, probe):
    """Mean squared error on noisy inputs, so that the key matters; NaN where the batch says so."""
    x, y, is_bad = batch
    x = x + 0.01 * jax.random.normal(key, x.shape)
    loss = jnp.mean((jax.vmap(model)(x) - y) ** 2)
    loss = jnp.where(is_bad.any(), jnp.nan, loss)
    return loss + 14.0 * (probe - jax.lax.stop_gradient(probe)), {"nfe_forward": jnp.int32(26)}


def evaluate(step, model, metrics):
    """The kind of thing a callback does."""
    return {"weight": jnp.abs(model.layers[0].weight).sum(), "step_loss": metrics["loss"]}


def evaluate_slowly(step, model, metrics):
    """The same with a pause, which leaves time to be killed in."""
    time.sleep(0.008)
    return evaluate(step, model, metrics)


def train(folder, **options):
    """A fit with a checkpoint every few steps; any option of `fit` can be changed."""
    chosen = {
        "objective": objective,
        "model": MODEL,
        "batches": BATCHES,
        "optimizer": OPTIMIZER,
        "steps": STEPS,
        "key": KEY,
        "run": folder,
        "config": {"learning_rate": 3e-3},
        "progress": False,
    }
    return fit(**(chosen | options))


SCRIPT_OPTIONS = {"checkpoint_every": 9, "callback": evaluate_slowly, "callback_every": 12}

if __name__ == "__main__":
    train(sys.argv[1], **SCRIPT_OPTIONS)
