"""The state of a fit, and the one compiled program that advances it by several steps."""

from collections.abc import Callable
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from neurode.training.sharding import replicate_within, shard_batch

MAX_DISPATCH = 4096  # records one dispatch can hold; a fixed number, so there is one program only
RESERVED = ("step", "kind", "loss", "gradient_norm", "nfe_backward")

Objective = Callable[[PyTree, PyTree, Key[Array, ""], Float[Array, ""]], tuple[Array, dict]]


class Batches(Protocol):
    """What `fit` asks of its data: a pytree that holds the arrays and is called with the step.

    The call must be a pure, jittable function of the step alone (shuffling included), for then a
    resumed run sees the batches that the uninterrupted one would have seen. The leading axis of
    every array it returns is the batch; if some have no such axis, `batch_size` says which do.
    """

    @property
    def steps_per_epoch(self) -> int:
        """Steps until every row was used once."""
        ...

    def __call__(self, step: Int[Array, ""]) -> PyTree:
        """The batch of update number `step`, counted from 0."""
        ...


class TrainState(eqx.Module):
    """All that changes during a fit, and all that a checkpoint holds."""

    params: PyTree  # the trainable arrays of the model, None elsewhere
    opt_state: PyTree
    step: Int[Array, ""]  # updates tried so far
    skipped: Int[Array, ""]  # of these, how many in a row just now were not finite, so not made


class Problem(eqx.Module):
    """All that stays the same; its arrays are arguments of the program, never constants in it."""

    objective: Objective
    optimizer: optax.GradientTransformation
    frozen: PyTree  # the rest of the model
    batches: Batches
    key: Key[Array, ""]
    mesh: jax.sharding.Mesh | None = eqx.field(static=True)

    def model(self, params: PyTree) -> PyTree:
        """The whole model, with these trainable arrays in it."""
        return eqx.combine(params, self.frozen)


def split_model(
    model: PyTree, trainable: PyTree | Callable[[Any], bool] | None
) -> tuple[PyTree, PyTree]:
    """(trainable arrays, the rest): real or complex arrays, of those that `trainable` lets pass.

    Raises:
        ValueError: nothing is left to train.
    """
    chosen, kept = eqx.partition(model, True if trainable is None else trainable)
    params, rest = eqx.partition(chosen, eqx.is_inexact_array)
    if not jax.tree.leaves(params):
        raise ValueError(
            "the model has no trainable floating-point array: give one that has, or a `trainable` "
            "filter that lets some pass"
        )
    return params, eqx.combine(rest, kept)


