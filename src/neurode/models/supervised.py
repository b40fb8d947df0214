"""What classifiers and regressors minimise: losses of a batch with weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from neurode.core.solution import Stats

Losses = tuple[Float[Array, ""], dict[str, Array]]


class CrossEntropy(eqx.Module):
    """The mean of weight times -log p(class), in nats, of a model (x, probe) -> logits, stats."""

    def __call__(
        self,
        model: eqx.Module,
        batch: tuple[Float[Array, "n ..."], Int[Array, " n"], Float[Array, " n"]],
        key: Key[Array, ""],
        probe: Float[Array, ""],
    ) -> Losses:
        """Return the loss; "accuracy" and, of an ODE, "nfe_forward"."""
        del key  # the models have no randomness
        x, labels, weights = batch
        logits, stats = model(x, probe=probe)  # pyright: ignore[reportCallIssue]
        labels = labels.astype(jnp.int32)
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)[:, 0]
        accuracy = jnp.sum(weights * (logits.argmax(1) == labels)) / jnp.sum(weights)
        return -(weights * chosen).mean(), {"accuracy": accuracy} | _count(stats)


class SquaredError(eqx.Module):
    """The mean of weight times squared error over the outputs, of a model as above."""

    def __call__(
        self,
        model: eqx.Module,
        batch: tuple[Float[Array, "n ..."], Float[Array, "n k"], Float[Array, " n"]],
        key: Key[Array, ""],
        probe: Float[Array, ""],
    ) -> Losses:
        """Return the loss, in squared units of the targets; of an ODE, "nfe_forward"."""
        del key
        x, targets, weights = batch
        found, stats = model(x, probe=probe)  # pyright: ignore[reportCallIssue]
        return (weights * jnp.square(found - targets).mean(1)).mean(), _count(stats)


def _count(stats: Stats | None) -> dict[str, Array]:
    return {} if stats is None else {"nfe_forward": stats.num_f_evals}
