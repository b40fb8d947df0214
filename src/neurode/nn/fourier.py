"""Convolution of small images as matrix products in a Fourier basis: fewer operations.

A 'same' convolution of an h x w image with a k x k kernel is cyclic once the image is padded by
k // 2 zeros along each axis, so that the discrete Fourier transform turns it into one product per
frequency. The values are real: half of the frequencies are enough, and a product of two complex
numbers takes three real ones. In all it is a bilinear algorithm of rank R,

    y = G ((F x) * (K kernel)),    F [R, h w],  K [R, k k],  G [h w, R],

where * is, for each of the R rows, the matrix product over the channels. For 7 x 7 images and
3 x 3 kernels R is 94, where the definition has 361 products of a pixel and a tap. All transforms
are orthogonal up to scale: nothing is lost to rounding, unlike with fast algorithms over the reals.

Source: S. Winograd, "Arithmetic Complexity of Computations", SIAM 1980 (bilinear algorithms);
the three products are Gauss's.
"""

from functools import lru_cache

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# The transforms read and write memory that a count of operations does not see.
_WORTHWHILE = 0.75


def convolve_fourier(
    x: Float[Array, "h w n c"], kernel: Float[Array, "k k c d"]
) -> Float[Array, "h w n d"]:
    """Convolve with stride 1 and the zero padding k // 2 that keeps the size; k is odd.

    Args:
        x: images, positions first.
        kernel: the taps.
    """
    (h, w, n, c), (k, _, _, d) = x.shape, kernel.shape
    to_x, to_kernel, back = (jnp.asarray(m, x.dtype) for m in _transforms(h, w, k))
    x_hat = (to_x @ x.reshape(h * w, n * c)).reshape(-1, n, c)
    kernel_hat = (to_kernel @ kernel.reshape(k * k, c * d)).reshape(-1, c, d)
    y_hat = jnp.einsum("rnc,rcd->rnd", x_hat, kernel_hat)
    return (back @ y_hat.reshape(-1, n * d)).reshape(h, w, n, d)


def is_fourier_cheaper(shape: tuple[int, int], k: int, c: int, d: int) -> bool:
    """Whether `convolve_fourier` needs clearly fewer multiplications than the definition.

    Args:
        shape: height and width of the images.
        k: height and width of the kernel.
        c: channels of the images.
        d: channels of the result.
    """
    if k % 2 == 0 or k == 1:
        return False
    h, w = shape
    half = (h + k // 2) * (w + k // 2) / 2
    fourier = 3 * half * (c * d + h * w * (c + d))
    return fourier < _WORTHWHILE * k * k * h * w * c * d


@lru_cache(maxsize=64)
def _transforms(h: int, w: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices F, K and G of the module's docstring."""
    periods = h + k // 2, w + k // 2
    pixels = np.stack(np.meshgrid(np.arange(h), np.arange(w), indexing="ij")).reshape(2, -1)
    offsets = np.arange(k) - k // 2
    taps = np.stack(np.meshgrid(offsets, offsets, indexing="ij")).reshape(2, -1)
    to_x, to_kernel, back = [], [], []
    for frequency, is_real in _frequencies(*periods):
        turn = 2 * np.pi * np.array(frequency) / periods
        cos_x, sin_x = np.cos(turn @ pixels), np.sin(turn @ pixels)
        cos_k, sin_k = np.cos(turn @ taps), np.sin(turn @ taps)
        if is_real:
            to_x += [cos_x]
            to_kernel += [cos_k]
            back += [cos_x]
            continue
        # x_hat = (cos - i sin) x, kernel_hat = (cos + i sin) kernel. With Gauss's products
        #   p = kr (xr + xi),  q = xr (ki - kr),  r = xi (kr + ki)
        # the real part of the product is p - r and the imaginary part p + q. The frequency and
        # its conjugate together give back 2 (real cos - imaginary sin).
        to_x += [cos_x - sin_x, cos_x, -sin_x]
        to_kernel += [cos_k, sin_k - cos_k, cos_k + sin_k]
        back += [2 * (cos_x - sin_x), -2 * sin_x, -2 * cos_x]
    return np.stack(to_x), np.stack(to_kernel), np.stack(back, axis=1) / (periods[0] * periods[1])


def _frequencies(h: int, w: int) -> list[tuple[tuple[int, int], bool]]:
    """One of each pair of conjugate frequencies, and whether it is its own conjugate."""
    found = []
    for u in range(h):
        for v in range(w):
            conjugate = (-u % h, -v % w)
            if (u, v) <= conjugate:
                found.append(((u, v), (u, v) == conjugate))
    return found
