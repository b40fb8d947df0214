"""Table 1 from the images to results/table1, on a handful of tiny made-up digits."""

import json
import shutil
import signal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import neurode as nd
from neurode.data import MNIST
from neurode.models.baselines import ResNet
from neurode.reproduce import check_experiment, run_experiment, table1_mnist, table1_models
from neurode.reproduce.experiment import Checked, ExperimentError
from neurode.reproduce.table1_measures import measure_costs
from neurode.reproduce.table1_mnist import Config, CroppedDigits, evaluate, hold_out, make_optimizer
from neurode.reproduce.table1_outcomes import read_outcomes
from neurode.training import ConfigMismatch

OPTIONS = {
    "model": "odenet",
    "epochs": 2,
    "batch_size": 8,
    "channels": 4,
    "downsampling": "conv",
    "train_images": 20,
    "test_images": 7,
    "test_batch": 4,
    "tolerance": 1e-2,
}


def make_digits():
    draw = np.random.default_rng(0).integers
    train, test = draw(0, 256, (30, 10, 10)), draw(0, 256, (9, 10, 10))
    arrays = train, draw(0, 10, 30), test, draw(0, 10, 9)
    return MNIST(*(array.astype(np.uint8) for array in arrays))


@pytest.fixture(scope="module", autouse=True)
def few_stages():
    """Two stages instead of seven: the program compiles in a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table1_models, "Dopri5", nd.HeunEuler)
        patch.setattr(table1_mnist, "measure_costs", lambda *args: {})  # compiles as much again
        yield


def start(folder, **options):
    return run_experiment(
        "table1",
        data=make_digits(),
        run=folder / "run",
        results=folder / "results",
        command="neurode reproduce table1 --data DIR",
        progress=False,
        **(OPTIONS | options),
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, start(folder)


def numbers(metrics, row):
    rows = [r for r in metrics["rows"] if r["row"] == row and r["ours"] is not None]
    return {r["metric"]: r["ours"] for r in rows}


def test_results(finished):
    folder, outcome = finished
    assert not outcome.interrupted
    assert outcome.results == folder / "results" / "table1"
    metrics = json.loads((outcome.results / "metrics.json").read_text())
    assert metrics["command"] == "neurode reproduce table1 --data DIR"
    assert metrics["complete"] is False  # one row of nine
    assert metrics["seeds"] == [0]
    assert metrics["config"]["epochs"] == 2
    ours = numbers(metrics, "ODE-Net")
    assert set(ours) == {
        "test_error", "parameters", "seconds_per_epoch", "nfe_forward", "nfe_backward"
    }  # fmt: skip
    assert ours["test_error"] in [100 * errors / 7 for errors in range(8)]
    assert 0 < 2 * ours["seconds_per_epoch"] <= metrics["seconds"] + 0.1
    assert ours["nfe_forward"] >= 4
    assert ours["nfe_backward"] >= 2
    assert all(row["ours"] is None for row in metrics["rows"] if row["row"] != "ODE-Net")
    assert (outcome.results / "figure.png").stat().st_size < 300_000
    assert "0.42%" in outcome.table
    assert "images per second in training: ODE-Net" in outcome.table
    assert "not run yet: MLP, MLP deskewed, ResNet" in outcome.table


def test_rows_and_seeds_are_put_together(finished, monkeypatch):
    folder, _ = finished
    monkeypatch.setattr(table1_mnist, "measure_costs", measure_costs)
    first = start(folder, model="mlp")
    assert numbers({"rows": [r._asdict() for r in first.rows]}, "ODE-Net")["test_error"] >= 0
    second = start(folder, model="mlp", seed=1)
    [row] = [r for r in second.rows if (r.row, r.metric) == ("MLP", "test_error")]
    assert row.n == 2
    assert row.sd is not None
    assert "by chance" in row.note
    [times] = [r for r in second.rows if (r.row, r.metric) == ("MLP", "seconds_per_epoch")]
    [alone] = [r for r in first.rows if (r.row, r.metric) == ("MLP", "seconds_per_epoch")]
    assert (times.n, times.ours) == (1, alone.ours)
    ours = numbers({"rows": [r._asdict() for r in second.rows]}, "MLP")
    assert ours["parameters"] == 100 * 300 + 300 + 300 * 10 + 10
    assert ours["train_memory_mb"] > 4e-6 * ours["parameters"]
    assert ours["latency_ms_1"] > 0
    assert not {"share_inside_f", "memory_growth_kb"} & set(ours)
    assert not read_outcomes(Config(**OPTIONS | {"test_images": 6}), folder / "run")
    assert set(read_outcomes(Config(**OPTIONS), folder / "run")) == {"MLP", "ODE-Net"}


def test_rows_run_elsewhere_stay_by_their_longest_schedule(finished, tmp_path):
    """One folder has ODE-Net's 2 epochs, another the MLP's 1, a third ODE-Net's 1."""
    public = finished[0] / "results"
    weights = (public / "table1/weights-odenet.safetensors").read_bytes()
    before = finished[1].rows
    copied = tmp_path / "results"
    shutil.copytree(public, copied)
    options = {"data": make_digits(), "results": copied, "progress": False}
    for model in ("mlp-deskewed", "odenet"):
        given = OPTIONS | {"model": model, "epochs": 1}
        outcome = run_experiment("table1", run=tmp_path / model, **options, **given)
        assert outcome.results == copied / "table1"
        [mine] = [r for r in outcome.rows if (r.row, r.metric) == ("MLP deskewed", "test_error")]
        assert mine.note.endswith("(95%); 1 epoch")
        for metric in ("test_error", "nfe_forward"):
            [old] = [r for r in before if (r.row, r.metric) == ("ODE-Net", metric)]
            assert old in outcome.rows
    assert (copied / "table1/weights-odenet.safetensors").read_bytes() == weights
    other = run_experiment(
        "table1", run=tmp_path / "other", **options,
        **OPTIONS | {"model": "mlp-deskewed", "epochs": 1, "tolerance": 0.5},
    )  # fmt: skip
    assert all(r.ours is None for r in other.rows if r.row == "ODE-Net")
    assert other.results == tmp_path / "other/results"  # fewer numbers than there are


