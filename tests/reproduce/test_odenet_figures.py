"""Figures 1 and 3 and ANODE's problems: the parts that need no training."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd
from neurode.models import ODENet
from neurode.reproduce import ExperimentError, costs, run_experiment
from neurode.reproduce.anode import PROBLEMS, Config, draw_points, flatten_states
from neurode.reproduce.fig1_euler import step_euler
from neurode.reproduce.results import read_paper
from neurode.reproduce.table1_outcomes import spread
from neurode.store import save


def test_residual_blocks_are_eulers_method():
    def field(t, z):
        return jnp.sin(3 * z) * (1 + t)

    z = jnp.linspace(-1, 1, 12).reshape(1, 2, 3, 2)
    stepped = step_euler(field, z, jnp.asarray(8))
    ts = jnp.array([0.0, 1.0])
    solved = nd.solve(field, z, ts, solver=nd.Euler(), stepsize=nd.ConstantSteps(8)).ys[-1]
    np.testing.assert_allclose(stepped, solved, rtol=1e-5)


@pytest.mark.parametrize("problem", PROBLEMS)
def test_no_flow_of_the_plane_or_line_can_do_these(problem):
    config = Config(inner=40, outer=120)
    x, y = draw_points(config, problem, 0)
    assert y.shape == (160, 1)
    np.testing.assert_array_equal(draw_points(config, problem, 0)[0], x)
    if problem == "crossing":
        np.testing.assert_array_equal(y, -x)
        return
    radius = np.linalg.norm(x, axis=1)
    assert radius[y[:, 0] < 0].max() <= 0.5  # one class inside the other
    assert radius[y[:, 0] > 0].min() >= 1
    assert (y < 0).sum() == 40


@pytest.mark.parametrize("d", [1, 2, 5])
def test_states_are_drawn_by_one_projection(d):
    states = np.random.default_rng(0).normal(size=(3, 20, d)) * 7
    flat = flatten_states(states)
    assert flat.shape == (3, 20, 2)
    centred = states - states.mean(axis=1, keepdims=True)
    if d == 1:
        np.testing.assert_allclose(flat[..., 0], centred[..., 0])
    if d == 2:  # turned, perhaps mirrored: nothing is lost
        lengths = np.linalg.norm(flat, axis=-1), np.linalg.norm(centred, axis=-1)
        np.testing.assert_allclose(*lengths)
    np.testing.assert_allclose(flatten_states(10 * states), 10 * flat, atol=1e-12)


def test_chance_of_an_error_rate():
    assert spread(0.42, 10_000) == pytest.approx(0.0647, abs=1e-3)


def test_weights_that_are_no_odenet_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    save(path, {"a": np.zeros(2)}, {"config": {"model": "resnet"}})
    with pytest.raises(ExperimentError, match="holds no ODE-Net of table1"):
        run_experiment("fig3", weights=str(path), run=tmp_path / "run")
    save(path, {"a": np.zeros(2)}, {"config": {"model": "odenet"}})
    with pytest.raises(ExperimentError, match="pass data=DIR, its folder"):
        run_experiment("fig1", weights=str(path), run=tmp_path / "run")


def test_costs_are_measured_in_turn(monkeypatch, tmp_path):
    """Of an untrained network, and of few rows: each is a program of its own."""
    kept = {key: costs.ROWS[key] for key in ("resnet", "odenet")}
    monkeypatch.setattr(costs, "ROWS", kept)
    config = costs.Config(steps=1, batch_size=4, channels=2, images=4, tested=4)
    found = costs.run(config, tmp_path, progress=False)
    values = found.values
    assert found.complete
    assert values["ResNet", "train_ratio"].ours == 1
    assert all(values[row.name, "train_ms"].ours > 0 for row in kept.values())
    assert values["ODE-Net", "memory_growth_kb"].ours == 0  # the adjoint keeps no steps
    assert 0 < values["ODE-Net", "share_inside_f"].ours <= 1
    assert set(values) <= {(row.row, row.metric) for row in read_paper("costs")}


def test_rows_share_the_trained_network():
    model = ODENet(channels=4, downsampling="conv", gradient=nd.Backsolve(), key=jax.random.key(0))
    for row in costs.ROWS.values():
        made = costs.make_beside(model, row, 28)
        if row.blocks == 0:
            assert eqx.tree_equal(made.block.field, model.block.field)
            assert made.block.gradient == row.gradient
        elif row.blocks > 0:
            assert eqx.tree_equal(made.stem, model.stem)
            assert len(made.blocks) == row.blocks
