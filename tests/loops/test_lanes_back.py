"""The continuous adjoints of many lanes: what single solves do, and shared weights have one sum."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import neurode as nd
from compiling import jit
from costs.programs import inner

SIZE, DIM, HIDDEN = 70, 2, 11  # two widths
TIMES = np.array([0.1, 0.45, 0.45, 1.2, 2.0])
ADJOINTS = [nd.Backsolve(), nd.Interpolated()]
each_adjoint = pytest.mark.parametrize("gradient", ADJOINTS, ids=["backsolve", "interpolated"])


def field(t, y, rate, weights):
    turn = jnp.stack([y[1], -rate * jnp.sin(y[0])])
    return turn + jnp.tanh(y @ weights[0]) @ weights[1] * jnp.cos(t)


def lane_loss(y0, rate, weights, ts, probe, **options):
    options = {"solver": nd.Bosh3(), "rtol": 1e-4, "atol": 1e-6, "max_steps": 400} | options
    sol = nd.solve(field, y0, ts, (rate, weights), probe=probe, **options)
    return jnp.sum(jnp.sin(sol.ys) * (1 + jnp.arange(len(TIMES)))[:, None])


def loss(y0, rate, weights, ts, probe, **options):
    one = functools.partial(lane_loss, **options)
    return jnp.sum(jax.vmap(one, (0, 0, None, None, 0))(y0, rate, weights, ts, probe))


def inputs():
    rng = np.random.default_rng(2)
    y0 = rng.uniform(-2, 2, (SIZE, DIM))
    rate = np.exp(rng.uniform(0, 5, SIZE))
    weights = rng.normal(size=(DIM, HIDDEN)), 0.3 * rng.normal(size=(HIDDEN, DIM))
    return jax.tree.map(jnp.asarray, (y0, rate, weights, TIMES, np.zeros(SIZE)))


EVERYTHING = (0, 1, 2, 3, 4)


def one_by_one(count=SIZE, **options):
    y0, rate, weights, ts, probe = inputs()
    one = jit(jax.grad(functools.partial(lane_loss, **options), EVERYTHING))
    found = [one(y0[i], rate[i], weights, ts, probe[i]) for i in range(count)]
    return jax.tree.map(lambda *xs: np.stack(xs), *found)


@functools.cache
def expected(gradient):
    with jax.enable_x64(True):
        return one_by_one(gradient=gradient)


def check(found, expected):
    """Gradients of y0, rates, weights, times and probes; the shared ones may be summed already."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        b = b if a.shape == b.shape else b.sum(0)
        assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


@each_adjoint
def test_gradients_and_evaluations_are_those_of_single_solves(x64, gradient):
    run = jit(jax.grad(functools.partial(loss, gradient=gradient), EVERYTHING))
    check(run(*inputs()), expected(gradient))
    evals = expected(gradient)[4]
    assert np.sum(evals > evals.min() + 60) > 18  # the narrow arrays had work to do


@each_adjoint
def test_vmap_of_grad(x64, gradient):
    one = functools.partial(lane_loss, gradient=gradient)
    each = jax.vmap(jax.grad(one, EVERYTHING), (0, 0, None, None, 0))
    check(jit(each)(*inputs()), expected(gradient))


@each_adjoint
def test_equal_steps(x64, gradient):
    options = {"solver": nd.RK4(), "stepsize": nd.ConstantSteps(30), "gradient": gradient}
    y0, rate, weights, ts, probe = inputs()
    run = jit(jax.grad(functools.partial(loss, **options), EVERYTHING))
    found = run(y0[:3], rate[:3], weights, ts, probe[:3])
    check(found, one_by_one(3, **options))


def shapes(jaxpr):
    for equation in jaxpr.eqns:
        yield from (v.aval.shape for v in equation.outvars)
        for other in inner(equation):
            yield from shapes(other)


