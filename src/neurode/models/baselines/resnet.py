"""Residual networks: what an ODE-Net is a continuous version of, block for block."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurode.models.odenet import STEMS
from neurode.nn import MLP, GroupNorm, ResidualBlock, apply_linear


class TabularResNet(eqx.Module):
    """A linear layer, z <- z + MLP_i(z) for a number of blocks, and a linear head.

    Attributes:
        first: from the d features to the state.
        blocks: one network each.
        head: to the k outputs.
    """

    first: eqx.nn.Linear
    blocks: tuple[MLP, ...]
    head: eqx.nn.Linear

    def __init__(
        self,
        features: int,
        outputs: int,
        *,
        width: int = 32,
        hidden: Sequence[int] = (64,),
        activation: str = "softplus",
        blocks: int = 6,
        key: Key[Array, ""],
    ):
        """Draw the weights.

        Args:
            features: d.
            outputs: k.
            width: of the state.
            hidden: widths of the hidden layers of a block.
            activation: of the blocks.
            blocks: how many; the paper's ResNet has 6.
            key: a typed key.
        """
        for_first, for_head, *for_blocks = jax.random.split(key, 2 + blocks)
        self.first = eqx.nn.Linear(features, width, key=for_first)
        self.blocks = tuple(
            MLP(width, width, hidden, activation=activation, key=k) for k in for_blocks
        )
        self.head = eqx.nn.Linear(width, outputs, key=for_head)

    def __call__(self, x: Float[Array, "n d"], **_: Any) -> tuple[Float[Array, "n k"], None]:
        """Return the outputs; there is no solve to tell statistics of."""
        z = apply_linear(self.first, x)
        for block in self.blocks:
            z = z + block(z)
        return apply_linear(self.head, z), None


class ResNet(eqx.Module):
    """The paper's residual network on images: downsampling, residual blocks, a linear head.

    With 64 channels, "res" downsampling and 6 blocks it has 601,482 parameters (Chen et al. 2018,
    Table 1: 0.60 M).

    Attributes:
        stem: layers from images [h, w, n, c] to the state.
        blocks: of two convolutions each.
        norm: before the head.
        head: from the mean over positions to logits.
    """

    stem: eqx.Module
    blocks: tuple[ResidualBlock, ...]
    norm: GroupNorm
    head: eqx.nn.Linear

    def __init__(
        self,
        *,
        in_channels: int = 1,
        channels: int = 64,
        classes: int = 10,
        downsampling: str = "res",
        blocks: int = 6,
        key: Key[Array, ""],
    ):
        """Draw the weights.

        Args:
            in_channels: channels of the images.
            channels: channels of every layer.
            classes: number of classes.
            downsampling: as of `ODENet`.
            blocks: how many.
            key: a typed key.
        """
        for_stem, for_head, *for_blocks = jax.random.split(key, 2 + blocks)
        self.stem = STEMS[downsampling](in_channels, channels, key=for_stem)
        self.blocks = tuple(ResidualBlock(channels, channels, key=k) for k in for_blocks)
        self.norm = GroupNorm(channels)
        self.head = eqx.nn.Linear(channels, classes, key=for_head)

    def __call__(
        self, images: Float[Array, "n h w"] | Float[Array, "n h w c"], **_: Any
    ) -> tuple[Float[Array, "n classes"], None]:
        """Return the logits of images with pixels in [0, 1]; there is no solve."""
        images = images if images.ndim == 4 else images[..., None]
        x = self.stem(jnp.transpose(images, (1, 2, 0, 3)))  # pyright: ignore[reportCallIssue]
        for block in self.blocks:
            x = block(x)
        features = jax.nn.relu(self.norm(x)).mean((0, 1))
        return jax.vmap(self.head)(features), None


class PixelMLP(eqx.Module):
    """One hidden layer on raw pixels (Table 1: 300 units, 0.24 M parameters).

    Attributes:
        network: from pixels to logits.
    """

    network: MLP

    def __init__(
        self, pixels: int = 784, classes: int = 10, hidden: int = 300, *, key: Key[Array, ""]
    ):
        """Draw the weights.

        Args:
            pixels: of an image.
            classes: number of classes.
            hidden: units.
            key: a typed key.
        """
        self.network = MLP(pixels, classes, (hidden,), activation="tanh", key=key)

    def __call__(
        self, images: Float[Array, "n h w"], **_: Any
    ) -> tuple[Float[Array, "n classes"], None]:
        """Return the logits; there is no solve."""
        return self.network(images.reshape(len(images), -1)), None
