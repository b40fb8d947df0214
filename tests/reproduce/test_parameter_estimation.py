"""The study of parameter estimation: its simulations, its summary, and that it can go on."""

import numpy as np

from neurode.reproduce import parameter_estimation as page
from neurode.reproduce.estimation_methods import run_scipy
from neurode.reproduce.estimation_problems import PROBLEMS, simulate
from neurode.reproduce.results import read_paper


def test_data_sets_have_their_noise_and_their_seed():
    problem = PROBLEMS["SIR"]
    first, second = simulate(problem, 0.2, 2, 0)
    again, _ = simulate(problem, 0.2, 2, 0)
    assert np.array_equal(first.ys, again.ys)
    gap = (np.asarray(first.ys) - np.asarray(second.ys))[0].std(axis=0)
    spread = np.asarray(first.ys)[0].std(axis=0)
    assert np.allclose(gap / spread, 0.2 * np.sqrt(2), rtol=0.4)
    assert (problem.first(first) > 0).all()


def test_the_summary_of_known_estimates():
    problem = PROBLEMS["SIR"]
    truth = np.array(list(problem.truth.values()))
    found = {
        "values": [(1.1 * truth).tolist(), (0.9 * truth).tolist(), [None, None]],
        "low": [truth.tolist(), (0.8 * truth).tolist(), [None, None]],
        "high": [(2 * truth).tolist(), (0.95 * truth).tolist(), [None, None]],
        "seconds": 3.0,
        "compile_seconds": 1.0,
        "memory": None,
    }
    summary = page.summarise(found, problem, count=6)
    assert np.isclose(summary["rmse"].ours, 0.1)
    assert np.isclose(summary["bias"].ours, 0)
    assert summary["coverage"].ours == 50
    assert summary["seconds"].ours == 6
    assert summary["rmse"].n == 2
    assert "1 failed" in summary["rmse"].note


def test_scipy_finds_the_truth_and_tells_its_memory():
    problem = PROBLEMS["SIR"]
    truth = np.array(list(problem.truth.values()))
    starts = np.stack([np.full(2, np.nan), 1.2 * truth])  # the first was not matched
    found = run_scipy(problem, simulate(problem, 0.05, 2, 0), starts)
    assert np.isnan(found.values[0]).all()
    np.testing.assert_allclose(found.values[1], truth, rtol=0.1)
    assert (found.low[1] < found.values[1]).all()
    assert (found.values[1] < found.high[1]).all()
    assert 0.01 < found.memory < 10  # MB: some arrays of 31 times


def test_a_run_keeps_its_cells_and_draws_them(tmp_path, monkeypatch):
    calls = []

    def estimate(method, problem, sets, matched, config):
        calls.append(method)
        if method == "neural ODE":
            return {"errors": [[0.1, 0.2]], "cpu": 1.0}
        values = np.array([list(problem.truth.values())] * 2) * 1.1
        cells = {"values": values, "low": 0.5 * values, "high": 2 * values}
        cells = {name: array.tolist() for name, array in cells.items()}
        memory = None if method == "SciPy" else 1.0
        return cells | {"seconds": 1.0, "compile_seconds": 1.0, "memory": memory, "cpu": 1.0}

    monkeypatch.setattr(page, "simulate", lambda problem, noise, count, seed: [None] * count)
    monkeypatch.setattr(page, "_estimate", estimate)
    config = page.Config(data_sets=2, scipy_data_sets=2)
    found = page.run(config, tmp_path, progress=False)
    assert len(calls) == 6 * 2 * len(PROBLEMS)
    rows = {(row.row, row.metric) for row in read_paper("parameter_estimation")}
    assert set(found.values) <= rows
    assert not found.complete
    page.run(config, tmp_path, progress=False)
    assert len(calls) == 6 * 2 * len(PROBLEMS)
    page.run(page.Config(data_sets=3, scipy_data_sets=2), tmp_path, progress=False)
    assert len(calls) == 2 * 6 * 2 * len(PROBLEMS)
    # What decides nothing but the networks is asked of nothing else.
    del calls[:]
    other = page.Config(data_sets=3, scipy_data_sets=2, network_data_sets=1)
    page.run(other, tmp_path, progress=False)
    assert calls == ["neural ODE"] * 2 * len(PROBLEMS)
