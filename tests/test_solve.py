"""What `nd.solve` promises of its result: shapes, types, values and statistics."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import neurode as nd

TIMES = np.array([0.0, 0.3, 0.7, 1.0])


def decay(t, y, rate):
    return jax.tree.map(lambda x: -rate * x, y)


def pendulum(t, y):
    return jnp.array([y[1], -jnp.sin(y[0])])


# -- the state -------------------------------------------------------------------------------------


class Pair(eqx.Module):
    left: jax.Array
    right: jax.Array


def test_any_pytree_and_any_number(x64):
    y0 = {
        "python": 2.0,
        "integer": 3,
        "integers": np.arange(3),
        "complex": 1 + 2j,
        "single": jnp.ones((2, 1), jnp.float32),
        "module": Pair(jnp.float64(0.5), jnp.ones(2) * 1j),
        "list": [np.float64(4.0), (jnp.zeros(()),)],
        "empty": None,
    }
    sol = nd.solve(decay, y0, TIMES, (1.5,), solver=nd.HeunEuler(), rtol=1e-5, atol=1e-5)
    assert jax.tree.structure(sol.ys) == jax.tree.structure(y0)
    dtypes = jax.tree.map(lambda x: str(x.dtype), sol.ys)
    assert dtypes["python"] == dtypes["integer"] == dtypes["integers"] == "float64"
    assert dtypes["complex"] == dtypes["module"].right == "complex128"
    assert dtypes["single"] == "float32"
    for start, rows in zip(jax.tree.leaves(y0), jax.tree.leaves(sol.ys), strict=True):
        assert rows.shape == (len(TIMES), *np.shape(start))
        assert_array_equal(rows[0], start)
        exact = np.exp(-1.5 * TIMES).reshape(-1, *[1] * np.ndim(start)) * np.asarray(start)
        assert_allclose(rows, exact, atol=1e-4)


def test_integers_become_the_default_float():
    sol = nd.solve(decay, 2, [0, 1], (1,))
    assert sol.ys.dtype == sol.ts.dtype == jnp.float32
    assert_allclose(sol.ys, 2 * np.exp([0.0, -1.0]), rtol=1e-3)


def test_complex_state_is_solved_as_one_complex_system(x64):
    sol = nd.solve(lambda t, z, w: 1j * w * z, 1.0 + 0j, TIMES, (3.0,), rtol=1e-9, atol=1e-9)
    assert_allclose(sol.ys, np.exp(3j * TIMES), atol=1e-7)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16, jnp.complex64])
def test_time_and_f_never_change_the_type_of_the_state(x64, dtype):
    def f(t, y, rate):  # in double precision, whatever y is
        assert t.dtype == jnp.float64
        return (-rate * y.astype(jnp.result_type(y, jnp.float64))) * jnp.float64(1)

    y0, ts = jnp.ones(2, dtype), np.array([0.0, 0.5, 1.0])
    sol = nd.solve(f, y0, ts, (np.float64(2.0),), solver=nd.Bosh3())
    assert sol.ts.dtype == jnp.float64
    assert sol.ys.dtype == dtype
    precise = jnp.complex64 if dtype == jnp.complex64 else jnp.float32
    epsilon = float(jnp.finfo(dtype).eps)
    exact = np.exp(-2 * np.array([[0.0], [0.5], [1.0]]))
    assert_allclose(sol.ys.astype(precise), exact * np.ones((3, 2)), rtol=max(1e-3, 4 * epsilon))


def test_integer_and_boolean_derivatives_are_cast():
    sol = nd.solve(lambda t, y: {"a": jnp.int32(2), "b": y["b"] > 0}, {"a": 0.0, "b": 1.0}, [0, 3])
    assert_allclose(sol.ys["a"], [0, 6], rtol=1e-6)
    assert_allclose(sol.ys["b"], [1, 4], rtol=1e-6)


# -- the times -------------------------------------------------------------------------------------


@functools.cache
def polynomial_solve():
    """y = sum_k c_k t^k, which the default solver and its interpolant hit exactly."""

    def solve(coefficients, ts, queries):
        slopes = coefficients[1:] * jnp.arange(1, 5)

        def f(t, y):
            return jnp.dot(slopes, t ** jnp.arange(4))

        y0 = jnp.dot(coefficients, ts[0] ** jnp.arange(5))
        sol = nd.solve(f, y0, ts, dense=True)
        return sol.ys, sol(queries), sol.status, sol.steps

    return jax.jit(solve)


number = st.floats(-2, 2).map(lambda x: round(x, 6))


@given(
    coefficients=st.lists(number, min_size=5, max_size=5),
    ts=st.lists(number, min_size=6, max_size=6).flatmap(
        lambda ts: st.tuples(*[st.sampled_from(ts)] * 6)  # repeats are likely
    ),
    backwards=st.booleans(),
    queries=st.lists(number, min_size=4, max_size=4),
)
def test_any_sorted_times_and_dense_output(coefficients, ts, backwards, queries):
    ts = np.sort(np.array(ts))[:: -1 if backwards else 1].copy()
    queries = np.array([*queries, ts[0], ts[-1], ts.min() - 1e-6, ts.max() + 1e-6])
    with jax.enable_x64(True):
        results = polynomial_solve()(np.array(coefficients), ts, queries)
    ys, dense, status, steps = map(np.asarray, results)

    def exact(t):
        return np.polynomial.polynomial.polyval(t, coefficients)

    assert status == nd.Status.SUCCESS
    assert_allclose(ys, exact(ts), atol=1e-9)
    inside = (queries >= ts.min()) & (queries <= ts.max())
    assert_allclose(dense[inside], exact(queries[inside]), atol=1e-9)
    assert np.isnan(dense[~inside]).all()
    assert steps[0] == ts[0]
    assert steps[-1] == ts[-1]


@pytest.mark.parametrize(
    "ts", [[1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
)
def test_repeated_times_repeat_the_row(x64, ts):
    sol = nd.solve(decay, jnp.ones(2), np.array(ts), (1.0,), rtol=1e-9, atol=1e-9)
    for i in range(2):
        if ts[i] == ts[i + 1]:
            assert_allclose(sol.ys[i], sol.ys[i + 1], rtol=1e-14)
    assert_allclose(sol.ys[:, 0], np.exp(ts[0] - np.array(ts)), rtol=1e-8)


def test_save_times_do_not_change_the_steps(x64):
    few = nd.solve(pendulum, jnp.array([1.0, 0.0]), np.array([0.0, 5.0]))
    many = nd.solve(pendulum, jnp.array([1.0, 0.0]), np.linspace(0, 5, 50))
    assert many.stats.num_steps == few.stats.num_steps
    assert many.stats.num_f_evals == few.stats.num_f_evals
    assert_array_equal(many.ys[-1], few.ys[-1])


# -- dense output ----------------------------------------------------------------------------------


def test_dense_output_has_the_shape_of_its_times_and_the_accuracy_of_the_solve(x64):
    ts = np.array([0.0, 4.0])
    y0 = {"a": jnp.array([1.0, -2.0]), "b": 3.0}
    sol = nd.solve(decay, y0, ts, (1.0,), dense=True, rtol=1e-7, atol=1e-7)
    times = np.linspace(0, 4, 12).reshape(3, 4)
    outside = np.array([[-1e-9, 4 + 1e-9, np.nan, np.inf]])
    rows = sol(np.concatenate([times, outside]))
    assert rows["a"].shape == (4, 4, 2)
    assert rows["b"].shape == (4, 4)
    assert sol(1.0)["a"].shape == (2,)
    assert_allclose(rows["b"][:3], 3 * np.exp(-times), atol=1e-6)
    assert_array_equal(rows["a"][0, 0], y0["a"])
    assert_allclose(rows["a"][2, 3], sol.ys["a"][-1], rtol=1e-12)
    assert np.isnan(rows["a"][3]).all()
    assert np.isnan(rows["b"][3]).all()
    count = int(sol.stats.num_accepted)
    assert (np.diff(sol.steps[: count + 1]) > 0).all()
    assert (sol.steps[count:] == 4.0).all()


def test_dense_output_agrees_with_the_rows(x64):
    ts = np.linspace(5.0, 0.0, 9)
    sol = nd.solve(pendulum, jnp.array([1.0, 0.0]), ts, dense=True, rtol=1e-5)
    assert_allclose(sol(ts), sol.ys, rtol=1e-11, atol=1e-12)


def test_dense_output_must_be_asked_for():
    sol = nd.solve(decay, 1.0, [0.0, 1.0], (1.0,))
    with pytest.raises(ValueError, match="dense=True"):
        sol(0.5)
    with pytest.raises(ValueError, match="dense=True"):
        sol.steps  # noqa: B018


def test_dense_output_of_lanes_says_how_to_call_it():
    def solve(y0, t1):
        ts = jnp.stack([0.0 * t1, t1])
        return nd.solve(decay, y0, ts, (1.0,), solver=nd.Bosh3(), dense=True)

    lanes = jax.vmap(solve)(jnp.array([1.0, 2.0]), jnp.array([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"jax\.vmap\(lambda s: s\(t\)\)\(sol\)"):
        lanes(0.5)
    rows = jax.vmap(lambda s: s(jnp.array([0.5, 1.5])))(lanes)
    assert_allclose(rows[:, 0], np.exp(-0.5) * np.array([1, 2]), rtol=1e-3)
    assert_array_equal(np.isnan(rows[:, 1]), [True, False])


# -- tolerances, norms, what is saved --------------------------------------------------------------


def two_rates(t, y):
    return {"fast": -30 * (y["fast"] - jnp.cos(3 * t)), "slow": y["slow"] * jnp.cos(t)}


@functools.cache
def two_rates_solve():
    def solve(rtol, atol):
        sol = nd.solve(two_rates, {"fast": jnp.ones(2), "slow": 1.0}, TIMES, rtol=rtol, atol=atol)
        return sol.ys, sol.stats.num_steps

    return jax.jit(solve)


def test_tolerances_per_leaf(x64):
    loose, tight = 1e-3, 1e-9
    exact, _ = two_rates_solve()(dict(fast=1e-12, slow=1e-12), dict(fast=1e-12, slow=1e-12))

    def error(fast, slow):
        tolerance = dict(fast=fast, slow=slow)
        ys, steps = two_rates_solve()(tolerance, tolerance)
        return [float(np.abs(ys[name] - exact[name]).max()) for name in ("fast", "slow")], steps

    (fast_loose, _), steps_loose = error(loose, loose)
    (fast_tight, _), steps_fast = error(tight, loose)
    (fast_free, slow_tight), steps_slow = error(loose, tight)
    assert fast_tight < 1e-7 < 1e-5 < fast_loose
    assert slow_tight < 1e-7
    # Asking nothing of the fast part must cost less than asking all of it.
    assert steps_loose <= steps_slow < steps_fast
    assert fast_free > fast_tight


def test_tolerances_as_scalars_pytrees_and_arrays_agree(x64):
    y0 = {"fast": jnp.ones(2), "slow": jnp.ones(())}
    forms = (1e-5, {"fast": 1e-5, "slow": 1e-5}, {"fast": np.full(2, 1e-5), "slow": 1e-5})
    solve = functools.partial(nd.solve, two_rates, y0, TIMES[[0, -1]], solver=nd.Bosh3())
    rows = [solve(rtol=form, atol=form).ys for form in forms]
    for other in rows[1:]:
        jax.tree.map(assert_array_equal, rows[0], other)


def test_infinite_atol_integrates_without_control(x64):
    def with_quadrature(t, y):
        return {"y": pendulum(t, y["y"]), "q": 1e3 * jnp.sin(50 * t) * jnp.ones(7), "p": y["y"][0]}

    y0, ts = jnp.array([1.0, 0.0]), np.linspace(0, 5, 4)
    alone = nd.solve(pendulum, y0, ts, dense=True)
    both = nd.solve(
        with_quadrature,
        {"y": y0, "q": jnp.zeros(7), "p": 0.0},
        ts,
        atol={"y": 1e-6, "q": np.inf, "p": np.inf},
        dense=True,
    )
    assert_array_equal(both.steps, alone.steps)
    assert_array_equal(both.ys["y"], alone.ys)
    assert both.stats.num_f_evals == alone.stats.num_f_evals
    integral = np.trapezoid(np.asarray(both(np.linspace(0, 5, 20001))["y"][:, 0]), dx=5 / 20000)
    assert_allclose(both.ys["p"][-1], integral, atol=1e-3)


def test_norm_replaces_the_error_norm(x64):
    y0, ts = jnp.array([1.0, 0.0]), np.array([0.0, 1.0, 10.0])
    plain = nd.solve(pendulum, y0, ts, rtol=1e-6, atol=1e-6)
    strict = nd.solve(
        pendulum, y0, ts, rtol=1e-4, atol=1e-4, norm=lambda error: 100 * nd.rms_norm(error)
    )
    assert strict.stats.num_steps == plain.stats.num_steps
    assert_allclose(strict.ys, plain.ys, rtol=1e-10)


@pytest.mark.parametrize("ts", [TIMES, TIMES[[0, -1]]], ids=["inner times", "two times"])
def test_save_stores_a_function_of_the_state(x64, ts):
    y0 = jnp.array([1.0, 2.0])
    solve = functools.partial(nd.solve, decay, y0, ts, (2.0,), solver=nd.HeunEuler())
    plain, saved = solve(), solve(save=lambda t, y: {"sum": y.sum(), "ty": [t * y]})
    assert_allclose(saved.ys["sum"], plain.ys.sum(1), rtol=1e-13)
    assert_allclose(saved.ys["ty"][0], ts[:, None] * plain.ys, rtol=1e-13)
    assert saved.stats.num_steps == plain.stats.num_steps


# -- going on --------------------------------------------------------------------------------------


def test_resume_keeps_the_step_size(x64):
    y0 = jnp.array([2.0, 0.0])
    whole = nd.solve(pendulum, y0, np.array([0.0, 20.0]), rtol=1e-7, atol=1e-7)
    first = nd.solve(pendulum, y0, np.array([0.0, 10.0]), rtol=1e-7, atol=1e-7)
    ts = np.array([10.0, 20.0])
    anew = nd.solve(pendulum, first.ys[-1], ts, rtol=1e-7, atol=1e-7, dense=True)
    on = nd.solve(pendulum, first.ys[-1], ts, rtol=1e-7, atol=1e-7, dense=True, resume=first.resume)
    assert_allclose(on.ys[-1], whole.ys[-1], atol=1e-5)
    step = on.steps[1] - on.steps[0]
    assert 0.2 * first.resume.step_size <= step <= 1.0001 * first.resume.step_size
    assert step > 3 * (anew.steps[1] - anew.steps[0])
    assert on.stats.num_f_evals == 1 + 6 * on.stats.num_steps  # no search for a first step
    assert on.stats.num_f_evals < anew.stats.num_f_evals
    total = first.stats.num_steps + on.stats.num_steps
    assert abs(int(total) - int(whole.stats.num_steps)) <= 2


@pytest.mark.parametrize("solver", [nd.Adams(), nd.BDF(), nd.AdamsMoulton(4)])
def test_resume_keeps_the_history_of_a_multistep_method(x64, solver):
    stepsize = nd.ConstantSteps(100) if isinstance(solver, nd.AdamsMoulton) else nd.IController()
    go = functools.partial(nd.solve, solver=solver, stepsize=stepsize, rtol=1e-8, atol=1e-8)
    first = go(pendulum, jnp.array([2.0, 0.0]), np.array([0.0, 5.0]))
    ts = np.array([5.0, 10.0])
    on, anew = go(pendulum, first.ys[-1], ts, resume=first.resume), go(pendulum, first.ys[-1], ts)
    assert_allclose(on.ys[-1], anew.ys[-1], atol=1e-6)
    assert on.stats.num_f_evals < anew.stats.num_f_evals

    def end(y0, goes_on):
        first = go(pendulum, y0, np.array([0.0, 5.0]))
        second = go(pendulum, first.ys[-1], ts, resume=first.resume if goes_on else None)
        return jnp.sum(second.ys[-1] ** 2)

    y0 = jnp.array([2.0, 0.0])
    assert_allclose(jax.grad(end)(y0, True), jax.grad(end)(y0, False), rtol=1e-4)
    with pytest.raises(ValueError, match="history of another solver"):
        nd.solve(pendulum, first.ys[-1], ts, resume=first.resume)


def test_resume_in_another_precision_of_time(x64):
    solve = functools.partial(nd.solve, decay, args=(1.0,), solver=nd.Bosh3())
    first = solve(jnp.float32(1.0), [0, 1])
    assert first.ts.dtype == jnp.float32
    second = solve(first.ys[-1], np.array([1.0, 2.0]), resume=first.resume)
    assert second.ts.dtype == jnp.float64
    assert second.ys.dtype == jnp.float32
    assert_allclose(second.ys[-1], np.exp(-2.0), rtol=1e-3)


def test_resume_backwards_and_through_a_scan(x64):
    def part(carry, t):
        y, resume = carry
        sol = nd.solve(decay, y, jnp.stack([t, t - 1]), (1.0,), rtol=1e-6, resume=resume)
        return (sol.ys[-1], sol.resume), sol.stats.num_rejected

    sol = nd.solve(decay, jnp.ones(2), np.array([4.0, 3.0]), (1.0,), rtol=1e-6)
    (y, _), rejected = jax.lax.scan(part, (sol.ys[-1], sol.resume), np.array([3.0, 2.0, 1.0]))
    assert_allclose(y, np.exp(4) * np.ones(2), rtol=1e-5)
    assert (rejected == 0).all()
