"""ODE-Net: an image classifier whose stack of residual blocks is one ODE (Chen et al. 2018)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from neurode.core.solution import Stats
from neurode.nn import (
    Conv,
    ConvDownsampling,
    ConvField,
    DepthVarying,
    GroupNorm,
    ODEBlock,
    ResidualDownsampling,
)


def _make_plain_stem(in_channels: int, channels: int, *, key: Key[Array, ""]) -> Conv:
    return Conv(in_channels, channels, 3, key=key)


STEMS = {"res": ResidualDownsampling, "conv": ConvDownsampling, "none": _make_plain_stem}
"""Ways from images to the state of the ODE: downsampling by four with residual blocks (the paper)
or plain convolutions, or one 3 x 3 convolution that keeps the size."""


class ODENet(eqx.Module):
    """Convolutions that downsample (or not), one ODE block, and a linear head.

    The layers are those of the authors' torchdiffeq, examples/odenet_mnist.py. With 64 channels
    and one input channel it has 232,970 parameters ("res") or 208,266 ("conv").

    Attributes:
        stem: layers from images [h, w, n, c] to the state of the ODE.
        block: the ODE.
        norm: before the head.
        head: from the mean over positions to logits.
        augment: channels of zeros appended to the state (Dupont et al. 2019).
    """

    stem: ResidualDownsampling | ConvDownsampling | Conv
    block: ODEBlock
    norm: GroupNorm
    head: eqx.nn.Linear
    augment: int = eqx.field(static=True)

    def __init__(
        self,
        *,
        in_channels: int = 1,
        channels: int = 64,
        classes: int = 10,
        downsampling: str = "res",
        augment: int = 0,
        depth_degree: int = 0,
        key: Key[Array, ""],
        **ode: Any,
    ):
        """Draw the weights.

        Args:
            in_channels: channels of the images.
            channels: channels of every layer.
            classes: number of classes, or of any other outputs.
            downsampling: "res", two residual blocks of stride 2 as the paper describes, "conv",
                two plain convolutions of stride 2, the script's default, or "none", for images of
                a few pixels.
            augment: channels of zeros appended to the state.
            depth_degree: degree of the weights as polynomials in depth, see `DepthVarying`.
            key: a typed key.
            **ode: options of `ODEBlock`: tolerances, solver, gradient, ...

        Raises:
            ValueError: `downsampling` is none of them.
        """
        for_stem, for_field, for_head = jax.random.split(key, 3)
        if downsampling not in STEMS:
            names = ", ".join(STEMS)
            raise ValueError(f"downsampling must be one of {names}, got {downsampling!r}")
        self.stem = STEMS[downsampling](in_channels, channels, key=for_stem)
        field = ConvField(channels + augment, key=for_field)
        self.block = ODEBlock(DepthVarying(field, depth_degree) if depth_degree else field, **ode)
        self.norm = GroupNorm(channels + augment)
        self.head = eqx.nn.Linear(channels + augment, classes, key=for_head)
        self.augment = augment

    def __call__(
        self,
        images: Float[Array, "n h w"] | Float[Array, "n h w c"],
        *,
        probe: Float[Array, ""] | None = None,
        tolerance: Float[Array, ""] | None = None,
    ) -> tuple[Float[Array, "n classes"], Stats]:
        """Return the logits, and the statistics of the ODE's solve.

        Args:
            images: pixels in [0, 1].
            probe: a zero whose gradient is the number of evaluations in the backward pass.
            tolerance: of the solve, in place of the block's own.
        """
        x, stats = self.block(self.lift(images), probe=probe, tolerance=tolerance)
        return self.read_out(x), stats

    def lift(
        self, images: Float[Array, "n h w"] | Float[Array, "n h w c"]
    ) -> Float[Array, "h2 w2 n d"]:
        """The state at depth 0."""
        images = images if images.ndim == 4 else images[..., None]
        x = self.stem(jnp.transpose(images, (1, 2, 0, 3)))
        return jnp.pad(x, ((0, 0), (0, 0), (0, 0), (0, self.augment))) if self.augment else x

    def read_out(self, x: Float[Array, "h2 w2 n d"]) -> Float[Array, "n classes"]:
        """The logits of a state."""
        features = jax.nn.relu(self.norm(x)).mean((0, 1))
        return jax.vmap(self.head)(features)


def objective(
    model: ODENet,
    batch: tuple[Float[Array, "n h w"], Int[Array, " n"]],
    key: Key[Array, ""],
    probe: Float[Array, ""],
) -> tuple[Float[Array, ""], dict[str, Array]]:
    """Mean cross-entropy of a batch, for `fit`.

    Args:
        model: an `ODENet`, or a network that is called alike and returns (logits, None).
        batch: images and the number of each one's class.
        key: not used; the model has no randomness.
        probe: see `ODENet`.

    Returns:
        The loss in nats; "accuracy" (a fraction) and, of an ODE, "nfe_forward".
    """
    del key
    images, labels = batch
    logits, stats = model(images, probe=probe)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None].astype(int), axis=1)
    accuracy = (logits.argmax(1) == labels).mean()
    counts = {} if stats is None else {"nfe_forward": stats.num_f_evals}  # of a residual network
    return -chosen.mean(), {"accuracy": accuracy} | counts