def start_state(params: PyTree, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step, made of buffers of its own."""
    zero = jnp.zeros((), jnp.int32)
    # The program overwrites the state's buffers. They must not be the caller's, nor appear twice
    # (tied weights, optimisers that remember the parameters), nor be weakly typed (that would
    # compile the program once more when the types harden).
    return jax.tree.map(_own_copy, TrainState(params, optimizer.init(params), zero, zero))


def _own_copy(leaf: Any) -> Array:
    leaf = leaf if eqx.is_array(leaf) else np.asarray(leaf)
    return jnp.array(leaf, dtype=jnp.asarray(leaf).dtype, copy=True)


@eqx.filter_jit(donate="all-except-first")
def advance(
    fixed: tuple[Problem, Int[Array, ""], Int[Array, ""]], state: TrainState
) -> tuple[TrainState, dict[str, Array], Int[Array, ""]]:
    """Tries `count` updates, fewer if more than `allowed` in a row are not finite.

    How many is decided at run time: one program serves every dispatch size and the remainder,
    so the size of a dispatch cannot change a result.

    Args:
        fixed: the problem, `count` (at most `MAX_DISPATCH`) and `allowed`.
        state: where to start; its buffers are taken over.

    Returns:
        The new state; metric -> its values over the updates, of length `MAX_DISPATCH`; and how
        many updates were tried, thus how many of the values count.
    """
    problem, count, allowed = fixed

    def body(carry):
        state, records, tried = carry
        state, metrics = update(problem, state)
        records = {name: records[name].at[tried].set(metrics[name]) for name in records}
        return state, records, tried + 1

    def proceed(carry):
        state, _, tried = carry
        return (tried < count) & (state.skipped <= allowed)

    shapes = jax.eval_shape(lambda state: _value(problem, state, state.params, _zero())[1], state)
    shapes = shapes | {"gradient_norm": shapes["loss"], "nfe_backward": _zero()}
    records = {name: jnp.zeros((MAX_DISPATCH,), each.dtype) for name, each in shapes.items()}
    return jax.lax.while_loop(proceed, body, (state, records, jnp.zeros((), jnp.int32)))


def update(problem: Problem, state: TrainState) -> tuple[TrainState, dict[str, Array]]:
    """One update, not made if the loss, a gradient or a new weight is not finite."""

    def loss_of(params, probe):
        return _value(problem, state, params, probe)

    value_and_gradient = jax.value_and_grad(loss_of, argnums=(0, 1), has_aux=True)
    (loss, metrics), (gradient, nfe_backward) = value_and_gradient(state.params, _zero())
    # JAX's gradient of a real loss is the conjugate of the direction of ascent.
    gradient = jax.tree.map(jnp.conj, gradient)
    optimizer = optax.with_extra_args_support(problem.optimizer)
    change, opt_state = optimizer.update(
        gradient,
        state.opt_state,
        state.params,
        value=loss,
        grad=gradient,
        value_fn=lambda params: loss_of(params, _zero())[0],
    )
    params = optax.apply_updates(state.params, change)
    is_finite = jnp.isfinite(loss) & _all_finite(gradient) & _all_finite(params)

    def keep(new, old):
        new = jnp.where(is_finite, new, old)
        return new if new.dtype == old.dtype else new.astype(old.dtype)

    kept = jax.tree.map(keep, (params, opt_state), (state.params, state.opt_state))
    params, opt_state = replicate_within(kept, problem.mesh)
    skipped = jnp.where(is_finite, 0, state.skipped + 1)
    metrics = metrics | {
        "gradient_norm": optax.tree.norm(gradient).astype(loss.dtype),
        "nfe_backward": nfe_backward,
    }
    return TrainState(params, opt_state, state.step + 1, skipped), metrics


def _value(
    problem: Problem, state: TrainState, params: PyTree, probe: Float[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """The checked loss at a step, and all metrics of the forward pass, the loss among them."""
    batch = shard_batch(problem.batches, problem.batches(state.step), problem.mesh)
    key = jax.random.fold_in(problem.key, state.step)
    returned = problem.objective(problem.model(params), batch, key, probe)
    if not (isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], dict)):
        raise TypeError(
            "objective(model, batch, key, probe) must return (loss, metrics) with metrics a dict "
            f"(empty if there are none); it returned {type(returned).__name__}"
        )
    loss = _as_metric("loss", returned[0])
    if not jnp.issubdtype(loss.dtype, jnp.floating):
        raise TypeError(f"the loss must be a real floating-point number; its dtype is {loss.dtype}")
    taken = [name for name in returned[1] if name in RESERVED]
    if taken:
        raise ValueError(f"fit itself records the metric {taken[0]!r}: give yours another name")
    metrics = {name: _as_metric(name, value) for name, value in returned[1].items()}
    return loss, {"loss": loss} | metrics


def _as_metric(name: str, value: Any) -> Array:
    value = jnp.asarray(value)
    if value.shape != ():
        raise ValueError(f"{name} must be one number per step; the objective gave {value.shape}")
    return value.astype(jnp.int32) if value.dtype == jnp.bool_ else value


def _all_finite(tree: PyTree) -> Bool[Array, ""]:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def _zero() -> Float[Array, ""]:
    return jnp.zeros(())
