"""Records are JSON lines that survive being cut anywhere."""

import json

import numpy as np
import pytest

from neurode.store import SaveError
from neurode.training.metrics import MetricsLog


def write(path, steps, **extra):
    log = MetricsLog(path)
    for step in steps:
        columns = {"step": np.array([step]), "loss": np.array([step / 2])}
        log.append_steps(columns | {k: np.array([v]) for k, v in extra.items()})
        if step % 2 == 0:
            log.append_evaluation(step, {"error": step / 4})
    log.close()
    return log


def test_a_resumed_log_is_cut_at_its_step_wherever_the_file_ends(tmp_path):
    write(tmp_path / "whole", range(1, 7))
    data = (tmp_path / "whole").read_bytes()
    upto = data[: data.index(b'{"step": 5')]
    for end in range(len(upto), len(data) + 1):
        path = tmp_path / "cut"
        path.write_bytes(data[:end])
        log = MetricsLog(path, resume_at=4)
        log.close()
        assert path.read_bytes() == upto
        np.testing.assert_array_equal(log.history()["step"], [1, 2, 3, 4])
        np.testing.assert_array_equal(log.history()["evaluation/error"], [0.5, 1.0])


def test_what_is_read_equals_what_was_written(tmp_path):
    log = write(tmp_path / "a", range(1, 5), nfe=np.int64(3), odd=0.1 + 0.2)
    again = MetricsLog(tmp_path / "a", resume_at=4)
    again.close()
    assert log.history().keys() == again.history().keys()
    for name, values in log.history().items():
        np.testing.assert_array_equal(again.history()[name], values)
        assert again.history()[name].dtype == values.dtype
    assert again.history()["nfe"].dtype == np.int64


def test_what_is_not_finite_becomes_null_and_nan(tmp_path):
    log = MetricsLog(tmp_path / "a")
    log.append_steps({"step": np.arange(3), "loss": np.array([1.0, np.nan, np.inf])})
    log.close()
    lines = (tmp_path / "a").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [1.0, None, None]
    again = MetricsLog(tmp_path / "a", resume_at=9)
    again.close()
    np.testing.assert_array_equal(again.history()["loss"], [1.0, np.nan, np.nan])


def test_a_metric_that_some_records_lack_is_nan_there(tmp_path):
    log = MetricsLog()
    log.append_evaluation(1, {"a": 1.0})
    log.append_evaluation(2, {"b": 2.0})
    history = log.history()
    np.testing.assert_array_equal(history["evaluation/a"], [1.0, np.nan])
    np.testing.assert_array_equal(history["evaluation/b"], [np.nan, 2.0])


def test_garbage_after_the_last_good_record_is_cut_off(tmp_path):
    write(tmp_path / "a", range(1, 4))
    good = (tmp_path / "a").read_bytes()
    for garbage in (b"\0" * 100, b"[1, 2]\n", b'{"loss": 3}\n', b"\xff\xfe\n", b"3\n"):
        (tmp_path / "a").write_bytes(good + garbage)
        log = MetricsLog(tmp_path / "a", resume_at=9)
        log.close()
        assert (tmp_path / "a").read_bytes() == good
        np.testing.assert_array_equal(log.history()["step"], [1, 2, 3])


def test_a_file_that_cannot_be_opened_is_one_line(tmp_path):
    with pytest.raises(SaveError, match="folder"):
        MetricsLog(tmp_path)
