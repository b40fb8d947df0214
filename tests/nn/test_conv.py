"""Each way to convolve is XLA's convolution, gradients included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurode.nn import Conv, convolve
from neurode.nn.conv import convolve_patches, convolve_taps
from neurode.nn.fourier import convolve_fourier, is_fourier_cheaper
from nn.quick import quick_jit

# (height, width), kernel, channels in and out, stride, padding
CASES = [
    ((5, 4), (3, 2), 2, 3, 1, 1),
    ((6, 7), (3, 3), 1, 2, 2, 1),
    ((3, 4), (1, 1), 2, 1, 2, 0),
]
SAME = [((7, 7), 3), ((4, 5), 3), ((1, 2), 5), ((2, 2), 1)]


def draw(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.result_type(float))


def reference(x, kernel, stride=1, padding=0):
    pads = ((padding, padding),) * 2
    layout = ("HWNC", "HWIO", "HWNC")
    return jax.lax.conv_general_dilated(x, kernel, (stride,) * 2, pads, dimension_numbers=layout)


def assert_equal(found, x, kernel, **options):
    """Values, gradients with respect to both, and a directional derivative."""

    def all_of(conv, x, kernel):
        y, pull = jax.vjp(conv, x, kernel)
        bar = draw(y.shape, 5)
        _, dy = jax.jvp(conv, (x, kernel), (jnp.cos(x), jnp.sin(kernel)))
        return y, pull(bar), dy

    def expected(x, kernel):
        return reference(x, kernel, **options)

    compute = quick_jit(all_of, static_argnums=0)
    ours, theirs = compute(found, x, kernel), compute(expected, x, kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), ours, theirs)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("method", [convolve_taps, convolve_patches])
def test_gathering_is_convolution(x64, method, case):
    (h, w), (kh, kw), c, d, stride, padding = case
    x, kernel = draw((h, w, 2, c)), draw((kh, kw, c, d), 1)
    options = {"stride": stride, "padding": padding}
    assert_equal(lambda x, k: method(x, k, **options), x, kernel, **options)


@pytest.mark.parametrize(("shape", "k"), SAME, ids=str)
def test_fourier_products_are_convolution(x64, shape, k):
    x, kernel = draw((*shape, 2, 3)), draw((k, k, 3, 2), 1)
    assert_equal(convolve_fourier, x, kernel, padding=k // 2)


def test_fourier_products_lose_no_digits(x64):
    """In float32 the error is that of a sum of this length, as for the definition."""
    x, kernel = draw((7, 7, 4, 64)), draw((3, 3, 64, 64), 1) / 24
    found = quick_jit(convolve_fourier)(x.astype(jnp.float32), kernel.astype(jnp.float32))
    assert found.dtype == jnp.float32
    assert float(jnp.abs(found - quick_jit(convolve_fourier)(x, kernel)).max()) < 2e-5


def test_fourier_products_are_used_where_they_save_work():
    assert is_fourier_cheaper((7, 7), 3, 64, 64)
    assert is_fourier_cheaper((6, 6), 3, 64, 64)
    assert not is_fourier_cheaper((26, 26), 3, 64, 64)  # the transforms grow as (h w)^2
    assert not is_fourier_cheaper((7, 7), 3, 4, 4)  # and are not paid back by few channels
    assert not is_fourier_cheaper((7, 7), 1, 64, 64)
    assert not is_fourier_cheaper((7, 7), 4, 64, 64)


@pytest.mark.parametrize("c", [1, 16, 64])
def test_nothing_on_a_cpu_is_xlas_convolution(c):
    """Its gradient is pathologically slow inside loops; see the module's docstring."""

    def loss(x, kernel):
        return jnp.sum(convolve(x, kernel, padding=1) ** 2)

    program = jax.jit(jax.grad(loss, argnums=(0, 1)))
    text = program.lower(draw((7, 7, 2, c)), draw((3, 3, c, 64), 1)).as_text()
    assert "convolution" not in text
    assert "dot_general" in text


@pytest.mark.parametrize("c", [2, 64])
def test_convolve_is_convolution_whatever_the_method(x64, c):
    x, kernel = draw((7, 7, 2, c)), draw((3, 3, c, 64), 1)
    assert_equal(lambda x, k: convolve(x, k, padding=1), x, kernel, padding=1)


def test_vmap_over_images_and_kernels(x64):
    x, kernel = draw((3, 7, 7, 1, 64)), draw((3, 3, 3, 64, 64), 1)
    found = quick_jit(jax.vmap(lambda x, k: convolve(x, k, padding=1)))(x, kernel)
    expected = [reference(x[i], kernel[i], padding=1) for i in range(3)]
    np.testing.assert_allclose(found, expected, atol=1e-11)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="have 2 channels and the kernel takes 3"):
        convolve(jnp.ones((4, 4, 1, 2)), jnp.ones((3, 3, 3, 5)))
    with pytest.raises(ValueError, match="5 x 5 does not fit images of 2 x 8 with padding 1"):
        convolve(jnp.ones((2, 8, 1, 2)), jnp.ones((5, 5, 2, 2)), padding=1)


def test_layer():
    layer = Conv(4, 6, 3, stride=2, padding=1, key=jax.random.key(0))
    assert layer.kernel.shape == (3, 3, 4, 6)
    bound = 1 / 6  # 1 / sqrt(3 * 3 * 4), PyTorch's
    assert 0.9 * bound < float(jnp.abs(layer.kernel).max()) <= bound
    assert float(jnp.abs(layer.bias).max()) <= bound
    x = draw((7, 7, 2, 4))
    expected = reference(x, layer.kernel, 2, 1) + layer.bias
    np.testing.assert_allclose(quick_jit(layer)(x), expected, atol=1e-5)
    assert Conv(4, 6, 3, use_bias=False, key=jax.random.key(0)).bias is None
