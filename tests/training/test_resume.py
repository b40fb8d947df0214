"""A run that is killed, stopped, damaged or short of disk goes on as if nothing had happened."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
import safetensors.numpy

from neurode.store import ArchiveDamaged, SaveError, read_metadata
from neurode.training.checkpoint import NEWEST, PREVIOUS

SCRIPT = Path(__file__).parent / "regression.py"


def assert_same_run(one, other):
    """Weights, optimiser state and step bit for bit; each record exactly once."""
    a, b = (safetensors.numpy.load((f / NEWEST).read_bytes()) for f in (one, other))
    assert a.keys() == b.keys()
    assert {".params.layers[0].weight", ".opt_state[0].mu.layers[1].bias", ".step"} <= a.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def start_script(folder, cache):
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder)], env=environment)


def wait_until_it_trains(process, metrics):
    before = metrics.stat().st_size if metrics.exists() else 0
    while process.poll() is None:
        size = metrics.stat().st_size if metrics.exists() else 0
        if size > 0 and size != before:  # a resume cuts it, a step makes it grow
            return
        time.sleep(0.002)


def test_killed_at_random_moments_it_ends_bit_for_bit_the_same(regression, tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    regression.train(whole, **regression.SCRIPT_OPTIONS)
    steps = [record["step"] for record in records(whole) if "kind" not in record]
    assert steps == list(range(1, regression.STEPS + 1))
    chance, interruptions = random.Random(), 0
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        process = start_script(folder, tmp_path / "cache")
        wait_until_it_trains(process, folder / "metrics.jsonl")
        time.sleep(chance.uniform(0, 0.15))
        interruptions += process.poll() is None
        process.send_signal(number)
        process.wait(60)
        if number == signal.SIGTERM:  # asked, it saves all that it did
            assert process.returncode == 0
            saved = safetensors.numpy.load((folder / NEWEST).read_bytes())
            assert saved[".step"] == records(folder)[-1]["step"]
    assert start_script(folder, tmp_path / "cache").wait(60) == 0
    assert interruptions >= 2
    assert_same_run(folder, whole)
    assert sorted(os.listdir(folder)) == sorted(os.listdir(whole))


class Crash(BaseException):
    """Stands for the end of the process; no handler of ours catches it."""


def crash_after(monkeypatch, calls):
    """The process dies at the given one of its fsync and replace calls from now on."""
    count = 0

    for name in ("fsync", "replace"):
        original = getattr(os, name)

        def call(*args, original=original):
            nonlocal count
            count += 1
            if count > calls:
                raise Crash
            return original(*args)

        monkeypatch.setattr(os, name, call)


def test_dying_at_any_point_of_saving_loses_nothing(regression, tmp_path, monkeypatch):
    options = {"steps": 20, "checkpoint_every": 5, "callback": regression.evaluate}
    regression.train(tmp_path / "whole", **options)
    crashes = 0
    for calls in range(0, 24):
        folder = tmp_path / str(calls)
        with monkeypatch.context() as patch:
            crash_after(patch, calls)
            try:
                regression.train(folder, **options)
            except Crash:
                crashes += 1
        result = regression.train(folder, **options)
        assert_same_run(folder, tmp_path / "whole")
        np.testing.assert_array_equal(result.history["step"], np.arange(1, 21))
    assert crashes >= 20


def test_a_finished_run_is_only_read_and_can_be_prolonged(regression, tmp_path):
    calls = []

    def callback(step, model, metrics):
        calls.append(step)
        return {"error": 1.0}

    first = regression.train(tmp_path / "a", steps=20, callback=callback, callback_every=10)
    again = regression.train(tmp_path / "a", steps=20, callback=callback, callback_every=10)
    assert calls == [10, 20]
    assert again.steps_done == 20
    assert eqx.tree_equal(again.model, first.model)
    for name, values in first.history.items():
        np.testing.assert_array_equal(again.history[name], values)
    assert again.seconds >= read_metadata(tmp_path / "a" / NEWEST)["seconds"] > 0
    longer = regression.train(tmp_path / "a", steps=40, callback=callback, callback_every=10)
    whole = regression.train(tmp_path / "b", steps=40, callback=callback, callback_every=10)
    assert_same_run(tmp_path / "a", tmp_path / "b")
    assert eqx.tree_equal(longer.model, whole.model)
    np.testing.assert_array_equal(longer.history["evaluation/step"], [10, 20, 30, 40])
    with pytest.raises(ValueError, match="already holds 40 steps, more than steps=30"):
        regression.train(tmp_path / "a", steps=30)


def test_resume_false_starts_anew(regression, tmp_path):
    folder = tmp_path / "run"
    regression.train(folder, steps=20)
    fresh = regression.train(folder, steps=10, resume=False, config={"learning_rate": 1})
    assert fresh.steps_done == 10
    assert [r["step"] for r in records(folder)] == list(range(1, 11))
    assert not (folder / PREVIOUS).exists()


def test_the_log_can_be_thinned(regression, tmp_path):
    result = regression.train(tmp_path, steps=10, log_every=4, steps_per_dispatch=3)
    np.testing.assert_array_equal(result.history["step"], [4, 8])
    assert [r["step"] for r in records(tmp_path)] == [4, 8]


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[-20] ^= 1
    path.write_bytes({"truncated": data[: len(data) // 2], "empty": b"", "flipped": data}[how])


@pytest.mark.parametrize("how", ["truncated", "empty", "flipped"])
def test_a_damaged_checkpoint_costs_a_warning_and_falls_back(regression, tmp_path, how):
    options = {"steps": 20, "checkpoint_every": 8}
    whole = regression.train(tmp_path / "whole", **options)
    regression.train(tmp_path / "run", **options)
    for _ in range(2):  # the second time too there is a sound one before the damaged one
        damage(tmp_path / "run" / NEWEST, how)
        with pytest.warns(RuntimeWarning, match="damaged.*going on from.*step 16") as caught:
            result = regression.train(tmp_path / "run", **options)
        assert len(caught) == 1
        assert "\n" not in str(caught[0].message)
        assert eqx.tree_equal(result.model, whole.model)
        assert_same_run(tmp_path / "run", tmp_path / "whole")
    damage(tmp_path / "run" / NEWEST, how)
    damage(tmp_path / "run" / PREVIOUS, how)
    with pytest.raises(ArchiveDamaged, match="resume=False"):
        regression.train(tmp_path / "run", **options)


def fail_with(code):
    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    ("where", "code", "words"),
    [
        ("neurode.store.atomic.os.fsync", errno.ENOSPC, "disk is full"),
        ("neurode.store.atomic.open", errno.EACCES, "no permission"),
        ("neurode.training.metrics.os.fsync", errno.ENOSPC, r"metrics\.jsonl.*disk is full"),
    ],
)
def test_when_saving_fails_the_last_checkpoint_still_loads(
    regression, tmp_path, monkeypatch, where, code, words
):
    def callback(step, model, metrics):
        if step == 15:
            monkeypatch.setattr(where, fail_with(code), raising=False)

    options = {"steps": 20, "checkpoint_every": 5, "callback_every": 5}
    whole = regression.train(tmp_path / "whole", **options)
    with pytest.raises(SaveError, match=words) as caught:
        regression.train(tmp_path / "run", callback=callback, **options)
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    assert len((tmp_path / "run" / NEWEST).read_bytes()) > 0
    result = regression.train(tmp_path / "run", **options)
    assert eqx.tree_equal(result.model, whole.model)
    assert_same_run(tmp_path / "run", tmp_path / "whole")


def test_a_run_folder_that_cannot_be_made_is_one_line(regression, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SaveError, match="could not write .*file"):
        regression.train(tmp_path / "file")


def test_keys_in_the_optimiser_state_are_resumed(regression, tmp_path):
    optimizer = optax.chain(optax.add_noise(0.1, 0.5, jax.random.key(3)), optax.sgd(0.1))
    whole = regression.train(None, steps=10, optimizer=optimizer)
    regression.train(tmp_path, steps=4, optimizer=optimizer)
    result = regression.train(tmp_path, steps=10, optimizer=optimizer)
    assert eqx.tree_equal(result.model, whole.model)
