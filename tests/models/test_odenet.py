"""The MNIST ODE-Net: sizes, shapes, objective, and its gradient through the adjoint."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import neurode as nd
from neurode.models import ODENet, odenet
from nn.quick import build, quick_jit

BACKSOLVE, EXACT = nd.Backsolve(), nd.Checkpointed()


@pytest.mark.parametrize(("downsampling", "count"), [("res", 232_970), ("conv", 208_266)])
def test_parameters_and_logits_of_the_papers_network(downsampling, count):
    def make():
        return ODENet(downsampling=downsampling, key=jax.random.key(0))

    model = eqx.filter_eval_shape(make)
    arrays = [x for x in jax.tree.leaves(model) if isinstance(x, jax.ShapeDtypeStruct)]
    assert sum(x.size for x in arrays) == count
    images = jax.ShapeDtypeStruct((5, 28, 28), jnp.float32)
    logits, stats = eqx.filter_eval_shape(lambda images: make()(images), images)
    assert logits.shape == (5, 10)
    assert stats.num_f_evals.shape == ()


def test_unknown_downsampling_is_refused():
    with pytest.raises(ValueError, match="must be one of .*res, conv.*, got 'pool'"):
        ODENet(downsampling="pool", key=jax.random.key(0))


def small(gradient, **options):
    options |= {"channels": 4, "classes": 3, "gradient": gradient}
    return build(lambda: ODENet(key=jax.random.key(0), **options))


def value_and_gradient(model, batch):
    """Of the loss, with respect to the model and the probe."""
    arrays, rest = eqx.partition(model, eqx.is_array)

    def loss(arrays, batch, probe):
        return odenet.objective(eqx.combine(arrays, rest), batch, jax.random.key(0), probe)

    compute = jax.value_and_grad(loss, argnums=(0, 2), has_aux=True)
    return quick_jit(compute)(arrays, batch, jnp.zeros(()))


def test_adjoint_gives_the_exact_gradient(x64):
    """To about the tolerance, for every weight; evaluations are counted in both directions."""
    images = jax.random.uniform(jax.random.key(1), (3, 10, 10))
    batch = (images, jnp.array([2, 0, 1], jnp.uint8))
    options = {"solver": nd.HeunEuler(), "rtol": 1e-4, "atol": 1e-6}
    found = [value_and_gradient(small(g, **options), batch) for g in (BACKSOLVE, EXACT)]
    ((loss, metrics), (slope, evals)), ((loss2, metrics2), (slope2, evals2)) = found
    assert loss == loss2
    assert metrics == metrics2
    assert metrics["nfe_forward"] > 20
    assert evals > 20
    assert evals2 > 20
    ours, exact = (ravel_pytree(s)[0] for s in (slope, slope2))
    assert float(jnp.linalg.norm(exact)) > 1e-2
    assert float(jnp.linalg.norm(ours - exact)) < 1e-2 * float(jnp.linalg.norm(exact))


def test_objective_is_cross_entropy():
    logits = jnp.array([[0.0, 0, 3], [1, 0, 0], [2, 2, 0], [0, 5, 0]])
    labels = jnp.array([2, 0, 2, 1], jnp.uint8)

    def model(images, probe):
        return logits + images, nd.Stats(*(jnp.asarray(n) for n in (4, 3, 1, 26)))

    loss, metrics = odenet.objective(model, (jnp.float32(7), labels), None, jnp.zeros(()))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(loss, -np.log(p[[0, 1, 2, 3], [2, 0, 2, 1]]).mean(), rtol=1e-6)
    assert metrics == {"accuracy": 0.75, "nfe_forward": 26}


def test_images_may_have_a_channel_axis():
    model = small(EXACT, in_channels=2)
    images = jax.ShapeDtypeStruct((3, 10, 12, 2), jnp.float32)
    assert eqx.filter_eval_shape(model, images)[0].shape == (3, 3)
