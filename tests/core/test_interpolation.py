"""Measured inputs: curves through data with gaps, and solves that they drive."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

import neurode as nd
from compiling import jit

TIMES = np.array([0.0, 1.0, 1.5, 3.0, 4.0, 4.5])
BETWEEN = np.array([0.0, 0.3, 1.0, 1.2, 2.9, 3.0, 3.7, 4.2, 4.5])
nan = np.nan


def test_straight_lines_and_steps_are_those_of_numpy(x64):
    values = np.sin(3 * TIMES)
    lines = nd.Interpolation(list(TIMES), list(values))(BETWEEN)
    assert_allclose(lines, np.interp(BETWEEN, TIMES, values))
    held = nd.Interpolation(TIMES, values, "previous")(BETWEEN)
    assert_allclose(held[:-1], values[np.searchsorted(TIMES, BETWEEN[:-1], side="right") - 1])
    assert_allclose(held[-1], values[-2])  # no jump at the very end


@pytest.mark.parametrize("kind", ["linear", "cubic", "previous"])
def test_gaps_are_as_if_they_had_not_been_measured(x64, kind):
    """Each column by itself, for values and slopes; before and after its numbers it is constant."""
    values = np.stack([np.sin(TIMES), np.cos(2 * TIMES)], axis=1)
    values[2:4, 0] = nan
    values[[0, 5], 1] = nan
    u = nd.Interpolation(TIMES, {"a": values}, kind)
    first, second = [0, 1, 4, 5], [1, 2, 3, 4]
    alone = [
        nd.Interpolation(TIMES[rows], values[rows, i], kind, extrapolate=True)
        for i, rows in enumerate((first, second))
    ]
    for f in (lambda u: u, lambda u: u.derivative):
        inside = (BETWEEN >= 1.5) & (BETWEEN < 3.0)  # away from where its numbers end
        found = f(u)(BETWEEN)["a"]
        assert_allclose(found[:, 0], f(alone[0])(BETWEEN), atol=1e-14)
        assert_allclose(found[inside, 1], f(alone[1])(BETWEEN[inside]), atol=1e-14)
    assert_allclose(u(jnp.array([0.2, 4.4]))["a"][:, 1], values[[1, 4], 1])


def test_cubic_curves_are_exact_for_parabolas_and_smooth(x64):
    u = nd.Interpolation(TIMES, np.stack([TIMES**2 - TIMES, 3 * TIMES], 1), "cubic")
    assert_allclose(u(BETWEEN), np.stack([BETWEEN**2 - BETWEEN, 3 * BETWEEN], 1), atol=1e-13)
    assert_allclose(u.derivative(BETWEEN)[:, 0], 2 * BETWEEN - 1, atol=1e-13)
    wave = nd.Interpolation(TIMES, np.sin(TIMES), "cubic")
    assert_allclose(wave.derivative(BETWEEN), jax.vmap(jax.grad(wave))(BETWEEN), atol=1e-13)
    near = TIMES[1:-1]
    assert_allclose(wave.derivative(near - 1e-9), wave.derivative(near + 1e-9), atol=1e-7)


def test_outside_the_data(x64):
    outside = jnp.array([-0.1, 4.6])
    assert np.isnan(nd.Interpolation(TIMES, TIMES)(outside)).all()
    u = nd.Interpolation(TIMES, TIMES, "cubic", extrapolate=True)
    assert_allclose(u(outside), [0.0, 4.5])
    assert_allclose(u.derivative(outside), 0.0)


def test_a_driven_solve_and_its_gradient(x64):
    """y' = u(t): y is an integral of the data, whose gradient is the trapezoidal rule."""
    values = jnp.array([1.0, nan, 3.0, -2.0, 0.5, 0.0])

    def end(values, kind):
        u = nd.Interpolation(TIMES, values, kind)
        sol = nd.solve(
            lambda t, y, u: u(t), 0.0, [0.0, 4.5], (u,), rtol=1e-8, atol=1e-8,
            stepsize=nd.IController(**u.stops), solver=nd.Bosh3(), max_steps=64,
        )  # fmt: skip
        return sol.ys[-1], sol.stats.num_rejected

    both = jax.vmap(jax.value_and_grad(end, has_aux=True), (0, None))
    lanes = jnp.stack([values, 2 * values])
    (ends, rejected), gradients = jit(both, static_argnums=1)(lanes, "linear")
    full = np.where(np.isnan(values), 7 / 3, values)  # two thirds of the way from 1 to 3
    assert_allclose(ends, np.trapezoid(full, TIMES) * np.array([1.0, 2.0]), rtol=1e-12)
    weights = 0.5 * np.convolve(np.diff(TIMES), [1, 1])
    gap = weights[1] * np.array([1 / 3, 0, 2 / 3, 0, 0, 0])
    weights[1] = 0
    assert_allclose(gradients[0], weights + gap, rtol=1e-9)
    assert_allclose(gradients[1], weights + gap, rtol=1e-9)
    assert (rejected == 0).all()  # no step ran into a kink
    one = jit(jax.value_and_grad(end, has_aux=True), static_argnums=1)
    (steps, _), gradient = one(values, "previous")
    held = np.array([1.0, 1.0, 3.0, -2.0, 0.5])
    assert_allclose(steps, held @ np.diff(TIMES), rtol=1e-12)
    assert_allclose(gradient, [1.5, 0, 1.5, 1.0, 0.5, 0], rtol=1e-9, atol=1e-12)


