"""The recurrent baseline: what it reads, and that it goes on by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurode.models.baselines import NextValueLoss, RecurrentForecaster, Sequences


@pytest.mark.parametrize("sees_gaps", [False, True])
def test_forecasts_are_its_own_predictions_read_again(sees_gaps):
    model = RecurrentForecaster(2, hidden=5, sees_gaps=sees_gaps, key=jax.random.key(0))
    ys = jax.random.normal(jax.random.key(1), (3, 4, 2))
    gaps = jnp.full((3, 4), 0.5)
    ahead = model.forecast(ys, gaps, jnp.full((3, 2), 0.5))
    longer = jnp.concatenate([ys, ahead[:, :2]], axis=1)
    means, _ = model.read(longer, jnp.full((3, 6), 0.5))
    np.testing.assert_allclose(ahead, means[:, 3:], atol=1e-5)
    changed = model.read(ys, 2 * gaps)[0]
    assert np.allclose(changed, model.read(ys, gaps)[0]) != sees_gaps


def test_the_loss_is_a_gaussian_likelihood():
    model = RecurrentForecaster(1, hidden=4, sees_gaps=True, key=jax.random.key(0))
    ts = jnp.array([[0.0, 1.0, 3.0]])
    ys = jnp.array([[[0.1], [0.2], [0.3]]])
    means, _ = model.read(ys[:, :-1], jnp.diff(ts, axis=1))
    scale = np.exp(-1.0)
    nats = 0.5 * ((ys[:, 1:] - means) / scale) ** 2 + np.log(scale * np.sqrt(2 * np.pi))
    loss, _ = NextValueLoss()(model, Sequences(ts, ys), jax.random.key(0), jnp.zeros(()))
    np.testing.assert_allclose(loss, nats.mean(), rtol=1e-5)
