"""The MNIST ODE-Net: sizes, shapes, objective, and its gradient through the adjoint."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd
from neurode.models import ODENet, odenet


@pytest.mark.parametrize(("downsampling", "count"), [("res", 232_970), ("conv", 208_266)])
def test_parameters_and_logits_of_the_papers_network(downsampling, count):
    def build():
        return ODENet(downsampling=downsampling, key=jax.random.key(0))

    model = eqx.filter_eval_shape(build)
    arrays = [x for x in jax.tree.leaves(model) if isinstance(x, jax.ShapeDtypeStruct)]
    assert sum(x.size for x in arrays) == count
    images = jax.ShapeDtypeStruct((5, 28, 28), jnp.float32)
    logits, stats = eqx.filter_eval_shape(lambda images: build()(images), images)
    assert logits.shape == (5, 10)
    assert stats.num_f_evals.shape == ()


def test_unknown_downsampling_is_refused():
    with pytest.raises(ValueError, match="must be res or conv, got 'pool'"):
        ODENet(downsampling="pool", key=jax.random.key(0))


def small(gradient, tolerance, channels=4):
    return ODENet(
        channels=channels,
        classes=3,
        solver=nd.Dopri5(),
        rtol=tolerance,
        atol=tolerance,
        gradient=gradient,
        key=jax.random.key(0),
    )


@eqx.filter_jit
def value_and_gradient(model, batch):
    def loss(inputs):
        model, probe = inputs
        return odenet.objective(model, batch, jax.random.key(0), probe)

    return eqx.filter_value_and_grad(loss, has_aux=True)((model, jnp.zeros(())))


def test_adjoint_agrees_with_the_exact_gradient(x64):
    """Of cross-entropy, accuracy and every weight; the adjoint's error is the tolerance's."""
    batch = (jax.random.uniform(jax.random.key(1), (3, 12, 12)), jnp.array([2, 0, 1], jnp.uint8))
    # The network has kinks (ReLU), so that the error falls slowly with the tolerance.
    found = [value_and_gradient(small(g, 1e-7), batch) for g in (nd.Backsolve(), nd.Checkpointed())]
    [((loss, metrics), (slope, evals)), ((loss2, metrics2), (slope2, evals2))] = found
    assert loss == loss2
    logits, _ = small(nd.Direct(), 1e-7)(batch[0])
    log_p = np.asarray(jax.nn.log_softmax(logits))
    np.testing.assert_allclose(loss, -np.mean(log_p[[0, 1, 2], [2, 0, 1]]), rtol=1e-12)
    assert metrics["accuracy"] == np.mean(log_p.argmax(1) == [2, 0, 1])
    assert metrics["nfe_forward"] == metrics2["nfe_forward"] > 20
    assert evals > 20
    assert evals2 > 20
    ours, exact = (
        jnp.concatenate([x.ravel() for x in jax.tree.leaves(s)]) for s in (slope, slope2)
    )
    assert float(jnp.linalg.norm(ours - exact)) < 1e-3 * float(jnp.linalg.norm(exact))


def test_channels_last_or_no_channels():
    model = small(nd.Backsolve(), 1e-2)
    images = jax.random.uniform(jax.random.key(1), (2, 12, 12))
    np.testing.assert_array_equal(model(images)[0], model(images[..., None])[0])
    loose = dataclasses.replace(model, block=dataclasses.replace(model.block, rtol=1.0, atol=1.0))
    assert loose(images)[1].num_f_evals < model(images)[1].num_f_evals
