"""ODE-Nets on the rows of a table: a linear layer, one ODE block, a linear head."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurode.core.solution import Stats
from neurode.nn import DepthVarying, MLPField, ODEBlock, apply_linear


class TabularODENet(eqx.Module):
    """x -> state -> ODE over depth [0, 1] -> outputs.

    The flow of an ODE is a homeomorphism, so without a first layer and without augmentation some
    maps are out of its reach (Dupont, Doucet and Teh, "Augmented Neural ODEs", NeurIPS 2019);
    either of the two lifts that.

    Attributes:
        first: from the d features to the state, or None: the state is the features.
        block: the ODE.
        head: from the state to the k outputs, or None: they are the state's first k entries.
        augment: zeros appended to the state.
        outputs: k.
    """

    first: eqx.nn.Linear | None
    block: ODEBlock
    head: eqx.nn.Linear | None
    augment: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        width: int | None = 32,
        hidden: Sequence[int] = (64,),
        activation: str = "softplus",
        augment: int = 0,
        depth_degree: int = 0,
        has_head: bool = True,
        key: Key[Array, ""],
        **ode: Any,
    ):
        """Draw the weights.

        Args:
            features: d.
            outputs: k.
            width: dimension of the state, augmentation not counted; None: no first layer.
            hidden: widths of the hidden layers of the field.
            activation: of the field, a key of `nn.vector_fields.ACTIVATIONS`.
            augment: zeros appended to the state.
            depth_degree: degree of the weights as polynomials in depth, see `DepthVarying`.
            has_head: False reads the outputs from the state itself.
            key: a typed key.
            **ode: options of `ODEBlock`: tolerances, solver, gradient, ...
        """
        for_first, for_field, for_head = jax.random.split(key, 3)
        size = (features if width is None else width) + augment
        self.first = None if width is None else eqx.nn.Linear(features, width, key=for_first)
        field = MLPField(size, hidden, activation=activation, time_dependent=True, key=for_field)
        self.block = ODEBlock(DepthVarying(field, depth_degree) if depth_degree else field, **ode)
        self.head = eqx.nn.Linear(size, outputs, key=for_head) if has_head else None
        self.augment, self.outputs = augment, outputs

    def __call__(
        self,
        x: Float[Array, "n d"],
        *,
        probe: Float[Array, ""] | None = None,
        tolerance: Float[Array, ""] | None = None,
    ) -> tuple[Float[Array, "n k"], Stats]:
        """Return the outputs of a batch, one joint solve, and its statistics.

        Args:
            x: rows.
            probe: a zero whose gradient is the number of evaluations in the backward pass.
            tolerance: of the solve, in place of the block's own.
        """
        state, stats = self.block(self.lift(x), probe=probe, tolerance=tolerance)
        return self.read_out(state), stats

    def lift(self, x: Float[Array, "n d"]) -> Float[Array, "n state"]:
        """The state at depth 0."""
        x = x if self.first is None else apply_linear(self.first, x)
        return jnp.pad(x, ((0, 0), (0, self.augment))) if self.augment else x

    def read_out(self, state: Float[Array, "n state"]) -> Float[Array, "n k"]:
        """The outputs of a state."""
        return state[:, : self.outputs] if self.head is None else apply_linear(self.head, state)
