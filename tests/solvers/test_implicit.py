"""Implicit methods: orders, stiffness, derivatives of the stage equations, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit

METHODS = {
    "Rosenbrock23": (nd.Rosenbrock23(), 2),
    "Rodas5P": (nd.Rodas5P(), 5),
    "Kvaerno3": (nd.Kvaerno3(), 3),
    "Kvaerno5": (nd.Kvaerno5(), 5),
    "KenCarp4": (nd.KenCarp4(), 4),
    "Radau": (nd.Radau(), 5),
}
every_method = pytest.mark.parametrize("name", METHODS)
TS = [0.3, 0.8, 1.4]


def stiff(t, y, rate):
    return jnp.stack([-rate * (y[0] - jnp.cos(t)), y[0] - y[1]])


def nonstiff(t, y, rate):
    return jnp.stack([jnp.sin(y[1]), 0.1 * rate * y[0] * y[1] - y[0]])


FIELD = nd.Split(stiff, nonstiff)


@every_method
def test_order_of_convergence(x64, name):
    solver, order = METHODS[name]
    y0 = jnp.array([0.5, -0.3])

    def last(n):
        return nd.solve(
            FIELD, y0, [0.0, 1.0], (1.5,), solver=solver, stepsize=nd.ConstantSteps(n),
            rtol=1e-12, atol=1e-12,
        ).ys[-1]  # fmt: skip

    @jit
    def run():
        exact = nd.solve(
            FIELD, y0, [0.0, 1.0], (1.5,), solver=nd.Dopri8(), rtol=1e-13, atol=1e-13
        ).ys[-1]
        return [jnp.abs(last(n) - exact).max() for n in (12, 24)]

    errors = run()
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


@every_method
def test_damps_what_is_fast(x64, name):
    """Steps of 100 time constants: an L-stable method forgets the transient."""
    solver, _ = METHODS[name]
    split = nd.Split(lambda t, y: -1e4 * (y - jnp.cos(t)), lambda t, y: -jnp.sin(t) + 0 * y)
    sol = nd.solve(split, 2.0, [0.0, 1.0], solver=solver, stepsize=nd.ConstantSteps(100))
    assert sol.ys[-1] == pytest.approx(np.cos(1.0), abs=1e-4)
    with pytest.raises(nd.SolveError):
        nd.solve(split, 2.0, [0.0, 1.0], stepsize=nd.ConstantSteps(100))


def loss(p, solver, gradient):
    """Of all rows, with steps of fixed sizes: differences are then those of one discretisation."""
    sol = nd.solve(
        FIELD, p["y0"], p["ts"], (p["rate"],), solver=solver, gradient=gradient,
        stepsize=nd.ConstantSteps(3), rtol=1e-13, atol=1e-13,
    )  # fmt: skip
    return jnp.sum(jnp.array([[0.0], [1.0], [-2.0]]) * jnp.sin(sol.ys))


@pytest.mark.parametrize(
    ("solver", "gradient"),
    [
        *((solver, nd.Checkpointed()) for solver, _ in METHODS.values()),
        (nd.Kvaerno3(nd.Banded(1, 1)), nd.Checkpointed()),
        (nd.Rosenbrock23(nd.MatrixFree(rtol=1e-13)), nd.Checkpointed()),
        (nd.Kvaerno3(nd.MatrixFree(rtol=1e-8)), nd.Direct()),
        (nd.Rodas5P(), nd.Direct()),
    ],
    ids=str,
)
def test_gradients_are_those_of_the_stage_equations(x64, solver, gradient):
    p = {"y0": [0.5, -0.3], "rate": 3.0, "ts": TS}
    p = jax.tree.map(jnp.asarray, p, is_leaf=lambda x: isinstance(x, list))
    found = jit(jax.grad(lambda p: loss(p, solver, gradient)))(p)
    value = jit(jax.vmap(lambda p: loss(p, solver, nd.Checkpointed())))
    flat, unflatten = jax.flatten_util.ravel_pytree(p)
    step = 1e-5
    moved = flat + step * jnp.concatenate([jnp.eye(flat.size), -jnp.eye(flat.size)])
    plus, minus = value(jax.vmap(unflatten)(moved)).reshape(2, -1)
    expected = unflatten((plus - minus) / (2 * step))
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-7, atol=1e-8), found, expected)


@pytest.mark.parametrize("solver", [nd.Kvaerno3()])
def test_direct_has_forward_mode_and_second_derivatives(x64, solver):
    def last(rate):
        return nd.solve(
            FIELD, jnp.array([0.5, -0.3]), [0.0, 0.7], (rate,), solver=solver, rtol=1e-10,
            atol=1e-10, stepsize=nd.ConstantSteps(2), gradient=nd.Direct(),
        ).ys[-1, 0]  # fmt: skip

    first = jit(jax.jacfwd(last))
    assert_allclose(first(2.0), jit(jax.grad(last))(2.0), rtol=1e-10)
    second = jit(jax.hessian(last))(2.0)
    assert_allclose(second, (first(2.0 + 1e-4) - first(2.0 - 1e-4)) / 2e-4, rtol=1e-5)


def test_banded_and_matrix_free_are_the_same_method(x64):
    """Heat in a rod, with a source: four ways to solve the same equations."""
    n = 9

    def f(t, y):
        y = jnp.pad(y, 1)
        return n**2 * (y[2:] - 2 * y[1:-1] + y[:-2]) + y[1:-1] ** 2

    y0 = jnp.sin(jnp.linspace(0, 3, n))
    rows = [
        jit(lambda k=jacobian: nd.solve(f, y0, [0.0, 0.2], solver=nd.Rosenbrock23(k)).ys[-1])()
        for jacobian in (
            nd.Dense(), nd.Banded(1, 1), nd.MatrixFree(), nd.MatrixFree(method="gmres")
        )
    ]  # fmt: skip
    assert_allclose(rows[1], rows[0], rtol=1e-11)
    assert_allclose(rows[2], rows[0], rtol=1e-7)
    assert_allclose(rows[3], rows[0], rtol=1e-7)


@pytest.mark.parametrize("solver", [nd.Kvaerno3(), nd.Radau()], ids=["Kvaerno3", "Radau"])
def test_lanes_are_independent(x64, solver):
    # Beyond 90 the second component grows without bound, and the last bit decides every count.
    rates = jnp.array([1.0, 30.0, 60.0])

    def run(rate):
        sol = nd.solve(
            FIELD, jnp.array([0.5, -0.3]), [0.0, 1.0], (rate,), solver=solver, max_steps=300
        )
        return sol.ys[-1], sol.stats

    ys, stats = jit(jax.vmap(run))(rates)
    for i, rate in enumerate(rates):
        y, one = jit(run)(rate)
        assert_allclose(ys[i], y, rtol=1e-9)
        # Factorisations round otherwise side by side, and Newton's method may stop otherwise.
        assert_allclose(stats.num_f_evals[i], one.num_f_evals, rtol=0.01)
        assert_allclose(stats.num_jacobians[i], one.num_jacobians, atol=1)


def test_jacobians_and_newton_are_counted(x64):
    sol = nd.solve(stiff, jnp.array([0.5, -0.3]), [0.0, 1.0], (9.0,), solver=nd.Kvaerno3())
    assert sol.stats.num_jacobians == sol.stats.num_steps
    assert 3 * sol.stats.num_steps < sol.stats.num_f_evals < 12 * sol.stats.num_steps
    plain = nd.solve(stiff, jnp.array([0.5, -0.3]), [0.0, 1.0], (9.0,), rtol=1e-3)
    assert plain.stats.num_jacobians == 0


# -- bad input -------------------------------------------------------------------------------------

REFUSALS = {
    "complex state": ({"y0": 1j}, TypeError, r"Kvaerno3\(\) takes real states.*nd\.Tsit5\(\)"),
    "IMEX without a split": ({"solver": nd.KenCarp4()}, TypeError, r"f=nd\.Split\(stiff, nonst"),
    "wide band": (
        {"solver": nd.Rodas5P(nd.Banded(2, 3))},
        ValueError,
        r"Banded\(2, 3\) does not match the state.*lower must be less than its 2 entries",
    ),
    "large": (
        {"y0": jax.ShapeDtypeStruct((40_000,), "float32")},
        ValueError,
        r"dense Jacobian of 40000 unknowns takes 17.9 GiB: use jacobian=nd\.MatrixFree\(\)",
    ),
    "Backsolve": ({"gradient": nd.Backsolve()}, ValueError, r"backwards.*nd\.Checkpointed\(\)"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_is_refused_in_words(name):
    change, error, message = REFUSALS[name]
    options = {"y0": jnp.ones(2), "solver": nd.Kvaerno3()} | change
    y0 = options.pop("y0")
    with pytest.raises(error, match=message):
        jax.eval_shape(lambda y0: nd.solve(lambda t, y: -y, y0, [0.0, 1.0], **options).ys, y0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nd.Kvaerno3(jacobian="dense"), TypeError, r"Kvaerno3\(jacobian=...\).*'dense'"),
        (lambda: nd.Banded(-1, 0), ValueError, r"Banded\(lower=...\).*-1"),
        (lambda: nd.MatrixFree(rtol=2.0), ValueError, r"MatrixFree\(rtol=...\).*2.0"),
        (lambda: nd.MatrixFree(method="cg"), ValueError, r"MatrixFree\(method=...\).*'cg'"),
        (lambda: nd.Split(1, lambda t, y: y), TypeError, r"Split\(stiff=...\).*got 1"),
    ],
)
def test_options_refuse_what_they_cannot_mean(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("solver", [nd.Kvaerno3(), nd.Rodas5P(), nd.Radau()])
def test_a_jacobian_that_is_nan_ends_in_words(solver):
    """The root of y has no derivative at zero: no step is small enough."""
    with pytest.raises(nd.SolveError, match=r"UNSOLVED_STAGE.*Jacobian"):
        nd.solve(lambda t, y: jnp.sqrt(y) + 1, 0.0, [0.0, 1.0], solver=solver)


def test_a_singular_system_is_passed_with_smaller_steps(x64):
    """y' = 10 y: I - h gamma J is singular for one step size, which the solve steps around."""
    g = 0.43586652150845899942
    sol = nd.solve(
        lambda t, y: 10 * y, 1.0, [0.0, 1.0], solver=nd.Kvaerno3(), rtol=1e-6,
        stepsize=nd.IController(first_step=1 / (10 * g)),
    )  # fmt: skip
    assert sol.ys[-1] == pytest.approx(np.exp(10.0), rel=1e-4)
