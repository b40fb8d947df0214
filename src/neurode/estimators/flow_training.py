"""The training of a flow: its field, its batches, its optimiser, and what is said of failures."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, Key

from neurode.data import ArrayBatches, FullBatch
from neurode.estimators.columns import Columns
from neurode.estimators.estimator import SettingError
from neurode.estimators.updates import fit_patiently
from neurode.models import Flow, Normal, StudentT
from neurode.nn import ConcatSquashField, MLPField, PlanarField
from neurode.training import FitResult

_LAST_RATE = 0.01  # of the learning rate, at the last step
_MOST_GRADIENT = 5.0  # its norm is clipped
_START_FREEDOM = 4.0  # of a Student base


class Schedule(NamedTuple):
    """How long and how fast to train.

    Attributes:
        steps: updates.
        learning_rate: of AdamW at the start; it falls along a cosine to a hundredth.
        weight_decay: of AdamW.
    """

    steps: int
    learning_rate: float
    weight_decay: float


class SampleBatches(eqx.Module):
    """Batches of rows as a flow sees them: transformed, with fresh noise at every step.

    Attributes:
        batches: of (rows as the flow sees them, rows in the table's units or None, context or
            None).
        columns: how columns of whole numbers are transformed; None if there are none.
        key: of the noise.
        smoothing: standard deviation of Gaussian noise on every row, in the flow's units.
    """

    batches: ArrayBatches | FullBatch
    columns: Columns | None = eqx.field(static=True)
    key: Array
    smoothing: float

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every row was used once."""
        return self.batches.steps_per_epoch

    def __call__(self, step: Int[Array, ""]) -> Any:
        """The rows of a step [n, d], or (rows, context)."""
        y, x, context = self.batches(step)
        for_whole, for_all = jax.random.split(jax.random.fold_in(self.key, step))
        if self.columns is not None:
            u = jax.random.uniform(for_whole, x.shape, x.dtype)
            moved = self.columns.forward(x, u, jnp)[0].astype(y.dtype)
            y = jnp.where(self.columns.discrete, moved, y)
        y = y + jnp.asarray(self.smoothing, y.dtype) * jax.random.normal(for_all, y.shape, y.dtype)
        return y if context is None else (y, context)


def make_batches(
    x: np.ndarray,
    columns: Columns,
    context: np.ndarray | None,
    batch_size: int,
    smoothing: float,
    key: Key[Array, ""],
) -> SampleBatches:
    """Batches of a checked table.

    Args:
        x: [n, d], in its own units.
        columns: its transformations.
        context: scaled, [n, c], or None.
        batch_size: rows per update; n or more takes all.
        smoothing: see `SampleBatches`.
        key: of the order and of the noise.
    """
    for_order, for_noise = jax.random.split(key)
    dtype = jnp.result_type(float)
    has_whole = bool(columns.discrete.any())
    arrays = (
        jnp.asarray(columns.forward(x)[0], dtype),
        jnp.asarray(x, dtype) if has_whole else None,
        None if context is None else jnp.asarray(context, dtype),
    )
    is_whole = batch_size >= len(x)
    inner = FullBatch(arrays) if is_whole else ArrayBatches(arrays, batch_size, key=for_order)
    return SampleBatches(inner, columns if has_whole else None, for_noise, smoothing)


