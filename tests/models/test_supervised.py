"""ODE-Nets on tables and the residual networks beside them: shapes, sizes, losses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurode.models import CrossEntropy, ODENet, SquaredError, TabularODENet
from neurode.models.baselines import PixelMLP, ResNet, TabularResNet

KEY = jax.random.key(0)


def count(net):
    return sum(x.size for x in jax.tree.leaves(net) if hasattr(x, "size"))


def test_a_state_begins_with_the_row_and_zeros():
    net = TabularODENet(2, 1, width=None, augment=3, hidden=(4,), has_head=False, key=KEY)
    x = jnp.array([[1.0, 2.0]])
    np.testing.assert_array_equal(net.lift(x), [[1, 2, 0, 0, 0]])
    np.testing.assert_array_equal(net.read_out(jnp.array([[7.0, 8, 9, 1, 2]])), [[7]])
    assert net.block.field.size == 5


@pytest.mark.parametrize(("blocks", "parameters"), [(6, 601_482), (1, 231_562)])
def test_the_papers_residual_networks_have_its_sizes(blocks, parameters):
    assert count(jax.eval_shape(lambda key: ResNet(blocks=blocks, key=key), KEY)) == parameters


def test_the_papers_perceptron_has_its_size():
    assert count(jax.eval_shape(lambda key: PixelMLP(key=key), KEY)) == 238_510


def test_augmented_channels_and_weights_that_vary():
    plain = jax.eval_shape(lambda key: ODENet(channels=8, key=key), KEY)
    wide = jax.eval_shape(lambda key: ODENet(channels=8, augment=2, depth_degree=1, key=key), KEY)
    assert wide.norm.scale.shape == (10,)
    assert wide.block.field.coefficients.conv1.kernel.shape == (2, 3, 3, 11, 10)
    assert count(plain) == count(jax.eval_shape(lambda k: ODENet(channels=8, key=k), KEY))
    images = jax.ShapeDtypeStruct((5, 12, 12), jnp.float32)
    lifted = jax.eval_shape(lambda net, x: net.lift(x), wide, images)
    assert lifted.shape[2:] == (5, 10)


def test_losses_are_weighted_means():
    x = jnp.array([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]])
    weights = jnp.array([2.0, 1.0, 0.0])

    def net(x, probe):
        return x, None

    loss, metrics = CrossEntropy()(net, (x, jnp.array([0, 0, 0]), weights), KEY, jnp.zeros(()))
    each = np.array([np.log1p(np.exp(-2)), np.log1p(np.e)])
    np.testing.assert_allclose(loss, (2 * each[0] + each[1]) / 3, rtol=1e-6)
    np.testing.assert_allclose(metrics["accuracy"], 2 / 3, rtol=1e-6)
    target = jnp.array([[0.0, 0.0], [0.0, 0.0], [9.0, 9.0]])
    loss, metrics = SquaredError()(net, (x, target, weights), KEY, jnp.zeros(()))
    np.testing.assert_allclose(loss, (2 * 2.0 + 0.5) / 3, rtol=1e-6)
    assert metrics == {}


def test_residual_blocks_add_up():
    net = TabularResNet(3, 2, width=4, hidden=(5,), blocks=2, key=KEY)
    x = jnp.ones((1, 3))
    z = x @ net.first.weight.T + net.first.bias
    z = z + net.blocks[0](z)
    z = z + net.blocks[1](z)
    np.testing.assert_allclose(net(x)[0], z @ net.head.weight.T + net.head.bias, rtol=1e-5)
