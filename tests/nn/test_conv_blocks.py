"""Normalisation, residual blocks, downsampling, and an ODE as a layer."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd
from neurode.nn import (
    ConvDownsampling,
    GroupNorm,
    ODEBlock,
    ResidualBlock,
    ResidualDownsampling,
)
from nn.quick import build, quick_jit


def draw(shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.result_type(float))


@pytest.mark.parametrize(("channels", "groups"), [(6, 3), (4, 4)])
def test_group_norm_is_its_definition(x64, channels, groups):
    x = 3 + 2 * draw((4, 5, 3, channels))
    norm = GroupNorm(channels, groups)
    weights = draw((channels,), 1), draw((channels,), 2)
    norm = eqx.tree_at(lambda norm: (norm.scale, norm.shift), norm, weights)
    parts = np.asarray(x).reshape(4, 5, 3, groups, -1)
    mean = parts.mean((0, 1, 4), keepdims=True)
    variance = parts.var((0, 1, 4), keepdims=True)
    expected = ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape)
    np.testing.assert_allclose(quick_jit(norm)(x), expected * norm.scale + norm.shift, atol=1e-12)


def test_group_norm_survives_a_large_mean():
    """The variance is taken about the mean: in float32, E[x^2] - E[x]^2 would be noise here."""
    x = 1000 + draw((7, 7, 2, 4))
    norm = quick_jit(GroupNorm(4, 2))
    np.testing.assert_allclose(norm(x), norm(x - 1000), atol=2e-3)


def test_groups_must_divide_the_channels():
    assert GroupNorm(64).groups == 32
    assert GroupNorm(8).groups == 8
    with pytest.raises(ValueError, match="10 channels do not divide into 4 groups"):
        GroupNorm(10, 4)


def test_residual_block():
    x = draw((5, 5, 2, 4))
    plain = build(lambda: ResidualBlock(4, 4, key=jax.random.key(0)))
    assert plain.shortcut is None
    still = eqx.tree_at(lambda block: block.conv2.kernel, plain, replace_fn=jnp.zeros_like)
    np.testing.assert_array_equal(quick_jit(still)(x), x)
    assert float(jnp.abs(quick_jit(plain)(x) - x).max()) > 0.01
    shrinking = build(lambda: ResidualBlock(4, 6, stride=2, key=jax.random.key(0)))
    assert jax.eval_shape(shrinking, x).shape == (3, 3, 2, 6)


def test_downsampling_shapes():
    """28 -> 26 -> 13 -> 7 with residual blocks, 6 with plain convolutions (torchdiffeq's)."""
    x = jax.ShapeDtypeStruct((28, 28, 2, 1), jnp.float32)
    for kind, size in ((ResidualDownsampling, 7), (ConvDownsampling, 6)):
        stem = build(partial(kind, 1, 8, key=jax.random.key(0)))
        assert jax.eval_shape(stem, x).shape == (size, size, 2, 8)


def test_ode_block_solves_over_the_unit_interval(x64):
    block = ODEBlock(lambda t, y: -2 * t * y, rtol=1e-8, atol=1e-8)

    def loss(y, probe):
        y1, stats = block(y, probe=probe)
        return jnp.sum(y1**2), (y1, stats)

    y0 = jnp.array([1.0, 3.0])
    gradient = quick_jit(jax.grad(loss, (0, 1), has_aux=True))
    (slope, evaluations), (y1, stats) = gradient(y0, jnp.zeros(()))
    np.testing.assert_allclose(y1, y0 * np.exp(-1), rtol=1e-7)
    np.testing.assert_allclose(slope, 2 * y0 * np.exp(-2), rtol=1e-6)
    assert stats.num_f_evals > 20
    assert evaluations > 20
    loose = dataclasses.replace(block, rtol=1e-2, atol=1e-2)
    assert quick_jit(loose)(y0)[1].num_f_evals < stats.num_f_evals


def test_ode_block_takes_a_strategy_and_a_state_of_any_shape():
    options = {"solver": nd.RK4(), "stepsize": nd.ConstantSteps(4), "gradient": nd.Direct()}
    block = ODEBlock(lambda t, y: jax.tree.map(jnp.negative, y), **options)
    y1, stats = quick_jit(block)({"a": jnp.ones((2, 3)), "b": jnp.ones(())})
    np.testing.assert_allclose(y1["a"], np.exp(-1) * np.ones((2, 3)), rtol=1e-4)
    assert stats.num_f_evals == 16
