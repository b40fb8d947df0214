"""Train a network's vector field on observed trajectories, the near future first."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, Key

from neurode.data import ArrayBatches, FullBatch, SeriesBatch
from neurode.estimators.scaling import Scaling
from neurode.estimators.series import observed_values
from neurode.estimators.updates import fit_patiently
from neurode.models import Dynamics, Observations, SolveOptions, TrajectoryLoss
from neurode.training import FitResult

_FIRST_HORIZON = 0.15  # of each trajectory, at the first step
_LAST_RATE = 0.01  # of the learning rate, at the last step
_MOST_GRADIENT = 1.0  # its norm is clipped, for the few steps at which a trajectory runs away


class Schedule(NamedTuple):
    """How long and how fast to train.

    Attributes:
        steps: updates.
        learning_rate: of AdamW at the start; it falls along a cosine to a hundredth.
        weight_decay: of AdamW.
        batch_size: trajectories per update; None takes all.
        curriculum: the share of the steps during which the horizon grows; 0 starts with all.
    """

    steps: int
    learning_rate: float
    weight_decay: float
    batch_size: int | None
    curriculum: float


class GrowingHorizon(eqx.Module):
    """Batches of trajectories that end early at first, then ever later, then not at all.

    Fitting a whole trajectory at once gets caught by the mean of an oscillation; its first part
    has no such trap, and what was learned there carries on. A trajectory that ends early costs
    less too: the times beyond the horizon become repeats of it, intervals of zero length.

    Attributes:
        batches: of `Observations`.
        steps: the horizon is complete from this step on; 0 for always.
    """

    batches: FullBatch | ArrayBatches
    steps: int = eqx.field(static=True)

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every trajectory was used once."""
        return self.batches.steps_per_epoch

    def __call__(self, step: Int[Array, ""]) -> Observations:
        """The batch of a step."""
        batch = self.batches(step)
        if not self.steps:
            return batch
        share = jnp.minimum(1.0, _FIRST_HORIZON + (1 - _FIRST_HORIZON) * step / self.steps)
        first, last = batch.ts[:, 0], batch.ts[:, -1]
        # Never before the second time, so that there is always something to learn.
        horizon = jnp.maximum(first + share.astype(first.dtype) * (last - first), batch.ts[:, 1])
        horizon = jnp.where(share < 1, horizon, last)[:, None]
        seen = batch.ts <= horizon
        return batch._replace(ts=jnp.minimum(batch.ts, horizon), mask=batch.mask & seen[..., None])


class NetworkFit(NamedTuple):
    """What a fit of a network found: the dynamics in scaled units, and how it got there."""

    model: Dynamics
    result: FitResult


def fit_network(
    field: Callable,
    series: SeriesBatch,
    first: np.ndarray,
    scaling: Scaling,
    magnitude: np.ndarray,
    *,
    is_learned: bool,
    options: SolveOptions,
    schedule: Schedule,
    key: Key[Array, ""],
    config: dict[str, Any],
    run: str | Path | None,
    resume: bool,
    progress: bool,
) -> NetworkFit:
    """Train a vector field, and the initial states, by gradients through the solver.

    Args:
        field: f(s, z) -> dz/ds in scaled units, with the weights to start from.
        series: what was observed.
        first: the first state of each trajectory, or a first guess of it, [n, d].
        scaling: between the user's units and the network's.
        magnitude: the typical size of each variable in the latter, [d].
        is_learned: whether initial states are trained too.
        options: how trajectories are solved and differentiated.
        schedule: how long and how fast.
        key: of the order of batches.
        config: what a resumed run must have in common with this one; JSON.
        run: the folder for checkpoints, or None.
        resume: whether to go on with a run that the folder holds.
        progress: whether to show it.

    Raises:
        TrainingError: training met what is not finite.
    """
    dtype = jnp.result_type(float)
    mask, ys = np.asarray(series.mask), observed_values(series)
    observed = Observations(
        rows=jnp.arange(len(series)),
        ts=jnp.asarray(scaling.times(np.asarray(series.ts, np.float64)), dtype),
        ys=jnp.asarray(np.nan_to_num(scaling.states(ys)), dtype),
        mask=jnp.asarray(mask),
    )
    size = schedule.batch_size or len(series)
    whole = size >= len(series)
    inner = FullBatch(observed) if whole else ArrayBatches(observed, size, key=key)
    model = Dynamics(field, jnp.asarray(scaling.states(first), dtype))
    result = fit_patiently(
        TrajectoryLoss(options, jnp.asarray(magnitude, dtype)),
        model,
        GrowingHorizon(inner, round(schedule.curriculum * schedule.steps)),
        max_steps=options.max_steps,
        evaluations=options.solver.evaluations.step,
        optimizer=_make_optimizer(schedule),
        steps=schedule.steps,
        key=key,
        run=run,
        config=config,
        resume=resume,
        trainable=Dynamics(True, is_learned),  # pyright: ignore[reportArgumentType]
        progress=progress,
    )
    return NetworkFit(result.model, result)


@lru_cache(maxsize=64)
def _make_optimizer(schedule: Schedule) -> optax.GradientTransformation:
    """The optimiser, the same object for the same schedule, so that a refit compiles nothing."""
    rate = optax.cosine_decay_schedule(schedule.learning_rate, schedule.steps, _LAST_RATE)
    return optax.chain(
        optax.clip_by_global_norm(_MOST_GRADIENT),
        optax.adamw(rate, weight_decay=schedule.weight_decay, mask=_decays),
    )


def _decays(params: Dynamics) -> Dynamics:
    """Weights decay, initial states do not: they are data, not complexity."""
    return Dynamics(True, False)  # pyright: ignore[reportArgumentType]
