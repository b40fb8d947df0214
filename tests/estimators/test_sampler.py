"""`DensitySampler`: a known normaliser found, and an energy without one noticed."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd
from neurode.estimators import DensitySampler, DensityWarning, SettingError

QUICK = {"hidden": 8, "steps": 200, "samples": 256, "learning_rate": 1e-2, "check_samples": 4000}
QUICK |= {"rtol": 1e-4, "atol": 1e-4}


def energy(x):
    """A correlated normal of covariance [[4, 1], [1, 1]] around (3, -1), without its normaliser."""
    z = x - jnp.array([3.0, -1.0])
    return -0.5 * z @ jnp.linalg.inv(jnp.array([[4.0, 1.0], [1.0, 1.0]])) @ z


@pytest.fixture(scope="module")
def sampler():
    return DensitySampler(energy, 2, location=[2.0, 0.0], scale=[1.5, 1.0], **QUICK).fit()


def test_the_normaliser(sampler):
    expected = math.log(2 * math.pi * math.sqrt(3))
    assert abs(sampler.log_normaliser_ - expected) < 4 * sampler.log_normaliser_error_ + 1e-3
    assert sampler.elbo_ < sampler.log_normaliser_
    assert expected - sampler.elbo_ < 0.1
    assert 0.8 < sampler.effective_sample_size_ <= 1


def test_samples(sampler):
    x = sampler.sample(4000)
    np.testing.assert_allclose(x.mean(axis=0), [3, -1], atol=0.2)
    np.testing.assert_allclose(np.cov(x.T), [[4, 1], [1, 1]], atol=0.6)
    x, log_weights = sampler.sample_weighted(500, random_state=3)
    log_p = np.array([float(energy(jnp.asarray(row))) for row in x[:3]])
    np.testing.assert_allclose(log_weights[:3], log_p - sampler.score_samples(x[:3]), atol=1e-3)


def test_a_loaded_sampler_knows_everything_but_its_energy(sampler, tmp_path):
    again = nd.load(sampler.save(tmp_path))
    np.testing.assert_array_equal(again.sample(20), sampler.sample(20))
    assert again.log_normaliser_ == sampler.log_normaliser_
    with pytest.raises(SettingError, match="does not know its energy"):
        again.sample_weighted(5)


def test_an_energy_that_is_not_normalisable_is_noticed():
    settings = QUICK | {"steps": 400, "learning_rate": 3e-2}
    with pytest.warns(DensityWarning, match="probably not normalisable"):
        DensitySampler(lambda x: 0.0 * x[0], 1, **settings).fit()
