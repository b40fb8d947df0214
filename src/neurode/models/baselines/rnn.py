"""A recurrent network that predicts the next observation of a series, and goes on by itself."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from neurode.nn import ElmanCell
from neurode.nn.mlp import apply_linear


class Sequences(NamedTuple):
    """n series of T observations each.

    Attributes:
        ts: increasing times, [n, T].
        ys: values, [n, T, d].
    """

    ts: Float[Array, "n T"]
    ys: Float[Array, "n T d"]


class RecurrentForecaster(eqx.Module):
    """y_{i+1} ~ N(W h_i + b, scale^2), where h_i has read y_1 ... y_i.

    The baseline of Chen et al. (2018, section 5.1): 25 hidden units, trained on the Gaussian
    likelihood; in its second form the input holds the time to the next observation too.

    Attributes:
        cell: the recurrent network.
        head: from its state to the mean of the next observation.
        log_scale: of the noise, [d].
        sees_gaps: whether the input holds the time to the next observation.
    """

    cell: ElmanCell
    head: eqx.nn.Linear
    log_scale: Float[Array, " d"]
    sees_gaps: bool = eqx.field(static=True)

    def __init__(self, size: int, *, hidden: int = 25, sees_gaps: bool, key: Key[Array, ""]):
        """Draw the weights.

        Args:
            size: number d of observed variables.
            hidden: units of the network.
            sees_gaps: whether it is told the time to the next observation.
            key: a typed key.
        """
        for_cell, for_head = jax.random.split(key)
        self.cell = ElmanCell(size + sees_gaps, hidden, key=for_cell)
        self.head = eqx.nn.Linear(hidden, size, key=for_head)
        self.log_scale = jnp.full(size, -1.0)
        self.sees_gaps = sees_gaps

    def read(
        self, ys: Float[Array, "n T d"], gaps: Float[Array, "n T"]
    ) -> tuple[Float[Array, "n T d"], Float[Array, "n h"]]:
        """Return the mean of the next observation after each one, and the last hidden state.

        Args:
            ys: observations.
            gaps: the time from each to the next.
        """
        inputs = self._inputs(ys, gaps).swapaxes(0, 1)

        def step(h, x):
            h = self.cell(h, x)
            return h, h

        start = jnp.zeros((len(ys), self.cell.size), inputs.dtype)
        last, hidden = lax.scan(step, start, inputs)
        return apply_linear(self.head, hidden).swapaxes(0, 1), last

    def forecast(
        self, ys: Float[Array, "n T d"], gaps: Float[Array, "n T"], later: Float[Array, "n K"]
    ) -> Float[Array, "n S d"]:
        """Go on from its own predictions as if they were observations.

        Args:
            ys: observations.
            gaps: the time from each to the next; from the last one to the first prediction.
            later: the time from each prediction to the next one.

        Returns:
            K + 1 predictions.
        """
        means, h = self.read(ys, gaps)

        def step(carry, gap):
            h, y = carry
            h = self.cell(h, self._inputs(y, gap))
            y = apply_linear(self.head, h)
            return (h, y), y

        first = means[:, -1]
        _, others = lax.scan(step, (h, first), later.T)
        return jnp.concatenate([first[:, None], others.swapaxes(0, 1)], axis=1)

    def _inputs(self, ys: Float[Array, "*n d"], gaps: Float[Array, "*n"]) -> Float[Array, "*n i"]:
        return jnp.concatenate([ys, gaps[..., None]], axis=-1) if self.sees_gaps else ys


class NextValueLoss(eqx.Module):
    """The objective: the negative log likelihood of the next observation, per number, in nats."""

    def __call__(
        self,
        model: RecurrentForecaster,
        batch: Sequences,
        key: Key[Array, ""],
        probe: Float[Array, ""],
    ) -> tuple[Float[Array, ""], dict[str, Array]]:
        """The loss and nothing else."""
        del key, probe
        gaps = jnp.diff(batch.ts, axis=1)
        means, _ = model.read(batch.ys[:, :-1], gaps)
        scaled = (batch.ys[:, 1:] - means) * jnp.exp(-model.log_scale)
        loss = 0.5 * jnp.mean(scaled**2) + jnp.mean(model.log_scale) + 0.5 * jnp.log(2 * jnp.pi)
        return loss, {}