@each_adjoint
def test_the_gradient_of_shared_weights_is_never_an_array_per_lane(gradient):
    y0, rate, weights, ts, probe = inputs()
    traced = jit(jax.grad(functools.partial(loss, gradient=gradient), 2)).trace(
        y0, rate, weights, ts, probe
    )
    sizes = {x.size for x in weights}
    found = {s for s in shapes(traced.jaxpr.jaxpr) if SIZE in s and np.prod(s) // SIZE in sizes}
    assert not found


@each_adjoint
@pytest.mark.parametrize("all_fail", [False, True])
def test_lanes_that_fail_add_exactly_nothing(x64, all_fail, gradient):
    """Their right-hand side is NaN, also where they begin."""
    y0, rate, weights, ts, _ = inputs()
    is_bad = np.isin(np.arange(SIZE), [0, 5, 69]) | all_fail

    def masked(y0, rate, weights, chosen):
        def one(y0, rate):
            sol = nd.solve(
                field, y0, ts, (rate, weights), gradient=gradient, throw=False,
                rtol=1e-4, atol=1e-6, max_steps=400,
            )  # fmt: skip
            return jnp.sum(jnp.sin(sol.ys)), sol.status

        values, status = jax.vmap(one)(y0, rate)
        return jnp.sum(jnp.where(chosen, values, 0)), status

    run = jit(jax.grad(masked, (0, 1, 2), has_aux=True))
    spoilt, status = run(y0, jnp.where(is_bad, jnp.nan, rate), weights, ~is_bad)
    assert_array_equal(status != nd.Status.SUCCESS, is_bad)
    clean, _ = run(y0, rate, weights, ~is_bad)
    check(spoilt, clean)
    assert_array_equal(np.asarray(spoilt[1])[is_bad], 0)


@pytest.mark.parametrize("gradient", [*ADJOINTS, nd.Checkpointed()])
def test_a_row_reached_by_a_lane_that_failed_at_once(x64, gradient):
    """Its first row has a gradient of its own; it has no way back that could spoil the weights."""

    def total(y0, rate, weights):
        def one(y0, rate):
            sol = nd.solve(field, y0, ts, (rate, weights), gradient=gradient, max_steps=64)
            return jnp.nansum(sol.ys)

        return jnp.sum(jax.vmap(one)(y0, rate))

    y0, rate, weights, ts, _ = inputs()
    run = jit(jax.grad(total, (0, 2)))
    spoilt = run(y0[:3], rate[:3].at[1].set(jnp.nan), weights)
    assert_allclose(spoilt[0][1], 1)
    alone = run(y0[:3:2], rate[:3:2], weights)
    check((spoilt[0][::2], spoilt[1]), alone)


@pytest.mark.parametrize("strategy", [nd.Backsolve, nd.Interpolated])
def test_lanes_that_differ_in_the_tolerance_only(x64, strategy):
    y0, rate, weights, ts, _ = inputs()

    def one(rtol, weights):
        gradient = strategy(rtol=rtol)
        return jnp.sum(nd.solve(field, y0[0], ts, (rate[0], weights), gradient=gradient).ys)

    tolerances = jnp.array([1e-3, 1e-8])
    each = jit(jax.grad(lambda weights: jnp.sum(jax.vmap(one, (0, None))(tolerances, weights))))
    single = jit(jax.grad(one, 1))
    check(each(weights), jax.tree.map(jnp.add, *(single(rtol, weights) for rtol in tolerances)))


class Twice:
    """A norm that cannot be hashed."""

    __hash__ = None

    def __call__(self, error):
        return 2 * nd.rms_norm(error)


@pytest.mark.parametrize("strategy", [nd.Backsolve, nd.Interpolated])
def test_any_norm_and_empty_leaves(x64, strategy):
    def one(y):
        gradient = strategy(norm=Twice())
        sol = nd.solve(lambda t, y: jax.tree.map(jnp.sin, y), y, [0.0, 1.0], gradient=gradient)
        return jnp.sum(sol.ys["full"])

    y = {"empty": jnp.zeros((3, 0)), "full": jnp.ones((3, 2))}
    found = jit(jax.grad(lambda y: jnp.sum(jax.vmap(one)(y))))(y)["full"]
    y1 = 2 * np.arctan(np.e * np.tan(0.5))
    assert_allclose(found, np.full((3, 2), 1 + np.sin(y1) / np.sin(1)), rtol=1e-2)


@each_adjoint
def test_saved_functions_of_the_state(x64, gradient):
    """What is saved has weights of its own, which lanes share, and a scale for each lane."""

    def one(y0, scale, weights):
        save = lambda t, y: scale * jnp.tanh(y @ weights[0]) * jnp.sin(t)  # noqa: E731
        options = {"save": save, "gradient": gradient, "rtol": 1e-4, "atol": 1e-6}
        return jnp.sum(nd.solve(field, y0, TIMES, (1.3, weights), **options).ys ** 2)

    y0, scale, weights, *_ = inputs()
    y0, scale = y0[:3], scale[:3]
    single = jit(jax.grad(one, (0, 1, 2)))
    alone = [single(y0[i], scale[i], weights) for i in range(3)]
    lanes = jit(jax.grad(lambda *xs: jnp.sum(jax.vmap(one, (0, 0, None))(*xs)), (0, 1, 2)))
    check(lanes(y0, scale, weights), jax.tree.map(lambda *xs: np.stack(xs), *alone))
