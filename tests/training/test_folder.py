"""A run folder serves one process and one configuration."""

import json
import os
import subprocess
import sys

import equinox as eqx
import jax
import pytest

from neurode.training import ConfigMismatch, RunLocked
from neurode.training.folder import locked


@pytest.fixture(scope="module")
def trained(regression, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    regression.train(folder, steps=8, config={"learning_rate": 3e-3, "solver": {"rtol": 1e-4}})
    return folder


SAME = {"learning_rate": 3e-3, "solver": {"rtol": 1e-4}}

CHANGES = {
    "value": ({"config": SAME | {"learning_rate": 0.01}}, "learning_rate: 0.003 -> 0.01"),
    "nested": ({"config": SAME | {"solver": {"rtol": 1e-5}}}, "solver.rtol: 0.0001 -> 1e-05"),
    "added": ({"config": SAME | {"augment": True}}, r"augment: \(absent\) -> true"),
    "removed": ({"config": {"learning_rate": 3e-3}}, r"solver.rtol: 0.0001 -> \(absent\)"),
    "none": ({"config": None}, r"learning_rate: 0.003 -> \(absent\)"),
    "key": ({"key": jax.random.key(8)}, r"key: .*\[0, 7\].* -> .*\[0, 8\]"),
    "width": (
        {"model": eqx.nn.MLP(2, 1, 9, 1, key=jax.random.key(1))},
        r'weight: "float32\[8,2\]" -> "float32\[9,2\]"',
    ),
    "start": (
        {"model": eqx.nn.MLP(2, 1, 8, 1, key=jax.random.key(2))},
        "model.values: .*crc32 .* -> .*crc32",
    ),
    "activation": (
        {"model": eqx.nn.MLP(2, 1, 8, 1, activation=jax.nn.tanh, key=jax.random.key(1))},
        "model.rest: .*relu.* -> .*tanh",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_configuration_is_refused_and_shown(regression, trained, name):
    options, words = CHANGES[name]
    before = (trained / "config.json").read_bytes()
    with pytest.raises(ConfigMismatch, match=words) as caught:
        regression.train(trained, **({"steps": 20, "config": SAME} | options))
    assert "resume=False" in str(caught.value)
    assert (trained / "config.json").read_bytes() == before


def test_other_data_are_refused(regression, trained):
    with pytest.raises(ConfigMismatch, match=r"batches\.values"):
        regression.train(trained, config=SAME, batches=regression.make_batches(seed=3))
    with pytest.raises(ConfigMismatch, match=r"batches\.rest: .*16.* -> .*32"):
        regression.train(trained, config=SAME, batches=regression.make_batches(size=32))


def test_the_same_configuration_goes_on(regression, trained):
    assert regression.train(trained, steps=8, config=dict(reversed(SAME.items()))).steps_done == 8


def test_a_missing_or_damaged_configuration_is_refused(regression, tmp_path):
    regression.train(tmp_path, steps=2)
    for text in (None, "{", "[]", "{}"):
        if text is None:
            (tmp_path / "config.json").unlink()
        else:
            (tmp_path / "config.json").write_text(text)
        with pytest.raises(ConfigMismatch, match="missing or damaged"):
            regression.train(tmp_path, steps=4)


def test_what_fit_recorded_can_be_struck_out_by_hand(regression, tmp_path):
    regression.train(tmp_path, steps=2)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["run"]["batches"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    batches = regression.make_batches(seed=3)
    assert regression.train(tmp_path, steps=4, batches=batches).steps_done == 4


def test_two_at_once_are_refused(regression, tmp_path):
    code = (
        "import sys; from pathlib import Path; from neurode.training.folder import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, env=os.environ | {"JAX_PLATFORMS": "cpu"}) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(RunLocked, match=f"in use by another .*pid {other.pid}"):
            regression.train(tmp_path, steps=2)
        other.kill()
    # It could not clean up; the lock is free all the same.
    assert (tmp_path / "lock").read_text() == f"{other.pid}\n"
    assert regression.train(tmp_path, steps=2).steps_done == 2
    assert not (tmp_path / "lock").exists()


def test_the_lock_ends_with_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path):
        1 / 0  # noqa: B018
    with locked(tmp_path), pytest.raises(RunLocked), locked(tmp_path):
        pass
    assert os.listdir(tmp_path) == []
