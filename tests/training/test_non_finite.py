"""What is not finite never reaches the weights, and is an error unless allowed."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neurode.training import TrainingError
from neurode.training.checkpoint import NEWEST


def test_training_stops_with_the_last_good_weights(regression, tmp_path):
    batches = regression.make_batches(bad=[17])
    good = regression.train(None, steps=17)
    with pytest.raises(TrainingError) as caught:
        regression.train(tmp_path, steps=40, batches=batches, checkpoint_every=5)
    error = caught.value
    assert (error.step, error.result.steps_done) == (18, 17)
    assert np.isnan(error.loss)
    assert eqx.tree_equal(error.result.model, good.model)
    np.testing.assert_array_equal(error.result.history["loss"][:17], good.history["loss"])
    for words in ("step 18", "loss is nan", "step 17", NEWEST, "learning rate", "max_steps"):
        assert words in str(error)
    # What is on disk is good, and going on from it fails at the same step.
    with pytest.raises(TrainingError) as again:
        regression.train(tmp_path, steps=40, batches=batches, checkpoint_every=5)
    assert again.value.step == 18
    assert regression.train(tmp_path, steps=17, batches=batches).steps_done == 17


@pytest.mark.parametrize("size", [1, 7, 100])
def test_without_a_folder_the_error_carries_the_model(regression, size):
    batches = regression.make_batches(bad=[3])
    with pytest.raises(TrainingError, match=r"result\.model") as caught:
        regression.train(None, steps=40, batches=batches, steps_per_dispatch=size)
    good = regression.train(None, steps=3)
    assert eqx.tree_equal(caught.value.result.model, good.model)


def test_some_in_a_row_can_be_left_out(regression, tmp_path):
    batches = regression.make_batches(bad=[4, 5, 9])
    with pytest.raises(TrainingError) as caught:
        regression.train(tmp_path / "a", steps=20, batches=batches, skip_non_finite=1)
    assert (caught.value.step, caught.value.result.steps_done) == (6, 4)
    result = regression.train(tmp_path / "b", steps=20, batches=batches, skip_non_finite=2)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(result.history["loss"])), [4, 5, 9])
    # Cut in the middle of the row, it counts on.
    regression.train(tmp_path / "c", steps=5, batches=batches, skip_non_finite=2)
    resumed = regression.train(tmp_path / "c", steps=20, batches=batches, skip_non_finite=2)
    assert eqx.tree_equal(resumed.model, result.model)
    np.testing.assert_array_equal(resumed.history["loss"], result.history["loss"])
    metrics = (tmp_path / "c" / "metrics.jsonl").read_text()
    assert metrics.count('"loss": null') == 3
    assert "NaN" not in metrics
    regression.train(tmp_path / "d", steps=5, batches=batches, skip_non_finite=1)
    with pytest.raises(TrainingError):
        regression.train(tmp_path / "d", steps=20, batches=batches, skip_non_finite=1)


class Fixed(eqx.Module):
    """Batches for objectives that need none."""

    steps_per_epoch: int = 10

    def __call__(self, step):
        return step


def infinite_gradient(model, batch, key, probe):
    is_good = batch != 2
    root = jnp.sqrt(jnp.sum(0 * model) + is_good)  # at 0 its value is finite, its slope is not
    return jnp.sum(model**2) + root - is_good, {}


def finite_gradient(model, batch, key, probe):
    return jnp.sum(model**2), {}


def overflowing_rate(step):
    return jnp.where(step == 2, jnp.inf, 0.1)


@pytest.mark.parametrize(
    ("objective", "optimizer"),
    [(infinite_gradient, optax.sgd(0.1)), (finite_gradient, optax.sgd(overflowing_rate))],
    ids=["gradient", "update"],
)
def test_a_finite_loss_alone_is_not_enough(regression, objective, optimizer):
    with pytest.raises(TrainingError) as caught:
        regression.train(
            None, objective=objective, model=jnp.ones(3), batches=Fixed(), optimizer=optimizer
        )
    assert caught.value.step == 3
    assert np.isfinite(caught.value.loss)
    np.testing.assert_allclose(caught.value.result.model, 0.64, rtol=1e-6)


def test_that_no_update_was_made_is_an_error_however_few_there_were(regression, tmp_path):
    batches = regression.make_batches(bad=range(5))
    with pytest.raises(TrainingError, match="stopped at step 4.*that of step 0") as caught:
        regression.train(tmp_path, steps=4, batches=batches, skip_non_finite=9)
    assert caught.value.result.steps_done == 0
    result = regression.train(tmp_path, steps=6, batches=batches, skip_non_finite=9)
    assert np.isfinite(result.history["loss"][-1])
