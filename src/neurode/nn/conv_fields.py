"""Convolutional vector fields on images [h, w, n, c], with time as one more channel."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurode.nn.blocks import GroupNorm
from neurode.nn.conv import convolve, draw_conv


class ConcatConv(eqx.Module):
    """A 3 x 3 convolution of [t, x]: the images with time as their first channel.

    A channel that is constant need not be convolved image by image: it contributes t times the
    response of the kernel to a plane of ones (which is not constant near the border).

    Attributes:
        kernel: [3, 3, 1 + c, d]; the first input channel is time's.
        bias: [d].
    """

    kernel: Float[Array, "3 3 c1 d"]
    bias: Float[Array, " d"]

    def __init__(self, in_channels: int, out_channels: int, *, key: Key[Array, ""]):
        """Draw the weights.

        Args:
            in_channels: channels c of the images, time not counted.
            out_channels: channels d of the result.
            key: a typed key.
        """
        self.kernel, self.bias = draw_conv(1 + in_channels, out_channels, 3, key)

    def __call__(self, t: Float[Array, ""], x: Float[Array, "h w n c"]) -> Float[Array, "h w n d"]:
        """Convolve a batch of images at time t."""
        ones = jnp.ones((*x.shape[:2], 1, 1), x.dtype)
        of_time = convolve(ones, self.kernel[:, :, :1], padding=1)
        return convolve(x, self.kernel[:, :, 1:], padding=1) + (t * of_time + self.bias)


class ConvField(eqx.Module):
    """dx/dt = norm(conv(relu(norm(conv(relu(norm(x))))))), both convolutions also of time.

    The dynamics of the ODE-Net of Chen et al. (2018), section 3; the layers are those of the
    authors' torchdiffeq, examples/odenet_mnist.py.

    Attributes:
        norm1: before the first convolution.
        conv1: 3 x 3, of time and the images.
        norm2: before the second convolution.
        conv2: 3 x 3, of time and the images.
        norm3: after it.
    """

    norm1: GroupNorm
    conv1: ConcatConv
    norm2: GroupNorm
    conv2: ConcatConv
    norm3: GroupNorm

    def __init__(self, channels: int, *, key: Key[Array, ""]):
        """Draw the weights.

        Args:
            channels: channels c of the state.
            key: a typed key.
        """
        key1, key2 = jax.random.split(key)
        self.norm1, self.norm2, self.norm3 = (GroupNorm(channels) for _ in range(3))
        self.conv1 = ConcatConv(channels, channels, key=key1)
        self.conv2 = ConcatConv(channels, channels, key=key2)

    def __call__(self, t: Float[Array, ""], x: Float[Array, "h w n c"]) -> Float[Array, "h w n c"]:
        """Evaluate the field at time t."""
        x = self.conv1(t, jax.nn.relu(self.norm1(x)))
        x = self.conv2(t, jax.nn.relu(self.norm2(x)))
        return self.norm3(x)
