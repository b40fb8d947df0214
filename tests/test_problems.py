"""The stored answers, checked with SciPy, since everything else is checked with them."""

import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from problems import PROBLEMS, flatten

# Errors grow along these orbits; the others repeat SciPy's local accuracy to a digit or two.
LOOSE = {"arenstorf": 3e-8, "kepler": 1e-10, "oscillator": 1e-10, "long": 1e-10}
every_problem = pytest.mark.parametrize("name", sorted(PROBLEMS))


def scipy_solution(problem, times):
    solution = solve_ivp(
        problem.numpy_f(),
        (problem.t0, problem.t1),
        flatten(problem.y0),
        method="DOP853",
        t_eval=times,
        rtol=1e-12,
        atol=1e-14,
    )
    assert solution.success, solution.message
    return solution.y.T


@every_problem
def test_the_answer_agrees_with_scipy(name):
    problem = PROBLEMS[name]
    (end,) = scipy_solution(problem, [problem.t1])
    expected = flatten(problem.answer())
    scale = np.abs(expected).max()
    np.testing.assert_allclose(end, expected, rtol=0, atol=LOOSE.get(name, 2e-11) * scale)


@pytest.mark.parametrize("name", sorted(n for n, p in PROBLEMS.items() if p.exact))
def test_the_closed_form_holds_at_all_times(name):
    problem = PROBLEMS[name]
    times = problem.t0 + (problem.t1 - problem.t0) * np.array([0.0, 0.21, 0.47, 0.68, 0.9])
    for t, y in zip(times, scipy_solution(problem, times), strict=True):
        # The interpolant of DOP853 is of order 7, less accurate than its steps.
        assert problem.error(y, t) <= 1e-9 * max(1.0, np.abs(y).max())


@every_problem
def test_the_closed_form_starts_at_y0(name):
    problem = PROBLEMS[name]
    if problem.exact is None:
        with pytest.raises(ValueError, match=f"{name} is only known at t1"):
            problem.answer(problem.t0)
    else:
        start = flatten(problem.exact(problem.t0))
        np.testing.assert_allclose(start, flatten(problem.y0), rtol=1e-14, atol=1e-15)


@every_problem
def test_the_field_keeps_structure_and_types(name):
    problem = PROBLEMS[name]
    with jax.enable_x64(True):
        slope = jax.eval_shape(lambda y: problem.f(problem.t0, y, *problem.args), problem.y0)
        y0 = jax.eval_shape(lambda y: y, problem.y0)
    assert jax.tree.structure(slope) == jax.tree.structure(y0)
    for got, wanted in zip(jax.tree.leaves(slope), jax.tree.leaves(y0), strict=True):
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)


def test_the_error_is_a_root_mean_square():
    problem = PROBLEMS["damped_dictionary"]
    answer = problem.answer()
    wrong = answer | {"position": answer["position"] + np.array([3.0, 4.0])}
    assert problem.error(answer) == 0.0
    np.testing.assert_allclose(problem.error(wrong), 5.0 / np.sqrt(5))


def test_the_pulse_is_seen_by_scipy():
    # Without the pulse the solution would be sin(8 t); the difference at t1 shows it was seen.
    problem = PROBLEMS["narrow_bump"]
    for method in ("RK23", "RK45", "DOP853"):
        solution = solve_ivp(
            problem.numpy_f(), (0.0, 8.0), flatten(problem.y0), method, rtol=1e-4, atol=1e-4
        )
        seen = solution.y[0, -1] - np.sin(64.0)
        np.testing.assert_allclose(seen, problem.answer()[0] - np.sin(64.0), rtol=0.02)
        assert seen > 0.1