def test_run_folder(finished):
    folder, outcome = finished
    text = (folder / "run/odenet-seed0/metrics.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    tests = [record for record in records if record.get("kind") == "evaluation"]
    assert [record["step"] for record in records if "kind" not in record] == [1, 2, 3, 4]
    assert [record["step"] for record in tests] == [2, 4]
    [row] = [r for r in outcome.rows if (r.row, r.metric) == ("ODE-Net", "test_error")]
    assert tests[-1]["test_error"] == row.ours  # at the final epoch, not at the best
    assert {"loss", "accuracy", "nfe_forward", "nfe_backward"} <= set(records[0])
    assert (folder / "run/results/metrics.json").exists()


def test_interrupted_and_resumed_is_the_same_bit_for_bit(finished, tmp_path, monkeypatch):
    def stop(*args):
        signal.raise_signal(signal.SIGTERM)
        return evaluate(*args)

    with monkeypatch.context() as patch:
        patch.setattr(table1_mnist, "evaluate", stop)
        outcome = start(tmp_path)
    assert outcome.interrupted
    assert outcome.results is None
    assert not (tmp_path / "results").exists()
    assert not (tmp_path / "run/odenet-seed0/model.safetensors").exists()
    assert not start(tmp_path).interrupted
    weights = [folder / "run/odenet-seed0/model.safetensors" for folder in (finished[0], tmp_path)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_weights_are_evaluated_once_more(finished, monkeypatch):
    folder, outcome = finished
    [row] = [r for r in outcome.rows if (r.row, r.metric) == ("ODE-Net", "test_error")]
    found = check_experiment("table1", data=make_digits(), results=folder / "results")
    assert found.startswith(f"ODE-Net, test_error: {row.ours:.4g} recorded, {row.ours:.4g} now")
    with pytest.raises(ExperimentError, match="holds no weights"):
        check_experiment("table1", data=make_digits(), results=folder / "nowhere")
    off = [Checked("ODE-Net", "test_error", 0.40, 0.41), Checked("ResNet", "test_error", 1.0, 1.0)]
    monkeypatch.setattr(table1_mnist, "check", lambda *args: off)
    with pytest.raises(ExperimentError, match="what was recorded: ODE-Net, test_error: 0.4 recor"):
        check_experiment("table1", data=make_digits(), results=folder / "results")
    with pytest.raises(ExperimentError, match="keeps no weights"):
        check_experiment("anode")


def test_another_configuration_is_refused(finished):
    with pytest.raises(ConfigMismatch, match="learning_rate: 0.1 -> 0.2"):
        start(finished[0], learning_rate=0.2)


def test_lesser_results_do_not_replace_complete_ones(finished, tmp_path):
    folder = finished[0]
    public = tmp_path / "table1"
    public.mkdir()
    (public / "metrics.json").write_text('{"complete": true}')
    common = {"data": make_digits(), "run": folder / "run", "progress": False} | OPTIONS
    for quick, results in ((False, tmp_path), (True, tmp_path / "none")):
        outcome = run_experiment("table1", quick=quick, results=results, **common)
        assert outcome.results == folder / "run/results"
    assert (public / "metrics.json").read_text() == '{"complete": true}'
    assert not (tmp_path / "none").exists()


def test_a_schedule_is_tried_on_images_held_out_of_training(tmp_path):
    digits = make_digits()
    split = hold_out(digits, 10)
    np.testing.assert_array_equal(split.test_images, digits.train_images[20:])
    np.testing.assert_array_equal(split.train_labels, digits.train_labels[:20])
    with pytest.raises(ExperimentError, match="leaves none of the 30 images"):
        hold_out(digits, 30)
    outcome = start(tmp_path, model="mlp", validation_images=10)
    assert outcome.results == tmp_path / "run/results"  # a trial is no result
    assert not (tmp_path / "results").exists()


def test_what_one_more_block_takes_is_measured():
    net = ResNet(blocks=2, channels=2, downsampling="none", key=jax.random.key(0))
    costs = measure_costs(net, np.ones((2, 4, 4), np.float32), np.array([0, 1]))
    weights = sum(x.size for x in jax.tree.leaves(eqx.filter(net.blocks[1], eqx.is_array)))
    assert costs["memory_growth_kb"] >= 4e-3 * weights  # their gradient, at least
    assert costs["memory_growth_kb"] < 1e3 * costs["train_memory_mb"]


def test_batches_are_cropped_digits():
    digits = make_digits()
    config = Config(batch_size=8, train_images=20, padding=2)
    batches = CroppedDigits(digits, config, jax.random.key(0))
    assert batches.steps_per_epoch == 2
    images, labels = batches(jnp.asarray(0))
    np.testing.assert_array_equal(images, batches(jnp.asarray(0))[0])
    assert images.shape == (8, 10, 10)
    assert images.dtype == jnp.float32
    rows = batches.digits.rows(0)
    np.testing.assert_array_equal(labels, digits.train_labels[rows])
    shifts = [(i, j) for i in range(5) for j in range(5)]
    padded = np.pad(digits.train_images[rows] / np.float32(255), ((0, 0), (2, 2), (2, 2)))
    found = [
        [np.allclose(image, original[i : i + 10, j : j + 10]) for i, j in shifts].index(True)
        for image, original in zip(np.asarray(images), padded, strict=True)
    ]
    assert len(set(found)) > 1
    assert not np.array_equal(images, batches(jnp.asarray(2))[0])


def test_rate_falls_to_a_tenth_at_every_milestone():
    config = Config(schedule="steps", epochs=16, batch_size=64, momentum=0.0)
    optimizer = make_optimizer(config, steps_per_epoch=10)
    state = optimizer.init(jnp.zeros(()))

    def rate(step):
        at = optax.tree_utils.tree_set(state, count=jnp.asarray(step))
        return -float(optimizer.update(jnp.ones(()), at)[0])

    found = [rate(step) for step in (0, 59, 60, 99, 100, 139, 140)]
    np.testing.assert_allclose(found, np.repeat([0.05, 5e-3, 5e-4, 5e-5], [2, 2, 2, 1]), rtol=1e-5)


class Brightest(eqx.Module):
    """Says which of the first three pixels is the brightest."""

    def __call__(self, images):
        return images[:, 0, :3], nd.Stats(*(jnp.asarray(n) for n in (4, 3, 1, 26)))


def test_every_test_image_counts_once():
    images = np.zeros((7, 10, 10), np.uint8)
    images[np.arange(7), 0, np.arange(7) % 3] = 255
    labels = np.array([0, 1, 2, 0, 1, 2, 2], np.uint8)
    for batch_size in (1, 4, 7, 20):
        found = evaluate(Brightest(), images, labels, batch_size)
        assert found["test_error"] == pytest.approx(100 / 7)
        assert found["test_nfe"] == 26
