"""Multistep methods: orders, evaluations beside SciPy's, gradients through their history."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import ode, solve_ivp

import neurode as nd
from compiling import jit

Y0 = np.array([1.0, 0.3])
EXACT_STRATEGIES = {"taped": nd.Checkpointed(), "in little memory": nd.Checkpointed(max_memory=600)}


def pendulum(t, y, k=1.3):
    return jnp.stack([y[1], -k * jnp.sin(y[0]) + 0.1 * jnp.cos(t)])


def last(solver, **options):
    return nd.solve(pendulum, Y0, [0.0, 4.0], solver=solver, **options)


@functools.cache
def tightly():
    return np.asarray(jit(lambda: last(nd.Dopri8(), rtol=1e-13, atol=1e-13).ys[-1])())


@pytest.mark.parametrize("make", [nd.AdamsBashforth, nd.AdamsMoulton])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 8])
def test_order_of_convergence(x64, make, k):
    """Between steps so many that the leading error rules, and so few that rounding does not.

    High orders leave no such room where f depends much on y: they are hardly stable there.
    """
    exact = tightly()
    counts = {1: 400, 2: 200, 3: 200, 5: 120, 8: 120}[k]
    f = pendulum
    if k == 8:
        f = lambda t, y: jnp.stack([jnp.sin(4 * t), -0.05 * y[0]])  # noqa: E731
        x = 4 * 4.0
        area = Y0[0] * 4 + (4.0 - np.sin(x) / 4) / 4
        exact = np.array([Y0[0] + (1 - np.cos(x)) / 4, Y0[1] - 0.05 * area])

    def run(n):
        return nd.solve(f, Y0, [0.0, 4.0], solver=make(k), stepsize=nd.ConstantSteps(n)).ys[-1]

    found = jit(lambda: [run(counts), run(2 * counts)])()
    errors = [np.linalg.norm(y - exact) for y in found]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(k, abs=0.15)


@pytest.mark.parametrize("solver", [nd.Adams(), nd.Adams(4), nd.BDF(), nd.AdamsMoulton(4)])
def test_dense_output_and_save_times(x64, solver):
    ts = np.linspace(0.0, 4.0, 9)
    stepsize = nd.IController() if solver.error_order else nd.ConstantSteps(150)

    @jit
    def run():
        tight = nd.solve(pendulum, Y0, ts, solver=nd.Dopri8(), rtol=1e-12, atol=1e-12).ys
        return tight, nd.solve(
            pendulum, Y0, ts, solver=solver, rtol=1e-7, atol=1e-7, dense=True, stepsize=stepsize,
            max_steps=500,
        )  # fmt: skip

    exact, sol = run()
    assert np.abs(sol.ys - exact).max() < 2e-5
    assert_allclose(sol(ts), sol.ys, rtol=1e-10, atol=1e-10)


def test_adams_beside_vode(x64):
    """Evaluations at the achieved error of SciPy's VODE, over a range of tolerances."""
    exact = tightly()
    found, theirs = [], []
    solve = jit(lambda tol: last(nd.Adams(), rtol=tol, atol=tol))
    for tol in 10.0 ** -np.arange(3, 11):
        sol = solve(tol)
        found.append((np.abs(sol.ys[-1] - exact).max(), sol.stats.num_f_evals))
        count = [0]

        def f(t, y, count=count):
            count[0] += 1
            return [y[1], -1.3 * np.sin(y[0]) + 0.1 * np.cos(t)]

        vode = ode(f).set_integrator("vode", method="adams", rtol=tol, atol=tol, nsteps=10_000)
        y = vode.set_initial_value(Y0, 0.0).integrate(4.0)
        theirs.append((np.abs(y - exact).max(), count[0]))
    errors, evals = np.log(np.array(found, float)).T
    needed = np.exp(np.interp([-np.log(e) for e, _ in theirs], -errors, evals))
    ratios = needed / np.array([n for _, n in theirs])
    assert np.exp(np.mean(np.log(ratios))) < 1.0
    assert ratios.max() < 1.25


def test_bdf_beside_scipy(x64):
    """Robertson's problem to 1e11: as accurate, with as many evaluations."""

    def robertson(t, y):
        a, b, c = y
        slow, fast = 0.04 * a - 1e4 * b * c, 3e7 * b**2
        return [-slow, slow - fast, fast]

    def jac(t, y):
        _, b, c = y
        rows = [[-0.04, 1e4 * c, 1e4 * b], [0.04, -1e4 * c - 6e7 * b, -1e4 * b], [0, 6e7 * b, 0]]
        return np.array(rows)

    options = dict(rtol=1e-6, atol=1e-10)
    start = np.array([1.0, 0.0, 0.0])
    theirs = solve_ivp(robertson, (0, 1e11), start, method="BDF", jac=jac, **options)
    sol = nd.solve(
        lambda t, y: jnp.stack(robertson(t, y)), start, [0.0, 1e11], solver=nd.BDF(), **options
    )
    exact = np.array([2.0833401497e-08, 8.3333607703e-14, 0.99999997917])
    scale = 1e-10 + 1e-6 * np.abs(exact)
    error, their_error = (np.abs((y - exact) / scale).max() for y in (sol.ys[-1], theirs.y[:, -1]))
    assert error < 1.5 * their_error
    ours = sol.stats.num_f_evals + sol.stats.num_jacobians
    assert ours < 1.5 * (theirs.nfev + theirs.njev)
    assert sol.stats.num_jacobians < sol.stats.num_steps / 10  # they are used again


# -- gradients -------------------------------------------------------------------------------------


