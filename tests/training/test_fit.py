"""What a fit computes, and that nothing but its arguments can change it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from neurode.training import FitResult, fit


def arrays(model):
    return jax.tree.leaves(eqx.filter(model, eqx.is_array))


def assert_same(one, other):
    for a, b in zip(arrays(one), arrays(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def reference(regression):
    return regression.train(None, steps=100, steps_per_dispatch=100)


def test_it_learns_and_reports(regression, reference):
    assert isinstance(reference, FitResult)
    history = reference.history
    assert (reference.steps_done, reference.interrupted) == (100, False)
    assert reference.seconds > 0
    np.testing.assert_array_equal(history["step"], np.arange(1, 101))
    assert history["loss"][-20:].mean() < 0.7 * history["loss"][:20].mean()
    assert (history["gradient_norm"] > 0).all()
    assert (history["nfe_forward"] == 26).all()
    assert (history["nfe_backward"] == 14).all()


def test_it_equals_a_loop_written_out(regression, reference):
    params, static = eqx.partition(regression.MODEL, eqx.is_inexact_array)
    state = regression.OPTIMIZER.init(params)

    @jax.jit
    def step_once(params, state, step):
        def loss_of(params):
            key = jax.random.fold_in(regression.KEY, step)
            batch = regression.BATCHES(step)
            return regression.objective(eqx.combine(params, static), batch, key, 0.0)[0]

        loss, gradient = jax.value_and_grad(loss_of)(params)
        updates, state = regression.OPTIMIZER.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss

    losses = []
    for step in range(100):
        params, state, loss = step_once(params, state, jnp.int32(step))
        losses.append(float(loss))
    np.testing.assert_allclose(reference.history["loss"], losses, rtol=1e-5)
    for a, b in zip(arrays(reference.model), arrays(params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [None, 1, 7, 5000])
def test_the_dispatch_size_changes_no_bit(regression, reference, size):
    result = regression.train(None, steps=100, steps_per_dispatch=size)
    assert_same(result.model, reference.model)
    for name, values in reference.history.items():
        np.testing.assert_array_equal(result.history[name], values)


def test_data_model_and_counts_are_arguments_of_one_program(regression, reference, caplog):
    batches, model = regression.make_batches(seed=9), jax.tree.map(lambda x: x, regression.MODEL)
    with jax.log_compiles(True):
        result = regression.train(None, steps=37, batches=batches, model=model)
    assert not [r for r in caplog.records if "Compiling jit(advance)" in r.getMessage()]
    assert not np.array_equal(result.history["loss"], reference.history["loss"][:37])
    with jax.log_compiles(True):  # the same look-out does see a new program
        regression.train(None, steps=1, optimizer=optax.sgd(0.1))
    assert [r for r in caplog.records if "Compiling jit(advance)" in r.getMessage()]


def test_the_callers_model_survives_also_with_tied_weights(regression):
    tied = eqx.tree_at(
        lambda m: m.layers[1].bias, regression.MODEL, regression.MODEL.layers[0].bias[:1]
    )
    shared = (tied, tied)

    def objective(model, batch, key, probe):
        return regression.objective(model[0], batch, key, probe)

    result = regression.train(
        None,
        model=shared,
        objective=objective,
        steps=3,
        optimizer=optax.chain(optax.ema(0.9), optax.contrib.schedule_free_sgd(0.1)),
    )
    assert all(np.isfinite(leaf).all() for leaf in arrays(shared))  # not given away
    assert not np.array_equal(result.model[0].layers[0].weight, tied.layers[0].weight)


def test_only_the_chosen_leaves_are_trained(regression):
    model = regression.MODEL
    spec = jax.tree.map(lambda _: False, model)
    spec = eqx.tree_at(lambda m: m.layers[1].weight, spec, True)
    trained = regression.train(None, model=model, trainable=spec, steps=5).model
    np.testing.assert_array_equal(trained.layers[0].weight, model.layers[0].weight)
    assert not np.array_equal(trained.layers[1].weight, model.layers[1].weight)
    with pytest.raises(ValueError, match="no trainable"):
        regression.train(None, trainable=lambda leaf: False)


class Nothing(eqx.Module):
    """Batches for objectives that need none."""

    steps_per_epoch: int = 10

    def __call__(self, step):
        return jnp.zeros((1,))


def test_complex_parameters_descend():
    target = jnp.array([1 + 2j, -0.5j])

    def objective(model, batch, key, probe):
        return jnp.sum(jnp.abs(model - target) ** 2), {}

    options = {"optimizer": optax.adam(0.1), "key": jax.random.key(0), "progress": False}
    result = fit(objective, jnp.zeros(2, jnp.complex64), Nothing(), steps=300, **options)
    np.testing.assert_allclose(result.model, target, atol=1e-3)


def test_line_searches_get_what_they_need():
    def objective(model, batch, key, probe):
        return jnp.sum((model**2 - jnp.array([2.0, 3.0])) ** 2), {}

    options = {"optimizer": optax.lbfgs(), "key": jax.random.key(0), "progress": False}
    result = fit(objective, jnp.ones(2), Nothing(), steps=30, **options)
    np.testing.assert_allclose(result.model, np.sqrt([2.0, 3.0]), rtol=1e-5)


def test_the_callback_is_called_at_epochs_and_at_the_end(regression, reference):
    calls = []

    def callback(step, model, metrics):
        calls.append((step, metrics["loss"], model))
        return {"error": step / 2} if step > 4 else None

    result = regression.train(None, steps=10, callback=callback)
    assert [step for step, _, _ in calls] == [4, 8, 10]  # 64 rows in batches of 16
    assert [loss for _, loss, _ in calls] == [result.history["loss"][i] for i in (3, 7, 9)]
    assert_same(calls[-1][2], result.model)
    np.testing.assert_array_equal(result.history["evaluation/step"], [8, 10])
    np.testing.assert_array_equal(result.history["evaluation/error"], [4, 5])
    np.testing.assert_array_equal(result.history["loss"], reference.history["loss"][:10])
    with pytest.raises(TypeError, match="dict of numbers"):
        regression.train(None, steps=4, callback=lambda *_: {"curve": np.zeros(3)})


def test_float64_is_trained_in_float64(regression):
    with jax.enable_x64(True):
        batches = jax.tree.map(
            lambda x: x.astype(jnp.float64) if eqx.is_inexact_array(x) else x, regression.BATCHES
        )
        model = jax.tree.map(
            lambda x: x.astype(jnp.float64) if eqx.is_inexact_array(x) else x, regression.MODEL
        )
        result = regression.train(None, steps=3, model=model, batches=batches)
        assert all(leaf.dtype == jnp.float64 for leaf in arrays(result.model))


BAD_ARGUMENTS = {
    "steps": ({"steps": 0}, ValueError, "steps must be a whole number >= 1; it is 0"),
    "fraction": ({"steps": 2.5}, ValueError, "2.5"),
    "dispatch": ({"steps_per_dispatch": -1}, ValueError, "steps_per_dispatch"),
    "log_every": ({"log_every": 0}, ValueError, "log_every"),
    "seconds": ({"checkpoint_seconds": -1.0}, ValueError, "checkpoint_seconds"),
    "optimizer": ({"optimizer": 0.1}, TypeError, "optax"),
    "key": ({"key": 3}, TypeError, "typed key"),
    "old key": ({"key": np.zeros(2, np.uint32)}, TypeError, "typed key"),
    "config": ({"config": {"f": jnp.tanh}}, TypeError, "JSON"),
    "mesh": ({"mesh": 2}, TypeError, "Mesh"),
    "no metrics": ({"objective": lambda *_: jnp.zeros(())}, TypeError, "must return"),
    "vector": ({"objective": lambda *_: (jnp.zeros(3), {})}, ValueError, "one number"),
    "integer": ({"objective": lambda *_: (jnp.int32(3), {})}, TypeError, "floating"),
    "reserved": ({"objective": lambda *_: (jnp.zeros(()), {"loss": 1.0})}, ValueError, "another"),
    "metric": (
        {"objective": lambda *_: (jnp.zeros(()), {"error": jnp.zeros(2)})},
        ValueError,
        r"error must be one number per step; the objective gave \(2,\)",
    ),
}


@pytest.mark.parametrize("name", BAD_ARGUMENTS)
def test_bad_arguments_are_named(regression, tmp_path, name):
    options, error, words = BAD_ARGUMENTS[name]
    with pytest.raises(error, match=words):
        regression.train(tmp_path / "run", **options)
