"""Events along latent paths: their likelihood against closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expi

from neurode.models import (
    CountedField,
    Crops,
    EventRate,
    GaussianEmission,
    HappenedEvents,
    LatentLoss,
    SolveOptions,
    new_latent_model,
    solve_paths,
    weigh_evidence,
)

OPTIONS = SolveOptions(rtol=1e-6, atol=1e-6)


def test_a_rate_along_a_decaying_state():
    """z = z0 exp(-t), lambda = 3 exp(z): its integral is 3 (Ei(z0) - Ei(z))."""
    rate = EventRate(lambda z: z, jnp.asarray(3.0))
    counted = CountedField(lambda t, z: -z, rate)
    initial = jnp.array([[0.5], [2.0]])
    ts = jnp.array([[0.0, 0.7, 1.5], [0.0, 0.2, 3.0]])
    follow = jax.jit(lambda z, ts: solve_paths(counted, z, ts[:, 0], ts, OPTIONS).states)
    log_rates, integrals = counted.read(follow(counted.start(initial), ts))
    z = np.asarray(initial) * np.exp(-np.asarray(ts))
    np.testing.assert_allclose(log_rates, np.log(3) + z, rtol=1e-4)
    np.testing.assert_allclose(integrals, 3 * (expi(z[:, :1]) - expi(z)), rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def model():
    """A latent ODE that stands still, seen through a line, whose encoder is certain."""
    made = new_latent_model(
        1,
        1,
        GaussianEmission(jnp.zeros(1)),
        encoder_hidden=4,
        field=lambda t, z: 0 * z,
        mean_rate=2.0,
        key=jax.random.key(0),
    )
    head = lambda m: (m.encoder.head.weight, m.encoder.head.bias)  # noqa: E731
    certain = (jnp.zeros_like(made.encoder.head.weight), jnp.array([0.3, -12.0]))
    return eqx.tree_at(head, made, certain)


def make_crops(counts, ts=(0.0, 0.5, 1.0, 2.0), values=True):
    ts = jnp.array([ts])
    seen = jnp.full((1, ts.shape[1], 1), values)
    events = HappenedEvents(jnp.array([counts], ts.dtype), jnp.ones(ts.shape, bool))
    zero = jnp.zeros(1, jnp.int32)
    return Crops(ts, jnp.zeros((1, ts.shape[1], 1)), seen, seen, zero, jnp.ones(()), events)


@eqx.filter_jit
def weigh(model, crops):
    """The log-likelihood, and the loss in nats altogether."""
    found = weigh_evidence(model, crops, OPTIONS, 1, jax.random.key(1))
    loss, _ = LatentLoss(OPTIONS)(model, crops, jax.random.key(1), jnp.zeros(()))
    return found.log_likelihood[0, 0], loss, found.divergence[0]


def test_events_join_the_evidence_of_the_values(model):
    """At a standstill lambda is constant: n log(lambda) - lambda T beside that of the values."""
    log_rate = np.log(2.0) + float(model.rate.log_ratio(jnp.array([0.3])))

    def log_likelihood(*arguments, **options):
        return float(weigh(model, make_crops(*arguments, **options))[0])

    none = log_likelihood([0, 0, 0, 0])
    # The first time is where the watch begins: its events are not counted.
    for counts in ([0, 1, 0, 3], [5, 1, 0, 3]):
        assert log_likelihood(counts) - none == pytest.approx(4 * log_rate, rel=1e-3)
    alone = log_likelihood([0, 0, 0, 0], values=False)
    assert alone == pytest.approx(-2 * np.exp(log_rate), rel=1e-3)
    outputs = model.decoder(jnp.array([0.3]))
    values = 4 * float(model.emission.log_prob(outputs, jnp.zeros(1))[0])
    assert none == pytest.approx(values + alone, rel=1e-3)
    # Padding repeats the last time.
    padded = log_likelihood([0, 1, 3, 0], (0.0, 0.5, 2.0, 2.0), values=False)
    assert padded == pytest.approx(log_likelihood([0, 1, 0, 3], values=False), rel=1e-4)


def test_the_loss_is_per_number_and_event(model):
    found, loss, divergence = map(float, weigh(model, make_crops([0, 1, 0, 3])))
    assert loss == pytest.approx((divergence - found) / 8, rel=1e-4)  # four of each
