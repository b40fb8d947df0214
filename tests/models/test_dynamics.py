import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd
from neurode.models import (
    Dynamics,
    Observations,
    SolveOptions,
    TrajectoryLoss,
    solve_trajectories,
)

OPTIONS = SolveOptions(rtol=1e-8, atol=1e-8)


class Decay(eqx.Module):
    rate: jax.Array

    def __call__(self, t, y):
        return -self.rate * y


@pytest.fixture
def observed(x64):
    """Two decaying trajectories on their own times, the second padded, one value missing."""
    ts = jnp.array([[0.0, 0.5, 1.0, 2.0], [1.0, 1.5, 3.0, 3.0]])
    initial = jnp.array([[1.0, 2.0], [3.0, -1.0]])
    ys = initial[:, None] * jnp.exp(-0.5 * (ts - ts[:, :1]))[..., None]
    mask = jnp.ones(ys.shape, bool).at[1, 3].set(False).at[0, 1, 0].set(False)
    batch = Observations(jnp.arange(2), ts, jnp.where(mask, ys, 99.0), mask)
    return batch, Dynamics(Decay(jnp.array(0.5)), initial), ys


def test_trajectories_are_solved_each_at_its_own_times(observed):
    batch, model, ys = observed
    solved = solve_trajectories(model.field, model.initial, batch.ts, OPTIONS)
    np.testing.assert_allclose(solved.states, ys, rtol=1e-7)
    assert (np.asarray(solved.status) == nd.Status.SUCCESS).all()
    assert solved.num_f_evals.shape == (2,)


def test_loss_counts_what_was_observed_and_nothing_else(observed):
    batch, model, _ = observed
    objective = jax.jit(TrajectoryLoss(OPTIONS))
    loss, metrics = objective(model, batch, jax.random.key(0), jnp.zeros(()))
    assert loss < 1e-14
    assert metrics["nfe_forward"] > 0
    off = batch._replace(ys=batch.ys + 0.1)
    loss, _ = objective(model, off, jax.random.key(0), jnp.zeros(()))
    np.testing.assert_allclose(loss, 0.01, rtol=1e-6)


@pytest.mark.parametrize("gradient", [nd.Checkpointed(), nd.Backsolve()])
def test_gradient_is_that_of_the_closed_form(observed, gradient):
    batch, model, ys = observed
    off = batch._replace(ys=1.3 * batch.ys)
    options = SolveOptions(rtol=1e-9, atol=1e-9, gradient=gradient)

    def loss(model, probe):
        return TrajectoryLoss(options)(model, off, jax.random.key(0), probe)[0]

    def exact(model):
        elapsed = (batch.ts - batch.ts[:, :1])[..., None]
        states = model.initial[:, None] * jnp.exp(-model.field.rate * elapsed)
        return jnp.sum(jnp.where(off.mask, states - off.ys, 0) ** 2) / jnp.sum(off.mask)

    found, nfe_backward = jax.jit(jax.grad(loss, argnums=(0, 1)))(model, jnp.zeros(()))
    expected = jax.grad(exact)(model)
    np.testing.assert_allclose(found.field.rate, expected.field.rate, rtol=1e-6)
    np.testing.assert_allclose(found.initial, expected.initial, rtol=1e-6)
    assert nfe_backward > 0


def test_only_the_rows_of_the_batch_are_trained(observed):
    batch, model, _ = observed
    second = jax.tree.map(lambda x: x[1:], batch)._replace(ys=batch.ys[1:] + 1)

    def loss(model):
        return TrajectoryLoss(OPTIONS)(model, second, jax.random.key(0), jnp.zeros(()))[0]

    by_initial = jax.jit(jax.grad(loss))(model).initial
    assert (by_initial[0] == 0).all()
    assert (by_initial[1] != 0).all()


def test_options_are_compared_by_value():
    assert hash(SolveOptions()) == hash(SolveOptions())
    assert SolveOptions() != SolveOptions(rtol=1e-3)
