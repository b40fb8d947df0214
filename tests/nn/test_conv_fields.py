"""The paper's vector field: time is one more channel, everywhere in the image alike."""

import jax
import jax.numpy as jnp
import numpy as np

from neurode.nn import ConcatConv, ConvField
from nn.quick import build, quick_jit


def draw(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.result_type(float))


def plain_concat_conv(layer, t, x):
    """As torchdiffeq writes it: a plane of t before the images, then a convolution."""
    x = jnp.concatenate([jnp.full((*x.shape[:3], 1), t), x], axis=-1)
    y = jax.lax.conv_general_dilated(
        x, layer.kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=("HWNC", "HWIO", "HWNC")
    )
    return y + layer.bias


def test_time_is_a_channel_that_is_padded_as_the_others(x64):
    layer, x = build(lambda: ConcatConv(3, 4, key=jax.random.key(0))), draw((5, 6, 2, 3))
    assert layer.kernel.shape == (3, 3, 4, 4)

    def both(method, layer, t, x):
        loss = lambda layer, t, x: jnp.sum(jnp.sin(method(layer, t, x)))  # noqa: E731
        return method(layer, t, x), jax.grad(loss, argnums=(0, 1, 2))(layer, t, x)

    t = jnp.asarray(0.7)
    compute = quick_jit(both, static_argnums=0)
    ours = compute(ConcatConv.__call__, layer, t, x)
    theirs = compute(plain_concat_conv, layer, t, x)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), ours, theirs)


def test_field_is_its_formula(x64):
    field = build(lambda: ConvField(4, key=jax.random.key(0)))
    x, t = draw((3, 3, 2, 4)), jnp.asarray(0.3)

    def formula(t, x):
        y = plain_concat_conv(field.conv1, t, jnp.maximum(field.norm1(x), 0))
        y = plain_concat_conv(field.conv2, t, jnp.maximum(field.norm2(y), 0))
        return field.norm3(y)

    np.testing.assert_allclose(quick_jit(field)(t, x), quick_jit(formula)(t, x), atol=1e-12)


def test_field_has_the_papers_number_of_parameters():
    field = jax.eval_shape(lambda: ConvField(64, key=jax.random.key(0)))
    assert sum(x.size for x in jax.tree.leaves(field)) == 75_392
