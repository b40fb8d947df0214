"""Table 2: its readings of the paper, and that its weights can be checked."""

import json
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurode.reproduce import ExperimentError, check_experiment
from neurode.reproduce.spiral_training import make_model, make_optimizer, train
from neurode.reproduce.spiral_weights import WEIGHTS, list_trainings, save_models
from neurode.reproduce.spirals import WINDOW, Config, make_task
from neurode.reproduce.table2_spirals import evaluate
from neurode.training import ConfigMismatch


def test_the_windows_of_the_script_may_end_with_the_curve():
    config = Config(series=400, trained=300).read("the script's starts")
    task = make_task(config, 0, 30)
    begins, clean = task.spirals.begins, task.spirals.clean
    assert begins.min() >= 100
    assert 800 < begins[:300].max() <= 899
    assert begins[300:].max() <= 800
    assert np.isnan(clean[:300, WINDOW:]).all()
    assert np.isfinite(clean[300:]).all()
    assert np.isfinite(task.ys).all()
    assert config.first_unseen == 999
    assert Config().read("noise 0.3").noise == 0.3


@pytest.mark.parametrize("kind", ["latent", "rnn"])
def test_only_the_weights_of_a_decoder_decay(kind):
    params = eqx.filter(make_model(Config(), kind, 0), eqx.is_array)
    optimizer = make_optimizer(0.5, 0.1, 10)
    still = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(still, optimizer.init(params), params)
    moved = eqx.apply_updates(params, updates)
    if kind == "latent":
        shrunk = jax.tree.map(lambda x: x * (1 - 0.5 * 0.1), params.decoder)
        assert eqx.tree_equal(moved.decoder, shrunk, rtol=1e-6)
        params, moved = (eqx.tree_at(lambda m: m.decoder, m, None) for m in (params, moved))
    assert eqx.tree_equal(params, moved)


def test_a_training_does_not_go_on_at_another_rate(tmp_path):
    config = Config(series=12, trained=8, rnn_steps=2, batch_size=4)
    train(config, "rnn", 0, 30, tmp_path, True, False)
    other = replace(config, learning_rate=1e-3)
    with pytest.raises(ConfigMismatch, match="learning_rate: 0.005 -> 0.001"):
        train(other, "rnn", 0, 30, tmp_path, True, False)


def test_the_weights_give_what_was_recorded(tmp_path):
    """Untrained ones do as well."""
    config = Config(series=12, trained=8, runs=1, variant_runs=0, counts=(30,))
    models = {one.name: make_model(config, one.kind, one.seed) for one in list_trainings(config)}
    folder = tmp_path / "table2"
    folder.mkdir()
    save_models(folder / WEIGHTS, config, models)
    rows = [
        {"row": row, "metric": metric, "ours": value.ours}
        for (row, metric), value in evaluate(config, models).items()
    ]
    assert np.isfinite([row["ours"] for row in rows]).all()
    (folder / "metrics.json").write_text(json.dumps({"rows": rows}))
    assert "Latent ODE 30/100, rmse_clean" in check_experiment("table2", results=tmp_path)
    rows[0]["ours"] *= 1.1
    (folder / "metrics.json").write_text(json.dumps({"rows": rows}))
    with pytest.raises(ExperimentError, match="no longer give what was recorded: Latent ODE 30"):
        check_experiment("table2", results=tmp_path)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ExperimentError, match="holds no metrics.json with weights"):
        check_experiment("table2", results=tmp_path)
