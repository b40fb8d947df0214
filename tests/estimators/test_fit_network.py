"""A network's vector field, trained through the solver."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurode.data import FullBatch
from neurode.estimators import NeuralODE
from neurode.estimators.network import GrowingHorizon
from neurode.models import Observations


def test_it_learns_and_forecasts(spirals, learned):
    past, later = spirals
    assert learned.score(past) > 0.99
    assert learned.score(later) > 0.9
    np.testing.assert_allclose(learned.noise_, 0, atol=3)


def test_history_tells_what_it_cost(learned):
    history = learned.history_
    assert len(history["step"]) == len(history["loss"]) == 1200
    assert history["loss"][-1] < 0.02
    for name in ("nfe_forward", "nfe_backward"):
        assert (history[name] > 6).all(), name
    assert learned.stats_["steps"] == 1200
    assert not learned.stats_["interrupted"]


def test_initial_states_are_learned(spirals, learned):
    times, values = spirals[0][0]
    first = np.where(np.isnan(values[0]), learned.initial_[0], values[0])
    assert not np.array_equal(learned.initial_[0], first)
    np.testing.assert_allclose(learned.initial_[0], first, atol=5)


SMALL = {"hidden": (4,), "steps": 6, "batch_size": 2}


def test_the_same_seed_gives_the_same_model(spirals):
    fits = [NeuralODE(random_state=seed, **SMALL).fit(spirals[0]) for seed in (1, 1, 2)]
    weights = [fit.field_.layers[0].weight for fit in fits]
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    typed = NeuralODE(random_state=jax.random.key(1), **SMALL).fit(spirals[0])
    np.testing.assert_array_equal(typed.field_.layers[0].weight, weights[0])


def test_a_run_folder_resumes(spirals, tmp_path):
    first = NeuralODE(**SMALL).fit(spirals[0], run=tmp_path)
    again = NeuralODE(**SMALL).fit(spirals[0], run=tmp_path)
    np.testing.assert_array_equal(again.field_.layers[0].weight, first.field_.layers[0].weight)
    np.testing.assert_array_equal(again.history_["loss"], first.history_["loss"])
    with pytest.raises(ValueError, match="learning_rate: 0.01 -> 0.001"):
        NeuralODE(**SMALL, learning_rate=1e-3).fit(spirals[0], run=tmp_path)
    anew = NeuralODE(**SMALL).fit(spirals[0], run=tmp_path, resume=False)
    np.testing.assert_array_equal(anew.field_.layers[0].weight, first.field_.layers[0].weight)


class Decay(eqx.Module):
    """A field of the user's own, for the logarithm of a decaying quantity."""

    rate: jax.Array

    def __call__(self, t, y):
        return -self.rate * jnp.ones_like(y)


def test_a_field_of_ones_own_in_logarithms_and_double_precision(x64):
    ts = np.linspace(5, 9, 12)
    ys = 100 * np.exp(-1.5 * (ts - 5))
    own = Decay(jnp.array(1.0))
    settings = {"standardize": False, "transform": "log", "initial": "observed"}
    model = NeuralODE(own, **settings, steps=150, learning_rate=0.03).fit(ts, ys)
    assert float(model.field_.rate) == pytest.approx(1.5, rel=0.01)
    assert own.rate == 1.0, "the field that was given is not altered"
    assert model.field is own
    assert model.initial_[0, 0] == pytest.approx(100, rel=1e-12)
    assert model.dtype_ == "float64"
    predicted = model.predict(ts)
    np.testing.assert_allclose(predicted[:, 0], ys, rtol=0.1)
    with jax.enable_x64(False):  # it stays what it was fitted as
        np.testing.assert_array_equal(model.predict(ts), predicted)


def test_horizon_grows_until_all_is_seen():
    ts = jnp.array([[0.0, 1.0, 2.0, 4.0, 10.0], [5.0, 9.0, 9.5, 9.5, 9.5]])
    ys = jnp.ones((2, 5, 1))
    batch = Observations(jnp.arange(2), ts, ys, jnp.ones(ys.shape, bool))
    batches = GrowingHorizon(FullBatch(batch), steps=10)
    early, middle, late = (batches(jnp.asarray(step)) for step in (0, 5, 10))
    np.testing.assert_allclose(early.ts[0], [0, 1, 1.5, 1.5, 1.5])
    np.testing.assert_array_equal(early.mask[0, :, 0], [True, True, False, False, False])
    np.testing.assert_allclose(early.ts[1], [5, 9, 9, 9, 9])  # the second time at the least
    np.testing.assert_allclose(middle.ts[0], [0, 1, 2, 4, 5.75])
    for name in ("ts", "mask"):
        np.testing.assert_array_equal(getattr(late, name), getattr(batch, name))
    at_once = GrowingHorizon(FullBatch(batch), steps=0)(jnp.asarray(0))
    np.testing.assert_array_equal(at_once.ts, ts)
