"""`nd.solve` inside JAX's transformations, and how rarely it compiles."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from numpy.testing import assert_allclose, assert_array_equal

import neurode as nd
from compiling import jit
from neurode.ivp import _run

TIMES = np.array([0.0, 0.6, 1.5])
solve = functools.partial(nd.solve, solver=nd.HeunEuler(), max_steps=300)


def logistic(t, y, rate):
    return rate * y * (1 - y)


def exact(y0, rate, t):
    return 1 / (1 + (1 / y0 - 1) * np.exp(-rate * t))


def rows(y0, rate=1.0, ts=TIMES, **options):
    return solve(logistic, y0, ts, (rate,), **options).ys


def total(y0, **options):
    return jnp.sum(jnp.sin(rows(y0, **options)))


# -- vmap: independent solves ----------------------------------------------------------------------


@jax.jit
def one_lane(y0, rate, ts):
    sol = solve(logistic, y0, ts, (rate,))
    return sol.ys, sol.stats, sol.status


many_lanes = jit(jax.vmap(one_lane))


def lanes(count=6, seed=0):
    """Lanes of different stiffness, length and direction."""
    rng = np.random.default_rng(seed)
    y0 = rng.uniform(0.1, 0.9, (count, 2))
    rate = 10 ** rng.uniform(-1, 1.5, count)
    ts = np.sort(rng.uniform(0, 2, (count, 3)), axis=1)
    ts[1] = ts[1, 1]
    rate[2], ts[2] = 1.0, ts[2, ::-1].copy()
    return y0, rate, ts


def test_lanes_are_independent_solves(x64):
    y0, rate, ts = lanes()
    together = many_lanes(y0, rate, ts)
    steps = together[1].num_steps
    assert steps.shape == (6,)
    assert len(set(steps.tolist())) > 3
    assert_allclose(together[0][..., 0], exact(y0[:, :1], rate[:, None], ts - ts[:, :1]), rtol=1e-2)
    for i in range(6):
        alone = one_lane(y0[i], rate[i], ts[i])
        jax.tree.map(
            lambda a, b, i=i: assert_allclose(a[i], b, rtol=1e-13, atol=1e-15), together, alone
        )


def test_a_failing_lane_disturbs_no_other(x64):
    y0, rate, ts = lanes()
    broken = y0.copy()
    broken[0] = -1.0  # runs into the pole
    broken[5] = np.nan
    rate[0], ts[0] = 5.0, [0.0, 0.01, 2.0]
    whole = many_lanes(broken, rate, ts)
    assert_array_equal(whole[2] == 0, [False, True, True, True, True, False])
    assert whole[2][5] == nd.Status.INVALID_INPUT
    healthy = many_lanes(y0, rate, ts)
    without = many_lanes(y0[1:5], rate[1:5], ts[1:5])
    for other, part in ((healthy, slice(1, 5)), (without, slice(None))):
        jax.tree.map(lambda a, b, p=part: assert_array_equal(a[1:5], b[p]), whole, other)
    assert whole[1].num_steps[5] == 0  # frozen from the start


def test_nested_vmap_and_mapped_options(x64):
    y0, rate = jnp.array([0.2, 0.5]), jnp.array([1.0, 4.0, 9.0])
    grid = jax.vmap(lambda y: jax.vmap(lambda r: rows(y, r)[-1])(rate))(y0)
    assert_allclose(grid, exact(y0[:, None], rate[None], 1.5), rtol=1e-3)

    def steps(rtol, first):
        stepsize = nd.IController(first_step=first)
        return solve(logistic, 0.3, TIMES, (5.0,), rtol=rtol, stepsize=stepsize).stats.num_steps

    counts = jax.vmap(steps)(jnp.array([1e-1, 1e-3, 1e-3]), jnp.array([0.1, 0.1, 1e-6]))
    assert counts[0] < counts[1] < counts[2]


def test_vmap_over_what_f_closes_over(x64):
    rates = jnp.array([0.5, 2.0, 8.0])

    def last(rate):
        return solve(lambda t, y: rate * y * (1 - y), 0.3, TIMES).ys[-1]

    assert_allclose(jax.vmap(last)(rates), exact(0.3, np.asarray(rates), 1.5), rtol=1e-3)
    per_lane = jax.vmap(jax.grad(last))(rates)
    together = jax.grad(lambda r: jnp.sum(jax.vmap(last)(r)))(rates)
    assert_allclose(together, per_lane, rtol=1e-13)
    step = 1e-5
    differences = (jax.vmap(last)(rates + step) - jax.vmap(last)(rates - step)) / (2 * step)
    assert_allclose(per_lane, differences, rtol=2e-2)


# -- the others ------------------------------------------------------------------------------------


def test_scan_checkpoint_and_donation(x64):
    def repeated(y0, body):
        return jnp.sum(jax.lax.scan(lambda y, _: (body(y), None), y0, length=3)[0])

    y0 = jnp.array([0.1, 0.3])
    last = lambda y: rows(y)[-1]  # noqa: E731
    plain = jit(jax.value_and_grad(functools.partial(repeated, body=last)))(y0)
    remade = jit(jax.value_and_grad(functools.partial(repeated, body=jax.checkpoint(last))))(y0)
    assert_allclose(plain[0], exact(y0, 1.0, 4.5).sum(), rtol=1e-3)
    growth = np.exp(-4.5) / (y0 + (1 - y0) * np.exp(-4.5)) ** 2
    assert_allclose(plain[1], growth, rtol=1e-2)
    jax.tree.map(functools.partial(assert_allclose, rtol=1e-13), remade, plain)
    donated = jnp.array(y0)
    step = jax.jit(last, donate_argnums=0)
    assert_allclose(step(donated), exact(y0, 1.0, 1.5), rtol=1e-3)
    assert donated.is_deleted()


@pytest.mark.parametrize("function", [rows, jax.grad(total)], ids=["solve", "gradient"])
def test_export(x64, function):
    shape = jax.ShapeDtypeStruct((2,), jnp.float64)
    exported = jax.export.export(jax.jit(function))(shape)
    assert "callback" not in exported.mlir_module()
    y0 = jnp.array([0.1, 0.3])
    assert_allclose(exported.call(y0), function(y0), rtol=1e-12)


def test_shard_map(x64):
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    spec = PartitionSpec("data")
    y0 = jnp.array([[0.1], [0.3]])
    for function in (lambda y: rows(y)[-1], jax.vmap(jax.grad(total))):
        sharded = jax.shard_map(function, mesh=mesh, in_specs=spec, out_specs=spec)
        assert_allclose(jit(sharded)(y0), jit(function)(y0), rtol=1e-13)


def test_debug_nans_sees_none_in_a_good_solve(x64):
    with jax.debug_nans(True):
        sol = solve(logistic, jnp.array([0.1, 0.0]), TIMES, (1.0,), dense=True)
        assert np.isfinite(sol(np.array([0.0, 0.3, 1.5]))).all()
        for gradient in (nd.Direct(), nd.Checkpointed(), nd.Backsolve()):
            found = jax.grad(functools.partial(total, gradient=gradient))(jnp.array([0.1, 0.0]))
            assert np.isfinite(found).all()


def test_without_jit(x64):
    with jax.disable_jit():
        sol = solve(logistic, jnp.array([0.1]), TIMES, (1.0,), stepsize=nd.ConstantSteps(3))
    assert_allclose(sol.ys[-1], exact(0.1, 1.0, 1.5), rtol=2e-2)


# -- compilation -----------------------------------------------------------------------------------


def compilations(*calls):
    """How many of the calls compiled the solve anew."""
    counts = [_run._cache_size()]
    for call in calls:
        call()
        counts.append(_run._cache_size())
    return np.diff(counts).tolist()


def test_changed_values_compile_nothing(x64):
    def call(y0=0.1, rate=1.0, t1=1.0, rtol=1e-3, atol=1e-6, first=0.1, at=0.5):
        stepsize = nd.IController(first_step=first, max_step=2 * first, jump_at=[at])
        solve(
            lambda t, y, a: a * y * (1 - y) / 3, y0, [0.0, 0.5, t1], (rate,),
            rtol=rtol, atol=atol, stepsize=stepsize,
        )  # fmt: skip

    changes = [
        dict(y0=0.2), dict(y0=np.float64(0.3)), dict(rate=2.0), dict(t1=3.0), dict(rtol=1e-5),
        dict(rtol=np.float64(1e-3)), dict(atol=1e-4), dict(first=0.05), dict(at=0.25),
    ]  # fmt: skip
    calls = [functools.partial(call, **change) for change in changes]
    assert compilations(call, *calls) == [1] + [0] * len(calls)


def test_equal_functions_share_a_compilation(x64):
    inner = jax.jit(lambda y, w: jax.nn.softplus(w @ y))

    def fresh(scale):
        weight = scale * jnp.eye(2)
        return lambda t, y: jax.nn.relu(y) - jnp.where(t > 0, inner(y, weight), 0.0)

    def call(scale=1.0):
        return solve(fresh(scale), jnp.array([1.0, -1.0]), TIMES).ys

    assert compilations(call, call, lambda: call(2.0)) == [1, 0, 0]
    assert not np.allclose(call(1.0), call(2.0))


class Scaled(eqx.Module):
    weight: jax.Array
    power: int = eqx.field(static=True)

    def __call__(self, t, y):
        return -self.weight * y**self.power


def test_a_module_is_traced_anew_only_when_its_static_part_changes(x64):
    def call(weight=1.0, power=1):
        return solve(Scaled(jnp.array(weight), power), 1.0, TIMES).ys[-1]

    assert compilations(
        call, call, lambda: call(2.0), lambda: call(power=2), lambda: call(2.0, 2)
    ) == [1, 0, 0, 1, 0]
    assert_allclose(call(2.0), np.exp(-3.0), rtol=1e-3)
    assert_allclose(call(2.0, 2), 1 / 4, rtol=1e-3)


def test_a_jitted_solve_compiles_once_for_all_values(x64):
    before = one_lane._cache_size()
    for seed in range(3):
        y0, rate, ts = lanes(seed=seed)
        one_lane(y0[0], rate[0], ts[0])
    assert one_lane._cache_size() - before <= 1
