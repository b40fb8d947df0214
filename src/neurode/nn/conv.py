"""Convolutions of images [h, w, n, c], positions first, as matrix products where that is faster.

With the batch n and the channels c last, every tap of a kernel meets blocks of contiguous rows, and
sums over positions (normalisation, pooling) run along whole rows. On a CPU, XLA's own convolution
is the wrong tool for training: inside a `while` loop, where every solve and every training step
takes place, its gradient with respect to the kernel takes 20 to 60 times as long as the matrix
products below (jaxlib 0.10.2; the vector field of the MNIST ODE-Net with its gradient: 740 ms of
CPU time with XLA's convolution and images [n, h, w, c], 70 ms with patches, 28 ms as it is here).
"""

import math
from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from neurode.nn.fourier import convolve_fourier, is_fourier_cheaper

# Below, a matrix product per tap is mostly overhead.
_FEW_CHANNELS = 8


def convolve(
    x: Float[Array, "h w n c"],
    kernel: Float[Array, "kh kw c d"],
    *,
    stride: int = 1,
    padding: int = 0,
) -> Float[Array, "h2 w2 n d"]:
    """Convolve a batch of images (a cross-correlation, as everywhere in deep learning).

    Args:
        x: images, positions first.
        kernel: the taps.
        stride: positions from one window to the next, along both axes.
        padding: rows and columns of zeros added at each side.

    Returns:
        Images with h2 = (h + 2 padding - kh) // stride + 1, and likewise w2.

    Raises:
        ValueError: the channels disagree, or the kernel is larger than the padded image.
    """
    (h, w, _, c), (kh, kw, channels, d) = x.shape, kernel.shape
    if c != channels:
        raise ValueError(f"the images have {c} channels and the kernel takes {channels}")
    if kh > h + 2 * padding or kw > w + 2 * padding:
        raise ValueError(
            f"a kernel of {kh} x {kw} does not fit images of {h} x {w} with padding {padding}"
        )

    def on_cpu(x, kernel):
        is_same = stride == 1 and kh == kw == 2 * padding + 1
        if is_same and is_fourier_cheaper((h, w), kh, c, d):
            return convolve_fourier(x, kernel)
        if c < _FEW_CHANNELS:
            return convolve_patches(x, kernel, stride, padding)
        return convolve_taps(x, kernel, stride, padding)

    def elsewhere(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            ((padding, padding), (padding, padding)),
            dimension_numbers=("HWNC", "HWIO", "HWNC"),
        )

    return jax.lax.platform_dependent(x, kernel, cpu=on_cpu, default=elsewhere)


def convolve_taps(
    x: Float[Array, "h w n c"], kernel: Float[Array, "kh kw c d"], stride: int, padding: int
) -> Float[Array, "h2 w2 n d"]:
    """Convolve by one matrix product for each tap, summed: no copy of the images is kept.

    Args:
        x: images, positions first.
        kernel: the taps.
        stride: positions from one window to the next.
        padding: rows and columns of zeros at each side.
    """
    views = _tap_views(x, kernel.shape[:2], stride, padding)
    taps = kernel.reshape(-1, *kernel.shape[2:])
    return reduce(jnp.add, (view @ tap for view, tap in zip(views, taps, strict=True)))


def convolve_patches(
    x: Float[Array, "h w n c"], kernel: Float[Array, "kh kw c d"], stride: int, padding: int
) -> Float[Array, "h2 w2 n d"]:
    """Convolve by gathering the patch of every window and one matrix product (im2col).

    Args:
        x: images, positions first.
        kernel: the taps.
        stride: positions from one window to the next.
        padding: rows and columns of zeros at each side.
    """
    patches = jnp.concatenate(_tap_views(x, kernel.shape[:2], stride, padding), axis=-1)
    return patches @ kernel.reshape(-1, kernel.shape[-1])


def _tap_views(
    x: Float[Array, "h w n c"], shape: tuple[int, ...], stride: int, padding: int
) -> list[Float[Array, "h2 w2 n c"]]:
    """For each tap of the kernel, the pixels that it meets."""
    x = jnp.pad(x, ((padding, padding), (padding, padding), (0, 0), (0, 0)))
    reach = [stride * ((size - k) // stride) + 1 for size, k in zip(x.shape, shape, strict=False)]
    rows = [slice(i, i + reach[0], stride) for i in range(shape[0])]
    columns = [slice(j, j + reach[1], stride) for j in range(shape[1])]
    return [x[i, j] for i in rows for j in columns]


class Conv(eqx.Module):
    """A convolution layer.

    Attributes:
        kernel: [k, k, c, d].
        bias: [d], or None.
        stride: positions from one window to the next.
        padding: rows and columns of zeros added at each side.
    """

    kernel: Float[Array, "k k c d"]
    bias: Float[Array, " d"] | None
    stride: int = eqx.field(static=True)
    padding: int = eqx.field(static=True)

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        use_bias: bool = True,
        key: Key[Array, ""],
    ):
        """Draw the weights, see `draw_conv`.

        Args:
            in_channels: channels c of the input.
            out_channels: channels d of the output.
            size: height and width k of the kernel.
            stride: positions from one window to the next.
            padding: rows and columns of zeros added at each side.
            use_bias: whether to add a learned constant to each output channel.
            key: a typed key.
        """
        self.kernel, bias = draw_conv(in_channels, out_channels, size, key)
        self.bias = bias if use_bias else None
        self.stride, self.padding = stride, padding

    def __call__(self, x: Float[Array, "h w n c"]) -> Float[Array, "h2 w2 n d"]:
        """Convolve a batch of images."""
        y = convolve(x, self.kernel, stride=self.stride, padding=self.padding)
        return y if self.bias is None else y + self.bias


def draw_conv(
    in_channels: int, out_channels: int, size: int, key: Key[Array, ""]
) -> tuple[Float[Array, "k k c d"], Float[Array, " d"]]:
    """Draw a kernel and a bias uniformly from ±1/sqrt(k k c), as PyTorch does.

    Args:
        in_channels: c.
        out_channels: d.
        size: height and width k of the kernel.
        key: a typed key.
    """
    for_kernel, for_bias = jax.random.split(key)
    bound = 1 / math.sqrt(size * size * in_channels)
    shape = (size, size, in_channels, out_channels)
    kernel = jax.random.uniform(for_kernel, shape, minval=-bound, maxval=bound)
    bias = jax.random.uniform(for_bias, (out_channels,), minval=-bound, maxval=bound)
    return kernel, bias
