import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from neurode.models import GaussianNoise, mean_square


@pytest.fixture
def residuals(x64):
    return jax.random.normal(jax.random.key(0), (3, 20, 2)) * jnp.array([0.5, 4.0])


def noise(is_shared):
    return GaussianNoise(jnp.array([60.0, 60.0]), jnp.full(2, 1e-9), is_shared)


@pytest.mark.parametrize("is_shared", [False, True])
def test_loss_is_the_likelihood_at_its_best_noise(residuals, is_shared):
    model = noise(is_shared)
    scale = np.sqrt(model.variances(residuals))
    exact = -stats.norm.logpdf(np.asarray(residuals), scale=scale).sum()
    constant = residuals.size * (1 + np.log(2 * np.pi)) / 2
    np.testing.assert_allclose(model.loss(residuals) + constant, exact, rtol=1e-12)
    for factor in (0.99, 1.01):
        worse = -stats.norm.logpdf(np.asarray(residuals), scale=factor * scale).sum()
        assert worse > exact


@pytest.mark.parametrize("is_shared", [False, True])
def test_gradient_is_that_of_weighted_least_squares(residuals, is_shared):
    model = noise(is_shared)
    found = jax.grad(model.loss)(residuals)
    np.testing.assert_allclose(found, residuals * model.weights(residuals), rtol=1e-9)


def test_mean_square_ignores_what_was_not_observed():
    residuals = jnp.array([[1.0, jnp.nan], [3.0, 4.0]])
    mask = jnp.array([[True, False], [True, False]])
    assert mean_square(residuals, mask) == 5.0
    gradient = jax.grad(mean_square)(residuals, mask)
    np.testing.assert_array_equal(gradient, [[1.0, 0.0], [3.0, 0.0]])
