"""The latent ODE's mathematics: paths at each series' own times, and the bounds of log p(y)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd
from neurode.models import (
    BernoulliEmission,
    Crops,
    GaussianEmission,
    LatentLoss,
    PoissonEmission,
    SolveOptions,
    new_latent_model,
    solve_paths,
    weigh_evidence,
)
from neurode.nn import Encoder

OPTIONS = SolveOptions(rtol=1e-6, atol=1e-8, max_steps=64)


def rotate(t, z):
    del t
    return jnp.stack([z[..., 1], -z[..., 0]], axis=-1)


def test_paths_at_times_of_their_own():
    starts = jnp.array([0.0, 1.0, 2.0])
    ts = jnp.array([[0.0, 0.3, 2.0], [1.0, 1.5, 5.0], [2.0, 2.0, 2.0]])
    initial = jnp.array([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
    angle = ts - starts[:, None]
    x, v = initial[:, :1], initial[:, 1:]
    exact = jnp.stack(
        [x * jnp.cos(angle) + v * jnp.sin(angle), v * jnp.cos(angle) - x * jnp.sin(angle)], -1
    )
    paths = solve_paths(rotate, initial, starts, ts, OPTIONS)
    np.testing.assert_allclose(paths.states, exact, atol=1e-4)

    def last(initial):
        return solve_paths(rotate, initial, starts, ts, OPTIONS).states[:, -1, 0].sum()

    slope = jax.grad(last)(initial)
    np.testing.assert_allclose(slope[:, 0], jnp.cos(angle[:, -1]), atol=1e-4)
    np.testing.assert_allclose(slope[:, 1], jnp.sin(angle[:, -1]), atol=1e-4)


def test_a_field_that_knows_the_time():
    ts = jnp.array([[0.0, 1.0], [2.0, 5.0]])
    paths = solve_paths(lambda t, z: t * jnp.ones_like(z), jnp.zeros((2, 1)), ts[:, 0], ts, OPTIONS)
    np.testing.assert_allclose(paths.states[:, -1, 0], [0.5, (25 - 4) / 2], rtol=1e-4)


def make_crops(n=5, size=6, d=2):
    keys = jax.random.split(jax.random.key(0), 3)
    ts = jnp.sort(jax.random.uniform(keys[0], (n, size)), axis=1)
    ys = jax.random.normal(keys[1], (n, size, d))
    mask = jax.random.bernoulli(keys[2], 0.7, ys.shape).at[:, 0].set(True)
    return Crops(ts - ts[:, :1], ys, mask, mask, jnp.zeros(n, int), jnp.ones(()))


@pytest.fixture(scope="module")
def model():
    emission = GaussianEmission(jnp.full(2, jnp.log(0.5)))
    return new_latent_model(2, 3, emission, encoder_hidden=8, key=jax.random.key(1))


def test_what_is_not_observed_does_not_matter(model):
    crops = make_crops()
    hidden = crops._replace(ys=jnp.where(crops.seen, crops.ys, 1e9))
    values = [
        LatentLoss(OPTIONS)(model, c, jax.random.key(2), jnp.zeros(()))[0] for c in (crops, hidden)
    ]
    assert values[0] == values[1]


def test_padding_does_not_matter(model):
    crops = make_crops()

    def pad(x):
        return jnp.concatenate([x, x[:, -1:], x[:, -1:]], axis=1)

    off = jnp.zeros((5, 2, 2), bool)
    seen = jnp.concatenate([crops.seen, off], axis=1)
    padded = crops._replace(ts=pad(crops.ts), ys=pad(crops.ys), seen=seen, scored=seen)
    loss = LatentLoss(OPTIONS, consistency=1.0)
    a, b = (loss(model, c, jax.random.key(2), jnp.zeros(()))[0] for c in (crops, padded))
    np.testing.assert_allclose(a, b, rtol=1e-4)


def test_more_weighted_samples_give_a_tighter_bound(model):
    crops = make_crops()

    def bound(samples):
        found = weigh_evidence(model, crops, OPTIONS, samples, jax.random.key(3))
        weights = found.log_likelihood + found.log_ratio
        return jax.nn.logsumexp(weights, axis=0).mean() - jnp.log(samples)

    one, many = bound(1), bound(500)
    assert many > one


def test_the_bound_is_the_evidence_where_the_posterior_is_exact():
    """A static state seen once through the identity: everything is Gaussian."""
    noise, y = 0.5, 0.8
    model = new_latent_model(
        1, 1, GaussianEmission(jnp.full(1, jnp.log(noise))), key=jax.random.key(0)
    )

    class Exact:
        def __call__(self, ts, ys, mask):
            precision = 1 + 1 / noise**2
            return ys / noise**2 / precision, jnp.full_like(ys, precision**-0.5)

    exact = jax.tree_util.tree_map(lambda x: x, model)
    object.__setattr__(exact, "encoder", Exact())
    object.__setattr__(exact, "field", lambda t, z: jnp.zeros_like(z))
    object.__setattr__(exact, "decoder", lambda z: z)
    on = jnp.ones((1, 1, 1), bool)
    crops = Crops(
        jnp.zeros((1, 1)), jnp.full((1, 1, 1), y), on, on, jnp.zeros(1, int), jnp.ones(())
    )
    found = weigh_evidence(exact, crops, OPTIONS, 5, jax.random.key(4))
    variance = 1 + noise**2
    evidence = -0.5 * (y**2 / variance + np.log(2 * np.pi * variance))
    np.testing.assert_allclose(found.log_likelihood + found.log_ratio, evidence, atol=1e-4)


def test_probabilities_sum_to_one():
    counts = jnp.arange(60.0)
    np.testing.assert_allclose(
        jnp.exp(PoissonEmission().log_prob(jnp.full(60, jnp.log(7.0)), counts)).sum(), 1, rtol=1e-4
    )
    bits = jnp.exp(BernoulliEmission().log_prob(jnp.full(2, 0.3), jnp.array([0.0, 1.0])))
    np.testing.assert_allclose(bits.sum(), 1, rtol=1e-5)
    np.testing.assert_allclose(bits[1], BernoulliEmission().mean(jnp.array(0.3)), rtol=1e-5)
    grid = jnp.linspace(-10, 10, 2001)
    density = jnp.exp(GaussianEmission(jnp.log(jnp.array(0.7))).log_prob(jnp.zeros(()), grid))
    np.testing.assert_allclose(density.sum() * 0.01, 1, rtol=1e-4)


@pytest.mark.parametrize("kind", ["rnn", "gru", "ode-rnn"])
def test_an_encoder_looks_only_ahead(kind):
    """What it says of a time depends on that time and later ones, not on earlier ones."""
    encoder = Encoder(2, 3, kind=kind, hidden=6, key=jax.random.key(5))
    crops = make_crops()
    ts, ys, mask = crops.ts, crops.ys, jnp.ones(crops.ys.shape, bool)
    mean, scale = encoder(ts, ys, mask)
    assert mean.shape == scale.shape == (5, 6, 3)
    earlier = encoder(ts.at[:, 0].add(-0.5), ys.at[:, 0].add(1.0), mask)[0]
    np.testing.assert_array_equal(mean[:, 1:], earlier[:, 1:])
    assert not np.allclose(mean[:, 0], earlier[:, 0])
    np.testing.assert_allclose(encoder(ts + 7, ys, mask)[0], mean, atol=1e-5)
    later = encoder(ts.at[:, -1].add(0.5), ys, mask)[0]
    assert not np.allclose(mean[:, 0], later[:, 0])  # it knows the gaps


def test_unknown_encoder():
    with pytest.raises(ValueError, match="rnn, gru, ode-rnn"):
        Encoder(2, 3, kind="lstm", key=jax.random.key(0))


def test_fixed_noise_is_not_learned(model):
    emission = GaussianEmission(model.emission.log_scale, is_learned=False)
    slope = jax.grad(lambda e: e.log_prob(jnp.zeros(2), jnp.ones(2)).sum())(emission)
    assert (slope.log_scale == 0).all()
    assert nd.LatentODE(noise=0.1).noise == 0.1