class Driven(eqx.Module):
    u: nd.Interpolation

    def __call__(self, t, y):
        return self.u(t) - y


def test_a_solve_longer_than_its_input_is_refused():
    u = nd.Interpolation(TIMES, TIMES)
    for f, args in ((lambda t, y, u: u(t) - y, (u,)), (Driven(u), ())):
        with pytest.raises(ValueError, match=r"from t=0 to 4.5, but the solve runs from 0 to 5"):
            nd.solve(f, 0.0, [0.0, 5.0], args)
    with pytest.raises(nd.SolveError, match="an nd.Interpolation ends there"):
        nd.solve(lambda t, y: u(t) - y, 0.0, [0.0, 5.0], solver=nd.Euler(),
                 stepsize=nd.ConstantSteps(20))  # fmt: skip
    assert nd.solve(
        Driven(nd.Interpolation(TIMES, TIMES, extrapolate=True)), 0.0, [0.0, 5.0],
        solver=nd.Euler(), stepsize=nd.ConstantSteps(10),
    ).status == nd.Status.SUCCESS  # fmt: skip


BAD = {
    "unsorted": (
        ([0.0, 2.0, 1.0], np.ones(3)), ValueError, r"times\[1\]=2 is followed by times\[2\]=1",
    ),
    "repeated": (([0.0, 1.0, 1.0], np.ones(3)), ValueError, "merge rows of one time"),
    "NaN times": (([0.0, nan, 1.0], np.ones(3)), ValueError, r"times\[0\]=0 is followed by"),
    "one time": (([0.0], np.ones(1)), ValueError, "at least two"),
    "another length": (
        ([0.0, 1.0], {"a": np.ones(3)}), ValueError, r"values\['a'\] must have one row for each",
    ),
    "empty column": (
        ([0.0, 1.0], {"a": np.array([[1.0, nan], [nan, nan]])}), ValueError,
        r"values\['a'\]\[:, 1\] holds no number",
    ),
    "infinite": (([0.0, 1.0], np.array([1.0, np.inf])), ValueError, r"values\[1\] is infinite"),
    "kind": (([0.0, 1.0], np.ones(2), "spline"), ValueError, "got 'spline'"),
    "text": (([0.0, 1.0], np.array(["a", "b"])), TypeError, "must be an array of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_data(name):
    data, error, words = BAD[name]
    with pytest.raises(error, match=words):
        nd.Interpolation(*data)


def test_times_that_are_only_known_at_run_time():
    def at(times):
        return nd.Interpolation(times, jnp.ones(3))(0.5)

    assert_allclose(jax.jit(at)(jnp.array([0.0, 1.0, 2.0])), 1.0)
    assert np.isnan(jax.jit(at)(jnp.array([0.0, 2.0, 1.0])))