def make_flow(
    field: Any,
    size: int,
    context: int,
    *,
    hidden: tuple[int, ...],
    activation: str,
    base: str,
    average: bool,
    key: Key[Array, ""],
) -> Flow:
    """An untrained flow.

    Args:
        field: "planar", "concatsquash" or "mlp", or an equinox.Module f(t, z) or f(t, z, context).
        size: dimension d.
        context: number of context variables.
        hidden: widths of the network.
        activation: of the network.
        base: "normal" or "student".
        average: of the planar field.
        key: of the weights.

    Raises:
        SettingError: the field cannot take a context, or returns something of another shape.
    """
    if base == "student":
        start = jnp.full(size, np.log(_START_FREEDOM - 1), jnp.result_type(float))
        model = Flow(None, StudentT(start))  # pyright: ignore[reportArgumentType]
    else:
        model = Flow(None, Normal())  # pyright: ignore[reportArgumentType]
    if field == "planar":
        how = {"hyper": (32, 32), "context": context, "average": average}
        field = PlanarField(size, hidden[0], **how, key=key)
    elif field == "concatsquash":
        field = ConcatSquashField(size, hidden, activation=activation, context=context, key=key)
    elif field == "mlp":
        if context:
            raise SettingError(
                "field='mlp' takes no context: use field='planar' or field='concatsquash'"
            )
        field = MLPField(size, hidden, activation=activation, time_dependent=True, key=key)
    check_field(field, size, context)
    return eqx.tree_at(lambda flow: flow.field, model, field, is_leaf=lambda x: x is None)


def check_field(field: Callable, size: int, context: int) -> None:
    """Refuse a field that does not return a rate for each of some rows.

    Raises:
        SettingError: what it returned, or could not be called with.
    """
    dtype = jnp.result_type(float)
    shapes = [jax.ShapeDtypeStruct((3, size), dtype)]
    if context:
        shapes.append(jax.ShapeDtypeStruct((3, context), dtype))
    call = "field(t, z, context)" if context else "field(t, z)"
    try:
        found = jax.eval_shape(field, jax.ShapeDtypeStruct((), dtype), *shapes)
    except Exception as error:
        raise SettingError(
            f"{call} with z of shape (3, {size}) failed: {error}; rows stand in leading axes"
        ) from error
    if getattr(found, "shape", None) != (3, size):
        raise SettingError(
            f"{call} must return an array like z, of shape (3, {size}) for three rows; it returned "
            f"{found!r}"
        )


def train_flow(
    objective: Any,
    flow: Flow,
    batches: Any,
    schedule: Schedule,
    *,
    max_steps: int,
    evaluations: int,
    key: Key[Array, ""],
    config: dict[str, Any],
    run: str | Path | None,
    resume: bool,
    progress: bool,
) -> FitResult:
    """Train a flow; an iteration whose solve fails is left out, and twenty in a row are an error.

    Args:
        objective: `FlowLikelihood` or `ReverseKL`.
        flow: to start from.
        batches: of the data.
        schedule: how long and how fast.
        max_steps: budget of an iteration's solve, for the message.
        evaluations: of the field by a step, likewise.
        key: of everything random in the objective.
        config: what a resumed run must have in common with this one; JSON.
        run: the folder for checkpoints, or None.
        resume: whether to go on with a run that the folder holds.
        progress: whether to show it.

    Raises:
        TrainingError: training met what is not finite, again and again.
    """
    return fit_patiently(
        objective,
        flow,
        batches,
        max_steps=max_steps,
        evaluations=evaluations,
        optimizer=make_optimizer(schedule),
        steps=schedule.steps,
        key=key,
        run=run,
        config=config,
        resume=resume,
        progress=progress,
    )


@lru_cache(maxsize=64)
def make_optimizer(schedule: Schedule) -> optax.GradientTransformation:
    """The optimiser, the same object for the same schedule, so that a refit compiles nothing."""
    rate = optax.cosine_decay_schedule(schedule.learning_rate, schedule.steps, _LAST_RATE)
    return optax.chain(
        optax.clip_by_global_norm(_MOST_GRADIENT),
        optax.adamw(rate, weight_decay=schedule.weight_decay),
    )


def smoothing_width(n: int, d: int) -> float:
    """Noise that keeps a flow from learning its n rows by heart; it vanishes as n grows.

    Without, the best possible flow has a spike on each row; with it, no flow does better on the
    training rows than a kernel density of this width. Half the rate of Rothfuss et al. (2019),
    "Noise regularization for conditional density estimation", in units of standard deviations.
    """
    return 0.5 * n ** (-1 / (1 + d))
