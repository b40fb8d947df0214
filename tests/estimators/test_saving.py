"""Models on disk: what is saved comes back, and what is not a model is refused in one line."""

import copy
import inspect
import json
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd
from estimators.odes import logistic
from neurode import store
from neurode.estimators import NeuralODE, load
from neurode.estimators.odes import fingerprint, trace_field, trace_ode
from neurode.nn import MLPField
from neurode.store import ArchiveDamaged, ArchiveError, ArchiveMismatch, SaveError

TIMES = np.linspace(1895, 1920, 7)


def assert_same(loaded, model):
    np.testing.assert_array_equal(loaded.predict(TIMES), model.predict(TIMES))
    for name in ("initial_", "start_times_", "noise_", "names_", "stats_", "n_features_in_"):
        np.testing.assert_equal(getattr(loaded, name), getattr(model, name))
    np.testing.assert_equal(loaded.history_, model.history_)
    assert loaded.summary_text() == model.summary_text()
    ours, theirs = loaded.get_params(), model.get_params()
    for name in ours.keys() - {"field"}:
        np.testing.assert_equal(ours[name], theirs[name], err_msg=name)


def test_an_ode_comes_back_with_its_standard_errors(grown, tmp_path):
    *_, model = grown
    file = model.save(tmp_path / "run")
    assert file == tmp_path / "run" / "model.safetensors"
    for path in (file, file.parent, str(file.parent)):
        loaded = load(path, field=logistic)
        assert_same(loaded, model)
    for name in ("parameters_", "standard_errors_", "intervals_"):
        assert getattr(loaded, name) == getattr(model, name)
    assert loaded.estimates_.names == model.estimates_.names
    np.testing.assert_array_equal(loaded.estimates_.covariance, model.estimates_.covariance)
    assert_same(load(loaded.save(tmp_path / "again.safetensors"), field=logistic), model)


def test_a_network_comes_back_by_itself(learned, tmp_path):
    file = learned.save(tmp_path / "deep" / "network.safetensors")
    loaded = load(file)
    assert_same(loaded, learned)
    assert loaded.field is None
    assert type(loaded.field_) is MLPField
    with pytest.raises(ArchiveMismatch, match="holds a MLPField and needs no field"):
        load(file, field=logistic)


class Pull(eqx.Module):
    strength: jax.Array

    def __call__(self, t, y):
        return -self.strength * y


class Push(Pull):
    def __call__(self, t, y):
        return self.strength * y


def test_a_module_of_ones_own_comes_back_into_the_one_passed(tmp_path):
    settings = {"standardize": False, "steps": 3, "solver": nd.Dopri5()}
    settings["gradient"] = nd.Backsolve(solver=nd.Bosh3(), rtol=1e-3)
    model = NeuralODE(Pull(jnp.array(0.5)), **settings).fit(TIMES, np.exp(-0.1 * (TIMES - 1895)))
    model.save(tmp_path)
    loaded = load(tmp_path, field=Pull(jnp.array(9.0)))
    assert_same(loaded, model)
    assert loaded.field_.strength == model.field_.strength != 0.5
    assert loaded.gradient == settings["gradient"]
    with pytest.raises(ArchiveMismatch, match="fitted with 'Pull', and this field computes"):
        load(tmp_path, field=Push(jnp.array(9.0)))
    with pytest.raises(ArchiveError, match="your own network 'Pull'.*pass field=f, the function"):
        load(tmp_path)


def test_the_wrong_ode_is_refused(grown, tmp_path):
    *_, model = grown
    model.save(tmp_path)
    with pytest.raises(ArchiveError, match="your own ODE 'logistic'.*pass field=f, the function"):
        load(tmp_path)

    def other(t, y, p):
        return p.r * y * (1 - y / p.K) - 0.1

    def unlike(t, y, p):
        return p.alpha * y

    with pytest.raises(ArchiveMismatch, match="this field computes something else"):
        load(tmp_path, field=other)
    for field in (unlike, "logistic", np.sin):
        with pytest.raises(ArchiveMismatch, match="another field than this one"):
            load(tmp_path, field=field)


