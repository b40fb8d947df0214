"""Networks whose layers are scaled and shifted by time and context: the fields of FFJORD."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurode.nn.vector_fields import ACTIVATIONS


class ConcatSquashField(eqx.Module):
    """dz/dt by layers x -> (W x + b) · sigmoid(V s + c) + U s with s = (t, context).

    Source: Grathwohl et al. (2019), "FFJORD"; "concatsquash" in the authors' code.

    Attributes:
        layers: W and b, from input to output.
        gates: V and c.
        shifts: U, without bias.
        size: dimension d of z.
        hidden: widths of the hidden layers.
        activation: name of the activation, a key of `ACTIVATIONS`.
        context: number of context variables.
    """

    layers: tuple[eqx.nn.Linear, ...]
    gates: tuple[eqx.nn.Linear, ...]
    shifts: tuple[eqx.nn.Linear, ...]
    size: int = eqx.field(static=True)
    hidden: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    context: int = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        hidden: Sequence[int] = (64, 64),
        *,
        activation: str = "tanh",
        context: int = 0,
        key: Key[Array, ""],
    ):
        """Draw the weights.

        Args:
            size: dimension d of z.
            hidden: widths of the hidden layers.
            activation: name of the activation, a key of `ACTIVATIONS`.
            context: number of context variables.
            key: a typed key.

        Raises:
            ValueError: a width is not a positive whole number, or the activation is unknown.
        """
        hidden = tuple(hidden)
        for name, width in (("size", size), *(("hidden", width) for width in hidden)):
            if isinstance(width, bool) or not isinstance(width, int) or width < 1:
                raise ValueError(f"{name} must be made of positive whole numbers, got {width!r}")
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}"
            )
        self.size, self.hidden, self.activation = size, hidden, activation
        self.context = context
        widths = (size, *hidden, size)
        keys = iter(jax.random.split(key, 3 * (len(widths) - 1)))
        count, side = len(widths) - 1, 1 + context
        self.layers = tuple(
            eqx.nn.Linear(widths[i], widths[i + 1], key=next(keys)) for i in range(count)
        )
        self.gates = tuple(eqx.nn.Linear(side, widths[i + 1], key=next(keys)) for i in range(count))
        self.shifts = tuple(
            eqx.nn.Linear(side, widths[i + 1], use_bias=False, key=next(keys)) for i in range(count)
        )

    def __call__(
        self, t: Any, z: Float[Array, "*rows d"], *context: Float[Array, "*rows c"]
    ) -> Float[Array, "*rows d"]:
        """dz/dt at time t; leading axes of z are rows with the same t."""
        activate = ACTIVATIONS[self.activation]
        s = jnp.reshape(jnp.asarray(t, z.dtype), (1,))
        if context:
            s = jnp.broadcast_to(s, (*z.shape[:-1], 1))
            s = jnp.concatenate([s, *context], axis=-1)
        x = z
        for i, (layer, gate, shift) in enumerate(
            zip(self.layers, self.gates, self.shifts, strict=True)
        ):
            squash = jax.nn.sigmoid(s @ gate.weight.T + gate.bias)  # pyright: ignore[reportOperatorIssue]
            x = (x @ layer.weight.T + layer.bias) * squash + s @ shift.weight.T  # pyright: ignore[reportOperatorIssue]
            if i < len(self.layers) - 1:
                x = activate(x)
        return x
