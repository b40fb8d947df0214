"""The lane engine: gathered, chunked and nested, it does what single solves do."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import neurode as nd
from compiling import jit
from neurode.loops.lane_log import capacity
from neurode.loops.lanes import widths

SIZE = 70  # two widths
TIMES = np.linspace(0.0, 2.0, 6)


def van_der_pol(t, y, mu, scale):
    return scale * jnp.stack([y[1], mu * (1 - y[0] ** 2) * y[1] - y[0]])


def solve(y0, mu, scale, **options):
    options = {"solver": nd.Bosh3(), "rtol": 1e-4, "atol": 1e-6, "max_steps": 400} | options
    return nd.solve(van_der_pol, y0, TIMES, (mu, scale), **options)


def inputs():
    rng = np.random.default_rng(1)
    y0 = rng.uniform(-2, 2, (SIZE, 2))
    return jnp.asarray(y0), jnp.asarray(np.exp(rng.uniform(0, 3, SIZE))), jnp.asarray(1.3)


def lane_loss(y0, mu, scale, **options):
    return jnp.sum(jnp.sin(solve(y0, mu, scale, **options).ys))


def loss(y0, mu, scale, **options):
    one = functools.partial(lane_loss, **options)
    return jnp.sum(jax.vmap(one, (0, 0, None))(y0, mu, scale))


@functools.cache
def one_by_one():
    """Value and gradient of each lane, as single solves."""
    with jax.enable_x64(True):
        y0, mu, scale = inputs()
        one = jit(jax.value_and_grad(lane_loss, (0, 1, 2)))
        found = [one(y0[i], mu[i], scale) for i in range(SIZE)]
        return jax.tree.map(lambda *xs: np.stack(xs), *found)


def check(found):
    """Gradients of y0, mu and scale against the single solves."""
    _, (y0, mu, scale) = one_by_one()
    for a, b in zip(found, (y0, mu, scale.sum()), strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


def test_gathered_lanes_are_single_solves(x64):
    assert widths(SIZE) == [70, 18]
    y0, mu, scale = inputs()
    sol = jit(jax.vmap(solve, (0, 0, None)))(y0, mu, scale)
    steps = np.asarray(sol.stats.num_steps)
    assert np.sum(steps > steps.min() + 20) > 18  # the narrow arrays had work to do
    single = jit(solve)
    for i in (0, int(steps.argmin()), int(steps.argmax())):
        alone = single(y0[i], mu[i], scale)
        assert_allclose(sol.ys[i], alone.ys, rtol=1e-10, atol=1e-12)
        assert steps[i] == alone.stats.num_steps
        assert sol.stats.num_f_evals[i] == alone.stats.num_f_evals


def test_gradient(x64):
    check(jit(jax.grad(loss, (0, 1, 2)))(*inputs()))


def test_gradient_from_a_log_that_is_too_small_for_the_solve(x64):
    y0, mu, scale = inputs()
    small = 64 * SIZE * (5 * 8 + 2 * 8 + 1)
    assert capacity(y0[0], y0.dtype, SIZE, 400, small) == 64
    steps = jit(jax.vmap(solve, (0, 0, None)))(y0, mu, scale).stats.num_steps
    assert steps.max() > 128  # three chunks
    gradient = nd.Checkpointed(max_memory=small)
    check(jit(jax.grad(functools.partial(loss, gradient=gradient), (0, 1, 2)))(y0, mu, scale))


def test_vmap_of_grad(x64):
    y0, mu, scale = inputs()
    found = jit(jax.vmap(jax.grad(lane_loss, (0, 1, 2)), (0, 0, None)))(y0, mu, scale)
    jax.tree.map(
        lambda a, b: assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max()),
        found,
        one_by_one()[1],
    )


def test_nested_vmap(x64):
    """A grid of lanes, one factor of which is shared along each axis."""
    y0, mu, scale = inputs()
    y0, mu = y0[:12], mu[:3]
    over_y0 = jax.vmap(lane_loss, (0, None, None))
    grid = jax.vmap(over_y0, (None, 0, None))
    found = jit(jax.value_and_grad(lambda *args: jnp.sum(grid(*args)), (0, 1, 2)))(y0, mu, scale)
    flat = jit(jax.value_and_grad(loss, (0, 1, 2)))(jnp.tile(y0, (3, 1)), jnp.repeat(mu, 12), scale)
    value, (of_y0, of_mu, of_scale) = flat
    assert_allclose(found[0], value, rtol=1e-10)
    expected = (of_y0.reshape(3, 12, 2).sum(0), of_mu.reshape(3, 12).sum(1), of_scale)
    for a, b in zip(found[1], expected, strict=True):
        assert_allclose(a, b, rtol=1e-8, atol=1e-9 * np.abs(b).max())


def test_groups_lengthen_the_lanes_if_little_is_copied(x64):
    """A slow group then costs its own steps only. Weights stay one array for their group."""
    y0, mu, _ = inputs()
    y0, mu = y0[:40].reshape(20, 2, 2), mu[:20]

    def group(y0, mu, weights):
        return jax.vmap(lambda y0: solve(y0, mu, jnp.mean(weights)))(y0)

    def weighed(y0, mu, weights):
        field = lambda t, y: van_der_pol(t, y, mu, jnp.mean(weights))  # noqa: E731
        return jax.vmap(lambda y0: nd.solve(field, y0, TIMES, solver=nd.Bosh3()))(y0)

    few, many = jnp.ones((20, 2)), jnp.ones((20, 50))
    assert "bool[40]" in str(jax.make_jaxpr(jax.vmap(weighed))(y0, mu, few))
    assert "bool[40]" not in str(jax.make_jaxpr(jax.vmap(weighed))(y0, mu, many))
    grouped = jit(jax.vmap(group))(y0, mu, few)
    flat = jit(jax.vmap(solve))(y0.reshape(40, 2), jnp.repeat(mu, 2), jnp.ones(40))
    assert_array_equal(grouped.ys.reshape(flat.ys.shape), flat.ys)
    assert_array_equal(grouped.stats.num_steps.ravel(), flat.stats.num_steps)


def test_jacobian_of_lanes(x64):
    y0, mu, scale = inputs()
    y0, mu = y0[:3], mu[:3]

    def last(y0):
        return jax.vmap(lambda y0, mu: solve(y0, mu, scale).ys[-1])(y0, mu)

    found = jit(jax.jacrev(last))(y0)
    for i in range(3):
        expected = jit(jax.jacrev(lambda y0, i=i: solve(y0, mu[i], scale).ys[-1]))(y0[i])
        assert_allclose(found[i, :, i], expected, rtol=1e-8, atol=1e-10)
        assert_array_equal(np.delete(found[i], i, axis=1), 0)


def test_lanes_that_fail_leave_the_others_and_shared_gradients_alone(x64):
    y0, mu, scale = inputs()
    bad = np.array([3, 40])
    broken, stiff = y0.at[3].set(jnp.nan), mu.at[40].set(1e6)

    def masked(y0, mu, scale, mask):
        sol = jax.vmap(solve, (0, 0, None))(y0, mu, scale)
        ys = jnp.where(mask[:, None, None], sol.ys, 0)
        return jnp.sum(jnp.where(mask[:, None, None], jnp.sin(ys), 0)), sol

    run = jit(jax.value_and_grad(masked, (0, 1, 2), has_aux=True))
    mask = jnp.ones(SIZE, bool).at[bad].set(False)
    (value, sol), found = run(broken, stiff, scale, mask)
    (healthy_value, healthy), expected = run(y0, mu, scale, mask)
    statuses = np.asarray(sol.status)
    assert statuses[3] == nd.Status.INVALID_INPUT
    assert statuses[40] == nd.Status.MAX_STEPS
    assert np.sum(statuses != 0) == 2
    assert np.isnan(np.asarray(sol.ys)[bad, -1]).all()
    keep = np.asarray(mask)
    assert_array_equal(np.asarray(sol.ys)[keep], np.asarray(healthy.ys)[keep])
    assert value == healthy_value
    assert_array_equal(found[2], expected[2])
    for a, b in zip(found[:2], expected[:2], strict=True):
        assert_array_equal(np.asarray(a)[keep], np.asarray(b)[keep])
        assert_array_equal(np.asarray(a)[bad], 0)


def test_a_gradient_that_needs_a_lost_row_is_nan(x64):
    y0, mu, scale = inputs()
    found = jit(jax.grad(loss, (0, 1, 2)))(y0, mu.at[40].set(1e6), scale)
    assert np.isnan(found[2])
    assert np.isnan(found[0][40]).all()
    assert np.isfinite(np.delete(np.asarray(found[0]), 40, axis=0)).all()


@pytest.mark.parametrize("solver", [nd.Dopri8(), nd.RK4()])
def test_other_solvers_save_the_same_rows(x64, solver):
    """Dopri8 evaluates f for its interpolant; RK4 takes equal steps."""
    y0, mu, scale = inputs()
    options = {"stepsize": nd.ConstantSteps(90)} if isinstance(solver, nd.RK4) else {}
    mu = mu / 4
    run = functools.partial(solve, solver=solver, **options)
    sol = jit(jax.vmap(run, (0, 0, None)))(y0[:20], mu[:20], scale)
    alone = jit(run)(y0[7], mu[7], scale)
    assert_allclose(sol.ys[7], alone.ys, rtol=1e-9, atol=1e-11)
    assert sol.stats.num_f_evals[7] == alone.stats.num_f_evals


def test_ragged_times_and_directions(x64):
    y0, mu, scale = inputs()
    rng = np.random.default_rng(3)
    ts = np.sort(rng.uniform(0, 1, (20, 5)), axis=1)
    ts[1] = ts[1, ::-1].copy()
    ts[2, 3:] = ts[2, 2]
    ts[3] = ts[3, 0]

    def one(y0, mu, ts):
        sol = nd.solve(van_der_pol, y0, ts, (mu, scale), solver=nd.Bosh3(), max_steps=400)
        return jnp.sum(jnp.sin(sol.ys)), sol.ys

    grad = jax.value_and_grad(one, (0, 1, 2), has_aux=True)
    (_, ys), found = jit(
        jax.value_and_grad(
            lambda *a: (lambda v, ys: (v.sum(), ys))(*jax.vmap(one)(*a)), (0, 1, 2), has_aux=True
        )
    )(y0[:20], mu[:20] / 4, jnp.asarray(ts))
    single = jit(grad)
    for i in range(5):
        (_, alone), expected = single(y0[i], mu[i] / 4, jnp.asarray(ts[i]))
        assert_allclose(ys[i], alone, rtol=1e-9, atol=1e-11)
        for a, b in zip(found, expected, strict=True):
            assert_allclose(a[i], b, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("gradient", [nd.Reversible(), nd.Checkpointed()])
@pytest.mark.parametrize("solver", [nd.ReversibleRK(nd.Bosh3()), nd.AsynchronousLeapfrog()])
def test_solvers_that_remember_go_back_as_single_solves_do(x64, solver, gradient):
    """What they remember is logged with the state, and has a cotangent."""
    y0, mu, scale = inputs()
    y0, mu = y0[:3], mu[:3] / 4
    options = {"solver": solver, "gradient": gradient, "max_steps": 2000}
    one = functools.partial(lane_loss, **options)
    single = jit(jax.grad(one, (0, 1, 2)))
    alone = [single(y0[i], mu[i], scale) for i in range(3)]
    alone = jax.tree.map(lambda *xs: np.stack(xs), *alone)
    total = functools.partial(loss, **options)
    for a, b in zip(jit(jax.grad(total, (0, 1, 2)))(y0, mu, scale), alone, strict=True):
        b = b if a.shape == b.shape else b.sum(0)
        assert_allclose(a, b, rtol=1e-8, atol=1e-9 * np.abs(b).max())
    each = jit(jax.vmap(jax.grad(one, (0, 1, 2)), (0, 0, None)))(y0, mu, scale)
    for a, b in zip(each, alone, strict=True):
        assert_allclose(a, b, rtol=1e-8, atol=1e-9 * np.abs(b).max())


def test_a_reversible_lane_that_failed_at_once_adds_nothing(x64):
    def total(y0, mu, scale):
        def one(y0, mu):
            options = {"solver": nd.ReversibleRK(nd.Bosh3()), "gradient": nd.Reversible()}
            sol = solve(y0, mu, scale, **options)
            return jnp.where(sol.status == nd.Status.SUCCESS, jnp.sum(sol.ys), 0.0)

        return jnp.sum(jax.vmap(one)(y0, mu))

    y0, mu, scale = inputs()
    run = jit(jax.grad(total, (1, 2)))
    spoilt = run(y0[:3], (mu[:3] / 4).at[1].set(jnp.nan), scale)
    alone = run(y0[:3:2], mu[:3:2] / 4, scale)
    assert_allclose(spoilt[0][::2], alone[0], rtol=1e-9)
    assert spoilt[0][1] == 0
    assert_allclose(spoilt[1], alone[1], rtol=1e-9)