def test_constants_are_part_of_what_an_ode_computes():
    def make(scale, weights):
        return lambda t, y, p: p.k * scale * (weights @ y)

    def mark(scale, weights):
        return fingerprint(trace_ode(make(scale, jnp.asarray(weights)), ["k"], 2))

    base = mark(0.1, np.eye(2))
    assert mark(0.1, np.eye(2)) == base
    assert mark(0.1 + 1e-15, np.eye(2)) != base
    assert mark(0.1, np.eye(2) + np.array([[0, 1e-6], [0, 0]])) != base
    large = np.zeros((2, 2, 600))
    nudged = large.copy()
    nudged[1, 1, 300] = 1e-9
    marks = [
        fingerprint(trace_ode(lambda t, y, p, w=w: p.k * (jnp.asarray(w).sum(-1) @ y), ["k"], 2))
        for w in (large, nudged)
    ]
    assert marks[0] != marks[1]
    fields = [MLPField(2, (4,), activation=name, key=jax.random.key(0)) for name in ("tanh", "elu")]
    assert len({fingerprint(trace_field(field, 2, np.float32)) for field in fields}) == 2
    drawn = [MLPField(2, (4,), activation="elu", key=jax.random.key(seed)) for seed in (1, 2)]
    assert len({fingerprint(trace_field(field, 2, np.float32)) for field in drawn}) == 1


def test_fingerprints_are_the_same_in_every_process():
    here = fingerprint(trace_ode(smooth, ["k"], 1))
    code = (
        "import jax, jax.numpy as jnp\n"
        "from neurode.estimators.odes import fingerprint, trace_ode\n"
        f"x = [object() for _ in range(99)]\n{inspect.getsource(smooth)}\n"
        "print(fingerprint(trace_ode(smooth, ['k'], 1)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == here, run.stderr


def smooth(t, y, p):
    """With custom derivative rules inside, whose functions JAX prints with their addresses."""
    return -p.k * jax.nn.softplus(jax.nn.relu(y)) * jnp.where(t > 1, jax.nn.silu(y), 0.5)


@pytest.fixture
def saved(learned, tmp_path):
    return learned.save(tmp_path)


@pytest.mark.parametrize("size", [0, 5, 100, 2000, -1])
def test_truncated_files(saved, size):
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(ArchiveError) as caught:
        load(saved)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_altered_files(saved):
    whole = saved.read_bytes()
    for at in (60, len(whole) // 2, len(whole) - 5):
        saved.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ArchiveError):
            load(saved)


def rewrite(file: Path, **changes):
    """Another program's idea of a model: a sound archive with other metadata."""
    metadata = store.read_metadata(file) | changes
    store.save(file, {"field": None, "arrays": {}}, metadata)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"model_version": 99}, ArchiveError, "in format 99; this neurode reads up to format 1"),
        ({"model_version": "x"}, ArchiveError, "in format x"),
        ({"model": "soup"}, ArchiveError, "holds no fitted model"),
        ({"estimator": "Oracle"}, ArchiveError, "holds a 'Oracle', which this neurode does not"),
        ({"settings": {"colour": "red"}}, ArchiveDamaged, "does not describe a model"),
        ({"settings": 7}, ArchiveDamaged, "does not describe a model"),
        ({"scaling": {}}, ArchiveDamaged, "does not describe a model"),
        ({"arrays": {"initial": ["O", [1]]}}, ArchiveError, "initial"),
        ({"arrays": {"initial": ["float64", [10**15]]}}, ArchiveMismatch, "initial"),
        ({"arrays": {"initial": ["float64", [-1]]}}, ArchiveDamaged, "does not describe"),
        ({"field": {"kind": "os.system", "name": "x"}}, ArchiveError, "your own network 'x'"),
    ],
)
def test_foreign_and_newer_models(saved, changes, kind, message):
    rewrite(saved, **changes)
    with pytest.raises(kind, match=message):
        load(saved)


def test_settings_never_name_what_is_made(saved):
    metadata = store.read_metadata(saved)
    settings = metadata["settings"] | {"solver": {"option": "Popen", "with": {"args": "true"}}}
    rewrite(saved, settings=settings)
    with pytest.raises(ArchiveDamaged, match="Popen"):
        load(saved)


def test_what_is_no_model_at_all(tmp_path):
    with pytest.raises(ArchiveError, match="does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(ArchiveError, match="holds no model.safetensors"):
        load(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_text(json.dumps({"weights": [1, 2]}))
    with pytest.raises(ArchiveError, match="is not a file that neurode wrote"):
        load(tmp_path)
    store.save(file, {"x": np.ones(2)})
    with pytest.raises(ArchiveError, match="may be a checkpoint"):
        load(tmp_path)


def test_a_folder_that_cannot_be_made(learned, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SaveError, match="could not write"):
        learned.save(tmp_path / "file" / "run")
    with pytest.raises(SaveError, match="could not write"):
        learned.save(tmp_path / "file" / "model.safetensors")


def test_settings_that_no_file_can_hold_are_announced(learned, tmp_path):
    model = copy.copy(learned).set_params(random_state=jax.random.key(3))
    model.save(tmp_path)
    with pytest.warns(UserWarning, match="does not hold the setting random_state"):
        loaded = load(tmp_path)
    assert loaded.random_state == 0
    np.testing.assert_array_equal(loaded.predict([2001.0]), model.predict([2001.0]))
