"""ODE-Net: an image classifier whose stack of residual blocks is one ODE (Chen et al. 2018)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from neurode.core.solution import Stats
from neurode.nn import (
    ConvDownsampling,
    ConvField,
    GroupNorm,
    ODEBlock,
    ResidualDownsampling,
)

_STEMS = {"res": ResidualDownsampling, "conv": ConvDownsampling}


class ODENet(eqx.Module):
    """Convolutions that downsample twice, one ODE block, and a linear head.

    The layers are those of the authors' torchdiffeq, examples/odenet_mnist.py. With 64 channels
    and one input channel it has 232,970 parameters ("res") or 208,266 ("conv").

    Attributes:
        stem: layers from images [h, w, n, c] to the state of the ODE.
        block: the ODE.
        norm: before the head.
        head: from the mean over positions to logits.
    """

    stem: ResidualDownsampling | ConvDownsampling
    block: ODEBlock
    norm: GroupNorm
    head: eqx.nn.Linear

    def __init__(
        self,
        *,
        in_channels: int = 1,
        channels: int = 64,
        classes: int = 10,
        downsampling: str = "res",
        key: Key[Array, ""],
        **ode: Any,
    ):
        """Draw the weights.

        Args:
            in_channels: channels of the images.
            channels: channels of every layer.
            classes: number of classes.
            downsampling: "res", two residual blocks of stride 2 as the paper describes, or
                "conv", two plain convolutions of stride 2, the script's default.
            key: a typed key.
            **ode: options of `ODEBlock`: tolerances, solver, gradient, ...

        Raises:
            ValueError: `downsampling` is neither.
        """
        for_stem, for_field, for_head = jax.random.split(key, 3)
        if downsampling not in _STEMS:
            raise ValueError(f"downsampling must be {' or '.join(_STEMS)}, got {downsampling!r}")
        self.stem = _STEMS[downsampling](in_channels, channels, key=for_stem)
        self.block = ODEBlock(ConvField(channels, key=for_field), **ode)
        self.norm = GroupNorm(channels)
        self.head = eqx.nn.Linear(channels, classes, key=for_head)

    def __call__(
        self,
        images: Float[Array, "n h w"] | Float[Array, "n h w c"],
        *,
        probe: Float[Array, ""] | None = None,
    ) -> tuple[Float[Array, "n classes"], Stats]:
        """Return the logits, and the statistics of the ODE's solve.

        Args:
            images: pixels in [0, 1].
            probe: a zero whose gradient is the number of evaluations in the backward pass.
        """
        images = images if images.ndim == 4 else images[..., None]
        x = self.stem(jnp.transpose(images, (1, 2, 0, 3)))
        x, stats = self.block(x, probe=probe)
        features = jax.nn.relu(self.norm(x)).mean((0, 1))
        return jax.vmap(self.head)(features), stats


def objective(
    model: ODENet,
    batch: tuple[Float[Array, "n h w"], Int[Array, " n"]],
    key: Key[Array, ""],
    probe: Float[Array, ""],
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Mean cross-entropy of a batch, for `fit`.

    Args:
        model: an `ODENet`.
        batch: images and the number of each one's class.
        key: not used; the model has no randomness.
        probe: see `ODENet`.

    Returns:
        The loss in nats; "accuracy" (a fraction) and "nfe_forward".
    """
    del key
    images, labels = batch
    logits, stats = model(images, probe=probe)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None].astype(int), axis=1)
    accuracy = (logits.argmax(1) == labels).mean()
    return -chosen.mean(), {"accuracy": accuracy, "nfe_forward": stats.num_f_evals}
