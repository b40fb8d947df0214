"""Theorem 1, there and back, and both objectives against what they estimate."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from neurode.gradients import Backsolve, Checkpointed, Direct
from neurode.models import (
    Flow,
    FlowLikelihood,
    Normal,
    ReverseKL,
    SolveOptions,
    StudentT,
    log_density,
    transport,
)
from neurode.models.baselines import PlanarFlow, PlanarLikelihood
from neurode.nn import PlanarField
from neurode.reproduce.change_of_variables import (
    Config,
    determinant_gap,
    liouville_residual,
    make_fields,
)

KEY = jax.random.key(0)


def affine(t, z):
    """dz/dt = a z + 1, whose flow is known: rows are scaled by e^a."""
    return 0.5 * z + 1.0


def test_an_affine_flow_has_a_normal_density():
    options = SolveOptions(rtol=1e-6, atol=1e-6)
    x = jax.random.normal(KEY, (8, 2))
    log_q, back = log_density(Flow(affine), x, options)
    scale, mean = math.exp(0.5), 2 * (math.exp(0.5) - 1)
    expected = stats.norm(mean, scale).logpdf(np.asarray(x)).sum(axis=1)
    np.testing.assert_allclose(log_q, expected, atol=2e-5)
    np.testing.assert_allclose(back.change, np.full(8, -1.0), atol=1e-5)  # -2 dimensions x 0.5
    there = transport(affine, back.z, (0.0, 1.0), options)
    np.testing.assert_allclose(there.z, x, atol=1e-5)
    np.testing.assert_allclose(there.change, -back.change, atol=1e-5)


def test_theorem_1_and_liouville(x64):
    config = Config(points=3)
    field, d = make_fields(config)["planar"]
    z = jax.random.normal(KEY, (3, d), jnp.float64)
    assert determinant_gap(field, z, 1e-8) < 1e-6
    assert liouville_residual(field, z, 1e-8) < 1e-6


@pytest.mark.parametrize("gradient", [Backsolve(), Checkpointed(), Direct()], ids=repr)
def test_gradients_of_the_likelihood_agree_with_differences(gradient, x64):
    x = jax.random.normal(KEY, (5, 2), jnp.float64)
    flow = Flow(PlanarField(2, 3, hyper=(4,), key=KEY))
    objective = FlowLikelihood(SolveOptions(rtol=1e-8, atol=1e-8, gradient=gradient, max_steps=64))

    def loss(shift):
        last = flow.field.layers[-1]
        moved = type(last)(last.in_features, last.out_features, key=KEY)
        moved = jax.tree.map(lambda a, b: b + shift, moved, last)
        field = flow.field.__class__(2, 3, hyper=(4,), key=KEY)
        object.__setattr__(field, "layers", (*field.layers[:-1], moved))
        return objective(Flow(field), x, KEY, jnp.zeros(()))[0]

    slope = jax.jit(jax.grad(loss))(0.1)
    run = jax.jit(loss)
    expected = (run(0.1 + 1e-4) - run(0.1 - 1e-4)) / 2e-4
    np.testing.assert_allclose(slope, expected, rtol=1e-5)


def test_reverse_kl_of_two_normals():
    """Without any flow, q is the base: KL(N(0, I) || N(0, 4 I)) in two dimensions."""
    objective = ReverseKL(
        lambda x: jnp.sum(stats_normal(x, 2.0)), SolveOptions(max_steps=16), 2, samples=20_000
    )
    loss, metrics = objective(Flow(lambda t, z: 0 * z), None, KEY, jnp.zeros(()))
    expected = 2 * (math.log(2) + 1 / 8 - 1 / 2)
    assert abs(float(loss) - expected) < 0.02
    assert abs(float(metrics["spread"]) - 1) < 0.02


def test_the_path_gradient_has_the_mean_of_the_total_one_and_no_noise_at_the_optimum(x64):
    """A linear flow z' = a z makes q = N(0, e^2a), whose KL to a normal is known."""

    def gradients(rate, path_gradient):
        objective = ReverseKL(
            lambda x: jnp.sum(stats_normal(x, 2.0)),
            SolveOptions(rtol=1e-8, atol=1e-8, max_steps=64),
            1,
            samples=400,
            path_gradient=path_gradient,
        )

        def loss(rate, key):
            flow = Flow(eqx.Partial(lambda rate, t, z: rate * z, rate))
            return objective(flow, None, key, jnp.zeros(()))[0]

        keys = jax.random.split(KEY, 100)
        return jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(rate, keys)

    rate = jnp.asarray(0.2)
    exact = jnp.exp(2 * rate) / 4 - 1
    path, total = gradients(rate, True), gradients(rate, False)
    for found in (path, total):
        assert abs(found.mean() - exact) < 4 * found.std() / 10
    best = jnp.log(jnp.asarray(2.0))
    assert jnp.abs(gradients(best, True)).max() < 1e-6
    assert gradients(best, False).std() > 0.01


def stats_normal(x, scale):
    return -0.5 * (x / scale) ** 2 - jnp.log(scale) - 0.5 * math.log(2 * math.pi)


@pytest.mark.parametrize("freedom", [1.5, 5.0])
def test_student_base(freedom):
    base = StudentT(jnp.full(2, math.log(freedom - 1)))
    z = np.array([[0.0, 1.0], [-30.0, 2e5], [3e20, -1e30]])
    expected = stats.t(freedom).logpdf(z).sum(axis=1)
    np.testing.assert_allclose(base.log_prob(jnp.asarray(z, jnp.float32)), expected, rtol=1e-4)
    samples = base.sample(KEY, (4000, 2), jnp.float32)
    result = stats.kstest(np.asarray(samples[:, 0]), stats.t(freedom).cdf)
    assert result.pvalue > 1e-3


def test_normal_base():
    z = jax.random.normal(KEY, (5, 3))
    expected = stats.norm.logpdf(np.asarray(z)).sum(axis=1)
    np.testing.assert_allclose(Normal().log_prob(z), expected, rtol=1e-5)


def test_a_field_that_outruns_its_budget_is_not_a_number():
    """What `fit` leaves out: the loss of an iteration whose solve failed is NaN."""
    objective = FlowLikelihood(SolveOptions(rtol=1e-6, atol=1e-6, max_steps=4))
    stiff = Flow(lambda t, z: jnp.sin(200 * z) * 50)
    loss, _ = jax.jit(lambda x: objective(stiff, x, KEY, jnp.zeros(())))(jnp.ones((3, 2)))
    assert np.isnan(float(loss))


def test_planar_layers_are_invertible_maps_with_their_determinant():
    flow = PlanarFlow(2, 6, key=KEY)
    z = jax.random.normal(jax.random.key(1), (7, 2))
    _, log_det = flow(z)
    jacobians = jax.vmap(jax.jacfwd(lambda z: flow(z[None])[0][0]))(z)
    sign, expected = np.linalg.slogdet(np.asarray(jacobians))
    assert (sign == 1).all()
    np.testing.assert_allclose(log_det, expected, rtol=1e-3, atol=1e-5)


def test_the_density_of_a_planar_flow_integrates_to_one():
    flow = PlanarFlow(2, 4, key=KEY)
    side = jnp.linspace(-8, 8, 201)
    grid = jnp.stack(jnp.meshgrid(side, side), axis=-1).reshape(-1, 2)
    mass = jnp.sum(jnp.exp(PlanarLikelihood().log_prob(flow, grid))) * (side[1] - side[0]) ** 2
    assert abs(float(mass) - 1) < 2e-3
