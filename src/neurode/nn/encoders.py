"""Recognition networks: from an irregular series to a Gaussian over its state at one time."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Key

from neurode.ivp import solve
from neurode.nn.mlp import apply_linear
from neurode.nn.recurrent import CELLS, ElmanCell, GRUCell, read_backwards
from neurode.nn.vector_fields import MLPField
from neurode.solvers import RK4
from neurode.stepping import ConstantSteps

ENCODERS = ("rnn", "gru", "ode-rnn")


class Encoder(eqx.Module):
    """A recurrent network that reads a series backwards in time, and says where its state is.

    At each observation it is told the values, which of them were observed, and the gap to the
    observation that it has read before; rows without any observation (padding) leave it as it is.
    What it holds then sums up everything from that time on, so that one pass gives a Gaussian
    over the state at every observation; the paper uses that of the first one (Chen et al. 2018,
    section 5 and Figure 6). Only gaps are told, never the time itself: the same observations give
    the same state whenever they are made.

    "rnn" is the paper's; "gru" has gates; "ode-rnn" has them too, and between observations its
    hidden state follows an ODE of its own (Rubanova et al. 2019, Algorithm 1).

    Attributes:
        cell: what happens at an observation.
        field: what happens between two, or None for nothing.
        head: from the last hidden state to mean and log standard deviation.
        kind: a member of `ENCODERS`.
    """

    cell: ElmanCell | GRUCell
    field: MLPField | None
    head: eqx.nn.Linear
    kind: str = eqx.field(static=True)

    def __init__(
        self, size: int, latent: int, *, kind: str = "rnn", hidden: int = 25, key: Key[Array, ""]
    ):
        """Draw the weights.

        Args:
            size: number d of observed variables.
            latent: number l of latent dimensions.
            kind: a member of `ENCODERS`.
            hidden: units of the recurrent network.
            key: a typed key.

        Raises:
            ValueError: the kind is unknown.
        """
        if kind not in ENCODERS:
            raise ValueError(f"kind must be one of {', '.join(ENCODERS)}, got {kind!r}")
        for_cell, for_field, for_head = jax.random.split(key, 3)
        cell = CELLS["gru" if kind == "ode-rnn" else kind]
        self.cell = cell(2 * size + 1, hidden, key=for_cell)
        self.field = MLPField(hidden, (hidden,), key=for_field) if kind == "ode-rnn" else None
        self.head = eqx.nn.Linear(hidden, 2 * latent, key=for_head)
        self.kind = kind

    def __call__(
        self, ts: Float[Array, "n T"], ys: Float[Array, "n T d"], mask: Bool[Array, "n T d"]
    ) -> tuple[Float[Array, "n T l"], Float[Array, "n T l"]]:
        """Return mean and standard deviation of each series' state at each of its times.

        Args:
            ts: times, non-decreasing along T.
            ys: values; anything where not observed.
            mask: what was observed. A row without anything observed has the Gaussian of the next
                row that has something.
        """
        seen = mask.any(axis=-1)
        gaps = _measure_gaps(ts, seen)
        numbers = [jnp.where(mask, ys, 0), mask.astype(ys.dtype), gaps[..., None]]
        inputs = jnp.concatenate(numbers, axis=-1).swapaxes(0, 1)

        start = jnp.zeros((len(ts), self.cell.size), inputs.dtype)
        step = self.cell if self.field is None else self._step_after_gap
        hidden = read_backwards(step, start, inputs, seen.T)
        mean, log_scale = jnp.split(apply_linear(self.head, hidden), 2, axis=-1)
        return mean.swapaxes(0, 1), jnp.exp(log_scale).swapaxes(0, 1)

    def _step_after_gap(
        self, h: Float[Array, "n h"], inputs: Float[Array, "n i"]
    ) -> Float[Array, "n h"]:
        """A step of the cell, from where an ODE has taken the state since the last observation."""

        def move(t, h, gap):
            return gap * self.field(t, h)  # pyright: ignore[reportOptionalCall]

        # One step is enough: what the field means is learned together with it.
        times = jnp.array([0.0, 1.0], inputs.dtype)
        options = {"solver": RK4(), "stepsize": ConstantSteps(1)}
        gap = inputs[:, -1:]  # the last of the numbers it is told
        return self.cell(solve(move, h, times, (gap,), **options).ys[-1], inputs)


def _measure_gaps(ts: Float[Array, "n T"], seen: Bool[Array, "n T"]) -> Float[Array, "n T"]:
    """The time from each row to the next later one with an observation; 0 if there is none."""
    later = lax.cummin(jnp.where(seen, ts, jnp.inf), axis=1, reverse=True)
    later = jnp.concatenate([later[:, 1:], jnp.full_like(later[:, :1], jnp.inf)], axis=1)
    return jnp.where(seen & jnp.isfinite(later), later - ts, 0)
