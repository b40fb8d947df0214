"""The models of Table 2 and Figures 8 to 10, and how each is trained."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from neurode.data import ArrayBatches
from neurode.estimators.crops import CroppedSeries, SeriesRows
from neurode.models import GaussianEmission, LatentLoss, LatentModel, SolveOptions, new_latent_model
from neurode.models.baselines import NextValueLoss, RecurrentForecaster, Sequences
from neurode.reproduce.spirals import Config, make_task
from neurode.solvers import RK4
from neurode.stepping import ConstantSteps
from neurode.training import FitResult, fit

DECIDING = ("learning_rate", "decoder_decay", "warmup", "consistency", "solver_steps")
"""What decides a training, but is no field of the model or its batches (warmup: in steps only)."""


def make_latent(config: Config, key: Array) -> LatentModel:
    """Draw the weights of a latent ODE."""
    return new_latent_model(
        2,
        config.latent,
        GaussianEmission(jnp.full(2, jnp.log(0.3))),
        encoder_hidden=config.units,
        field_hidden=(config.hidden,),
        decoder_hidden=(config.hidden,),
        activation=config.activation,
        key=key,
    )


def make_model(config: Config, kind: str, seed: int) -> Any:
    """Draw the weights of a model.

    Args:
        config: the experiment's.
        kind: a key of `KINDS`.
        seed: of the weights.
    """
    key = jax.random.fold_in(jax.random.key(seed), 1)
    if kind == "latent":
        return make_latent(config, key)
    return RecurrentForecaster(2, hidden=config.units, sees_gaps=kind == "rnn-dt", key=key)


def train(
    config: Config, kind: str, seed: int, count: int, folder: Path, resume: bool, progress: bool
) -> FitResult:
    """Train a model on the first 800 spirals of a seed, or go on with it.

    Args:
        config: the experiment's.
        kind: a key of `KINDS`.
        seed: of the spirals, the weights and the batches.
        count: observed points of each window.
        folder: of this one training.
        resume: go on with what the folder holds.
        progress: show it on standard error.
    """
    task = make_task(config, seed, count)
    ts = jnp.asarray(task.ts[: config.trained], jnp.float32)
    ys = jnp.asarray(task.ys[: config.trained], jnp.float32)
    key = jax.random.key(seed)
    steps = config.steps if kind == "latent" else config.rnn_steps
    if kind == "latent":
        rows = SeriesRows(ts, ys, jnp.ones(ys.shape, bool))
        inner = ArrayBatches(rows, config.batch_size, key=jax.random.fold_in(key, 2))
        batches = CroppedSeries(
            inner,
            jax.random.fold_in(key, 3),
            config.shortest,
            round(config.warmup * steps),
            config.kl_weight,
        )
        stepsize = ConstantSteps(config.solver_steps)
        options = SolveOptions(RK4(), stepsize=stepsize)
        objective = LatentLoss(options, consistency=config.consistency)
    else:
        batches = ArrayBatches(Sequences(ts, ys), config.batch_size, key=jax.random.fold_in(key, 2))
        objective = NextValueLoss()
    return fit(
        objective,
        make_model(config, kind, seed),
        batches,
        optimizer=make_optimizer(config.learning_rate, config.decoder_decay, steps),
        steps=steps,
        key=key,
        run=folder,
        config={"kind": kind, "count": count, "seed": seed, "steps": steps}
        | {name: getattr(config, name) for name in DECIDING},
        resume=resume,
        skip_non_finite=10,
        progress=progress,
    )


@lru_cache(maxsize=8)
def make_optimizer(
    learning_rate: float, decoder_decay: float, steps: int
) -> optax.GradientTransformation:
    """AdamW along a cosine, with the gradient's norm clipped; the same object for the same run.

    Only a decoder's weights decay. Behind the states that it has seen, a decoder with large ones
    bends, and what a path makes of the curve bends with it.
    """
    rate = optax.cosine_decay_schedule(learning_rate, steps, 0.01)
    adamw = optax.adamw(rate, weight_decay=decoder_decay, mask=_mark_decoder)
    return optax.chain(optax.clip_by_global_norm(1.0), adamw)


def _mark_decoder(params: Any) -> Any:
    """True for the decoder of a latent ODE, and for nothing of a baseline."""
    if isinstance(params, LatentModel):
        return LatentModel(False, False, True, False, None)  # pyright: ignore[reportArgumentType]
    return False
