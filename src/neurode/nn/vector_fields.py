"""Networks as vector fields: modules f(t, y) -> dy/dt that `solve` takes as they are."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

ACTIVATIONS = {
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "tanh": jnp.tanh,
}
"""Smooth activations only: a solver of order p counts on p derivatives of the field."""


class MLPField(eqx.Module):
    """dy/dt = MLP(y), or MLP([y, t]): a fully connected network.

    With `output_scale` below 1 an untrained network moves its state little, so that training
    starts from solves that are cheap and cannot blow up.

    Attributes:
        layers: the linear layers, from input to output.
        size: dimension d of the state.
        hidden: widths of the hidden layers.
        activation: name of the activation, a key of `ACTIVATIONS`.
        time_dependent: whether t is an input; without it the dynamics are autonomous.
    """

    layers: tuple[eqx.nn.Linear, ...]
    size: int = eqx.field(static=True)
    hidden: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)
    time_dependent: bool = eqx.field(static=True)

    def __init__(
        self,
        size: int,
        hidden: Sequence[int] = (32, 32),
        *,
        activation: str = "tanh",
        time_dependent: bool = False,
        output_scale: float = 0.1,
        key: Key[Array, ""],
    ):
        """Draw the weights.

        Args:
            size: dimension d of the state.
            hidden: widths of the hidden layers.
            activation: name of the activation, a key of `ACTIVATIONS`.
            time_dependent: whether t is an input.
            output_scale: factor on the last layer's initial weights.
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
        self.size, self.hidden = size, hidden
        self.activation, self.time_dependent = activation, bool(time_dependent)
        widths = (size + self.time_dependent, *hidden, size)
        keys = jax.random.split(key, len(widths) - 1)
        layers = [
            eqx.nn.Linear(widths[i], widths[i + 1], key=keys[i]) for i in range(len(widths) - 1)
        ]
        layers[-1] = jax.tree.map(lambda x: output_scale * x, layers[-1])
        self.layers = tuple(layers)

    def __call__(self, t: Float[Array, ""], y: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
        """The derivative of y at time t; leading axes of y are rows with the same t."""
        activate = ACTIVATIONS[self.activation]
        if self.time_dependent:
            t = jnp.broadcast_to(jnp.asarray(t, y.dtype), (*y.shape[:-1], 1))
            y = jnp.concatenate([y, t], axis=-1)
        for layer in self.layers[:-1]:
            y = activate(_affine(layer, y))
        return _affine(self.layers[-1], y)


def _affine(layer: eqx.nn.Linear, x: Float[Array, "*rows i"]) -> Float[Array, "*rows o"]:
    assert layer.bias is not None
    return x @ layer.weight.T + layer.bias
