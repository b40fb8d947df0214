"""Table 2: its readings of the paper, and that its weights can be checked."""

import json

import numpy as np
import pytest

from neurode.reproduce import ExperimentError, check_experiment, run_experiment
from neurode.reproduce.spirals import WINDOW, Config, make_task

TINY = {
    "series": 12,
    "trained": 8,
    "steps": 2,
    "rnn_steps": 2,
    "batch_size": 4,
    "variant_runs": 0,
    "runs": 1,
    "counts": (30,),
}


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


def test_the_weights_give_what_was_recorded(tmp_path):
    found = run_experiment("table2", run=tmp_path / "run", results=tmp_path, progress=False, **TINY)
    assert not found.complete
    assert all(np.isfinite(row.ours) for row in found.rows if row.ours is not None)
    lines = check_experiment("table2", results=tmp_path)
    assert "Latent ODE 30/100, rmse_clean" in lines
    file = tmp_path / "table2" / "metrics.json"
    metrics = json.loads(file.read_text())
    metrics["rows"][0]["ours"] *= 1.1
    file.write_text(json.dumps(metrics))
    with pytest.raises(ExperimentError, match="no longer give what was recorded: RNN 30/100"):
        check_experiment("table2", results=tmp_path)