def loss(p, solver, gradient, steps=None, ts=None):
    sol = nd.solve(
        pendulum, p["y0"], p["ts"] if ts is None else ts, (p["k"],), solver=solver,
        gradient=gradient, rtol=1e-6, atol=1e-6,
        stepsize=nd.IController() if steps is None else nd.ConstantSteps(steps), max_steps=400,
    )  # fmt: skip
    return jnp.sum(jnp.array([[0.0], [1.0], [-2.0]]) * jnp.sin(sol.ys))


def inputs():
    return {"y0": jnp.asarray(Y0), "k": jnp.asarray(1.3), "ts": jnp.array([0.1, 0.8, 2.0])}


@pytest.mark.parametrize(
    ("solver", "gradient"),
    [
        (nd.AdamsBashforth(3), nd.Checkpointed()),
        (nd.AdamsBashforth(3), nd.Checkpointed(max_memory=300)),
        (nd.AdamsMoulton(4), nd.Direct()),
        (nd.Adams(), nd.Direct()),
    ],
    ids=str,
)
def test_exact_gradients_are_those_of_the_discretisation(x64, solver, gradient):
    """Of equal steps, which differences see as one discretisation."""
    p = inputs()
    flat, unflatten = jax.flatten_util.ravel_pytree(p)
    found = jit(jax.grad(lambda p: loss(p, solver, gradient, 8)))(p)
    step = 1e-5
    moved = flat + step * jnp.concatenate([jnp.eye(flat.size), -jnp.eye(flat.size)])
    value = jit(jax.vmap(lambda p: loss(p, solver, nd.Checkpointed(), 8)))
    plus, minus = value(jax.vmap(unflatten)(moved)).reshape(2, -1)
    expected = unflatten((plus - minus) / (2 * step))
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-7, atol=1e-8), found, expected)


@pytest.fixture(scope="module")
def reference():
    with jax.enable_x64(True):
        p = inputs()

        def tight(p):
            sol = nd.solve(
                pendulum, p["y0"], p["ts"], (p["k"],), solver=nd.Dopri8(), rtol=1e-12, atol=1e-12
            )
            return jnp.sum(jnp.array([[0.0], [1.0], [-2.0]]) * jnp.sin(sol.ys))

        return jit(jax.grad(tight))(p)


@pytest.mark.parametrize(
    ("solver", "gradient"),
    [
        (nd.Adams(), nd.Checkpointed()),
        (nd.Adams(), nd.Checkpointed(max_memory=1500)),
        (nd.Adams(), nd.Backsolve()),
        (nd.BDF(), nd.Checkpointed()),
        (nd.BDF(), nd.Direct()),
        (nd.Radau(), nd.Checkpointed(max_memory=1500)),
        (nd.Radau(), nd.Direct()),
    ],
    ids=str,
)
def test_adaptive_gradients(x64, solver, gradient, reference):
    found = jit(jax.grad(lambda p: loss(p, solver, gradient)))(inputs())
    tolerance = 2e-3 if isinstance(solver, nd.BDF) else 2e-4
    jax.tree.map(lambda a, b: assert_allclose(a, b, atol=tolerance), found, reference)


def test_evaluations_backwards_are_counted(x64):
    def run(probe, y0):
        sol = nd.solve(
            pendulum, y0, [0.0, 4.0], solver=nd.Adams(), gradient=nd.Backsolve(), probe=probe
        )
        return jnp.sum(sol.ys[-1]), sol.stats.num_f_evals

    backwards, forwards = jit(jax.grad(run, has_aux=True))(0.0, jnp.asarray(Y0))
    assert 0.3 * forwards < backwards < 3 * forwards


def test_a_jump_starts_the_history_anew(x64):
    def f(t, y):
        return -y + jnp.where(t < 1, 0.0, 3.0)

    sol = nd.solve(
        f, 1.0, [0.0, 2.0], solver=nd.Adams(), rtol=1e-8, atol=1e-8,
        stepsize=nd.IController(jump_at=[1.0]),
    )  # fmt: skip
    exact = 3 + (np.exp(-1.0) - 3) * np.exp(-1.0)
    assert sol.ys[-1] == pytest.approx(exact, abs=1e-7)


def test_lanes_choose_their_own_orders(x64):
    def run(k):
        sol = nd.solve(pendulum, Y0, [0.0, 4.0], (k,), solver=nd.Adams(), rtol=1e-6)
        return sol.ys[-1], sol.stats.num_steps

    ks = jnp.array([0.5, 40.0])
    ys, steps = jit(jax.vmap(run))(ks)
    for i, k in enumerate(ks):
        y, count = jit(run)(k)
        assert_allclose(ys[i], y, rtol=1e-9)
        assert steps[i] == count


def test_complex_states_and_pytrees(x64):
    y0 = {"z": jnp.array(1.0 + 0j), "x": jnp.ones((2, 2))}
    sol = nd.solve(
        lambda t, y: {"z": 1j * y["z"], "x": -y["x"]}, y0, [0.0, 1.0], solver=nd.Adams(),
        rtol=1e-8, atol=1e-8,
    )  # fmt: skip
    assert_allclose(sol.ys["z"][-1], np.exp(1j), rtol=1e-6)
    assert_allclose(sol.ys["x"][-1], np.exp(-1) * np.ones((2, 2)), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nd.Adams(0), r"Adams\(max_order=...\).*from 1 to 12, got 0"),
        (lambda: nd.Adams(13), r"from 1 to 12, got 13"),
        (lambda: nd.AdamsBashforth(9), r"AdamsBashforth\(k\).*from 1 to 8, got 9"),
        (lambda: nd.AdamsMoulton(2.5), r"AdamsMoulton\(k\).*got 2.5"),
        (lambda: nd.BDF(max_order=6), r"BDF\(max_order=...\).*from 1 to 5, got 6"),
    ],
)
def test_orders_out_of_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
