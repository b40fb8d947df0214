"""A fully connected network on any number of rows."""

from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from neurode.nn.vector_fields import ACTIVATIONS


class MLP(eqx.Module):
    """Linear layers with an activation in between.

    Attributes:
        layers: from input to output.
        activation: name of the activation, a key of `ACTIVATIONS`.
    """

    layers: tuple[eqx.nn.Linear, ...]
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int] = (20,),
        *,
        activation: str = "tanh",
        key: Key[Array, ""],
    ):
        """Draw the weights.

        Args:
            inputs: i.
            outputs: o.
            hidden: widths of the hidden layers.
            activation: name of the activation, a key of `ACTIVATIONS`.
            key: a typed key.

        Raises:
            ValueError: the activation is unknown.
        """
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}"
            )
        widths = (inputs, *hidden, outputs)
        keys = jax.random.split(key, len(widths) - 1)
        pairs = zip(widths[:-1], widths[1:], keys, strict=True)
        self.layers = tuple(eqx.nn.Linear(i, o, key=k) for i, o, k in pairs)
        self.activation = activation

    def __call__(self, x: Float[Array, "*rows i"]) -> Float[Array, "*rows o"]:
        """The outputs of each row."""
        activate = ACTIVATIONS[self.activation]
        for layer in self.layers[:-1]:
            x = activate(apply_linear(layer, x))
        return apply_linear(self.layers[-1], x)


def apply_linear(layer: eqx.nn.Linear, x: Float[Array, "*rows i"]) -> Float[Array, "*rows o"]:
    """An affine map of each row."""
    assert layer.bias is not None
    return x @ layer.weight.T + layer.bias
