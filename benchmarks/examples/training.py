"""The optimiser's half of an iteration, the same for all examples."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.examples import Iteration


def with_optax(
    loss: Callable, optimiser: optax.GradientTransformation, weights: Any, batches: Sequence
) -> Iteration:
    """`loss(weights, batch)` -> (loss, evaluations of f), one compiled step a call."""

    @jax.jit
    def step(weights, state, batch):
        (value, evals), slopes = jax.value_and_grad(loss, has_aux=True)(weights, batch)
        updates, state = optimiser.update(slopes, state)
        return optax.apply_updates(weights, updates), state, value, evals

    weights = jax.tree.map(jnp.asarray, weights)
    batches = [jax.tree.map(jnp.asarray, batch) for batch in batches]
    kept = {"weights": weights, "state": optimiser.init(weights)}

    def run(batch):
        kept["weights"], kept["state"], value, evals = step(kept["weights"], kept["state"], batch)
        return float(value), float(evals)

    return Iteration(run, batches)


def with_torch(loss: Callable, optimiser: Callable, weights: Any, batches: Sequence) -> Iteration:
    """The same in PyTorch. `loss(weights, batch)`, `optimiser(list of parameters)`."""
    import torch

    as_tensor = lambda x: torch.tensor(x)  # noqa: E731
    weights = jax.tree.map(lambda x: torch.tensor(x).requires_grad_(), weights)
    batches = [jax.tree.map(as_tensor, batch) for batch in batches]
    # The leaves of the tree are the parameters: tensors are leaves to JAX.
    updates = optimiser(jax.tree.leaves(weights))

    def run(batch):
        updates.zero_grad()
        value, evals = loss(weights, batch)
        value.backward()
        updates.step()
        return value.item(), float(evals)

    return Iteration(run, batches)
