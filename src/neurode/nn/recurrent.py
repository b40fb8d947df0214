"""Recurrent cells that take all inputs at once, so that only what is recurrent is in the loop."""

from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Key


class ElmanCell(eqx.Module):
    """h' = tanh(W x + U h + b), the plain recurrent network.

    Source: J. L. Elman, "Finding structure in time", Cognitive Science 1990.

    Attributes:
        inward: W [i, h].
        recurrent: U [h, h].
        bias: b [h].
    """

    inward: Float[Array, "i h"]
    recurrent: Float[Array, "h h"]
    bias: Float[Array, " h"]

    def __init__(self, inputs: int, hidden: int, *, key: Key[Array, ""]):
        """Draw the weights.

        Args:
            inputs: i.
            hidden: h.
            key: a typed key.
        """
        self.inward, self.recurrent, self.bias = _draw(key, inputs, hidden, 1)

    @property
    def size(self) -> int:
        """The number of units h."""
        return self.recurrent.shape[0]

    def project(self, x: Float[Array, "*steps n i"]) -> Float[Array, "*steps n h"]:
        """What inputs contribute, for all steps at once."""
        return x @ self.inward + self.bias

    @staticmethod
    def combine(
        h: Float[Array, "n h"], projected: Float[Array, "n h"], from_state: Float[Array, "n h"]
    ) -> Float[Array, "n h"]:
        """The next state, of the last one, what inputs contribute and what the last one does."""
        del h
        return jnp.tanh(projected + from_state)

    def __call__(
        self, h: Float[Array, "n h"], projected: Float[Array, "n h"]
    ) -> Float[Array, "n h"]:
        """One step of n rows."""
        return self.combine(h, projected, h @ self.recurrent)


class GRUCell(eqx.Module):
    """The gated recurrent unit: h' = (1 - u) * c + u * h with an update gate u and a candidate c.

    Source: K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014,
    with the reset gate behind the recurrent product.

    Attributes:
        inward: weights of the inputs [i, 3 h]: reset gate, update gate, candidate.
        recurrent: weights of the state [h, 3 h].
        bias: [3 h].
    """

    inward: Float[Array, "i g"]
    recurrent: Float[Array, "h g"]
    bias: Float[Array, " g"]

    def __init__(self, inputs: int, hidden: int, *, key: Key[Array, ""]):
        """Draw the weights.

        Args:
            inputs: i.
            hidden: h.
            key: a typed key.
        """
        self.inward, self.recurrent, self.bias = _draw(key, inputs, hidden, 3)

    @property
    def size(self) -> int:
        """The number of units h."""
        return self.recurrent.shape[0]

    def project(self, x: Float[Array, "*steps n i"]) -> Float[Array, "*steps n g"]:
        """What inputs contribute, for all steps at once."""
        return x @ self.inward + self.bias

    @staticmethod
    def combine(
        h: Float[Array, "n h"], projected: Float[Array, "n g"], from_state: Float[Array, "n g"]
    ) -> Float[Array, "n h"]:
        """The next state, of the last one, what inputs contribute and what the last one does."""
        from_inputs, parts = (jnp.split(x, 3, axis=-1) for x in (projected, from_state))
        reset = jax.nn.sigmoid(from_inputs[0] + parts[0])
        keep = jax.nn.sigmoid(from_inputs[1] + parts[1])
        candidate = jnp.tanh(from_inputs[2] + reset * parts[2])
        return candidate + keep * (h - candidate)

    def __call__(
        self, h: Float[Array, "n h"], projected: Float[Array, "n g"]
    ) -> Float[Array, "n h"]:
        """One step of n rows."""
        return self.combine(h, projected, h @ self.recurrent)


CELLS = {"rnn": ElmanCell, "gru": GRUCell}


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def read_backwards(
    combine: Callable,
    recurrent: Float[Array, "h g"],
    projected: Float[Array, "T n g"],
    seen: Bool[Array, "T n"],
) -> Float[Array, "T n h"]:
    """The states of n rows that are read from the last step to the first, beginning with 0.

    The gradient of the recurrent weights is one product over all steps, behind the loop: summed up
    in the loop, as automatic differentiation does it, it is the greater part of the way back.

    Args:
        combine: of the cell.
        recurrent: its weights of the state.
        projected: what inputs contribute, for all steps.
        seen: rows that have an input at a step; the others keep their state.
    """

    def step(h, inputs):
        projected, seen = inputs
        h = jnp.where(seen[:, None], combine(h, projected, h @ recurrent), h)
        return h, h

    start = jnp.zeros((projected.shape[1], len(recurrent)), projected.dtype)
    return lax.scan(step, start, (projected, seen), reverse=True)[1]


def _read_forward(combine, recurrent, projected, seen):
    hidden = read_backwards(combine, recurrent, projected, seen)
    return hidden, (recurrent, projected, seen, hidden)


def _read_reverse(combine, residuals, cotangents):
    recurrent, projected, seen, hidden = residuals
    before = jnp.concatenate([hidden[1:], jnp.zeros_like(hidden[:1])])

    def step(arriving, inputs):
        cotangent, seen, *operands = inputs
        arriving = arriving + cotangent
        seen = seen[:, None]
        _, pull = jax.vjp(combine, *operands)
        h, projected, from_state = pull(jnp.where(seen, arriving, 0))
        return jnp.where(seen, h + from_state @ recurrent.T, arriving), (projected, from_state)

    operands = (before, projected, before @ recurrent)
    inputs = (cotangents, seen, *operands)
    _, (projected, from_state) = lax.scan(step, jnp.zeros_like(hidden[0]), inputs)
    weights = jnp.einsum("tnh,tng->hg", before, from_state)
    return weights, projected, np.zeros(seen.shape, jax.dtypes.float0)


read_backwards.defvjp(_read_forward, _read_reverse)


def _draw(key: Key[Array, ""], inputs: int, hidden: int, gates: int) -> tuple[Array, Array, Array]:
    """Weights uniform in +-1/sqrt(fan in), as fully connected layers have them."""
    for_inward, for_recurrent, for_bias = jax.random.split(key, 3)
    reach = 1 / np.sqrt(inputs + hidden)

    def uniform(key, shape):
        return jax.random.uniform(key, shape, minval=-reach, maxval=reach)

    return (
        uniform(for_inward, (inputs, gates * hidden)),
        uniform(for_recurrent, (hidden, gates * hidden)),
        uniform(for_bias, (gates * hidden,)),
    )
