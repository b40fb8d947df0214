"""What `solve` refuses: the message names the argument, the value, and what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd

GOOD = {"f": lambda t, y: -y, "y0": np.array([1.0, 2.0]), "ts": [0.0, 1.0]}


def fails(t, y):
    raise KeyError("mass")


# name: (what is changed, the error, what its message says)
REFUSALS = {
    "one time": (
        {"ts": [0.0]},
        ValueError,
        r"ts .*at least two times.*shape \(1,\).*ts=\[t0, t1\]",
    ),
    "unsorted": ({"ts": [0.0, 2.0, 1.0]}, ValueError, r"ts must be sorted.*ts\[1\]=2.*sort it"),
    "NaN time": ({"ts": [0.0, np.nan]}, ValueError, r"ts holds NaN or infinite times.*nan"),
    "text as times": ({"ts": "soon"}, TypeError, r"ts must be .* numbers, got 'soon'"),
    "no y0": ({"y0": []}, ValueError, r"y0"),
    "empty y0": ({"y0": jnp.zeros((0, 3))}, ValueError, r"y0 is empty.*\(0, 3\)"),
    "NaN in y0": ({"y0": {"x": [1.0, np.nan]}}, (ValueError, TypeError), r"y0\['x'\].*nan"),
    "text in y0": ({"y0": "a"}, TypeError, r"y0 must be .* numbers, got 'a'"),
    "wrong shape": ({"f": lambda t, y: y[0]}, ValueError, r"f\(t, y\).*shape \(\).*\(2,\)"),
    "wrong tree": ({"f": lambda t, y: (y, y)}, ValueError, r"f must return a pytree like y"),
    "complex": ({"f": lambda t, y: 1j * y}, TypeError, r"complex.*make y0 complex"),
    "nothing": ({"f": lambda t, y: None}, TypeError, r"f returned None.*missing return"),
    "f raises": ({"f": fails}, nd.SolveError, r"f raised KeyError.*mass"),
    "f is no function": ({"f": 3}, TypeError, r"f must be a function.*got 3"),
    "args is a list": (
        {"args": [1.0]},
        TypeError,
        r"args must be a tuple, got list: write args=\(p,\)",
    ),
    "args is an array": ({"args": jnp.ones(2)}, TypeError, r"args must be a tuple"),
    "negative rtol": ({"rtol": -1e-3}, ValueError, r"rtol must not be negative.*-0.001"),
    "NaN atol": ({"atol": np.nan}, ValueError, r"atol must not be negative or NaN, got nan"),
    "both zero": ({"rtol": 0, "atol": 0}, ValueError, r"rtol=0 and atol=0; write atol=1e-9"),
    "tolerance tree": ({"rtol": {"x": 1e-3}}, ValueError, r"rtol must be a number or a pytree"),
    "tolerance shape": ({"atol": np.ones(3)}, ValueError, r"atol has shape \(3,\).*\(2,\)"),
    "solver class": ({"solver": nd.Tsit5}, TypeError, r"solver.*nd\.Tsit5\(\), with parentheses"),
    "solver text": ({"solver": "dopri5"}, TypeError, r"solver.*'dopri5'.*solver=nd.Tsit5\(\)"),
    "unknown solver": ({"solver": object()}, TypeError, r"solver must be an instance"),
    "controller": ({"stepsize": 0.1}, TypeError, r"stepsize must be an instance.*0.1"),
    "gradient class": ({"gradient": nd.Direct}, TypeError, r"gradient.*nd.Direct\(\)"),
    "Euler, adaptive": (
        {"solver": nd.Euler()},
        ValueError,
        r"Euler.*no error estimate.*ConstantSteps",
    ),
    "max_steps 0": ({"max_steps": 0}, ValueError, r"max_steps must be at least 1, got 0"),
    "max_steps 1.5": ({"max_steps": 1.5}, TypeError, r"max_steps must be a whole number, got 1.5"),
    "resume": ({"resume": 3}, TypeError, r"resume=sol.resume"),
    "probe": ({"probe": "a"}, TypeError, r"probe must be a number.*'a'"),
    "save": ({"save": lambda t, y: None}, TypeError, r"save must return at least one array"),
    "norm": ({"norm": lambda e: e}, TypeError, r"norm must return one real number"),
    "dense": ({"dense": "yes"}, TypeError, r"dense must be True or False, got 'yes'"),
    "step_at": ({"stepsize": nd.IController(step_at=["a"])}, TypeError, r"step_at must be.*'a'"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_is_refused_in_words(name):
    change, error, message = REFUSALS[name]
    with pytest.raises(error, match=message):
        nd.solve(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nd.ConstantSteps(0), ValueError, "at least one step, got 0"),
        (lambda: nd.ConstantSteps(2.5), TypeError, "whole number of steps, got 2.5"),
        (lambda: nd.StepTo([]), ValueError, "at least one time"),
        (lambda: nd.IController(first_step=-1.0), ValueError, "first_step .*positive.*-1.0"),
        (lambda: nd.PIDController(p=-1.0, i=0.5), ValueError, "must be positive"),
        (lambda: nd.IController(min_factor=2.0), ValueError, "min_factor=2.0"),
        (lambda: nd.Backsolve(rtol=-1.0), ValueError, r"Backsolve\(rtol=...\).*-1.0"),
        (lambda: nd.Backsolve(solver=nd.Tsit5), TypeError, r"Backsolve\(solver=...\)"),
    ],
)
def test_options_refuse_what_they_cannot_mean(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_blow_up_and_a_spent_budget_name_time_step_and_remedy():
    with pytest.raises(nd.SolveError, match=r"stopped at t=1\.0.*step size.*blow up") as caught:
        nd.solve(lambda t, y: y**2, 1.0, [0.0, 2.0])
    assert caught.value.status in (nd.Status.STEP_UNDERFLOW, nd.Status.NON_FINITE)
    with pytest.raises(nd.SolveError, match=r"MAX_STEPS.*max_steps=5.*larger max_steps") as caught:
        nd.solve(lambda t, y: -y, 1.0, [0.0, 100.0], rtol=1e-8, max_steps=5)
    assert caught.value.status == nd.Status.MAX_STEPS


@pytest.mark.parametrize(
    "change",
    [
        {"ts": [0.0, 2.0, 1.0]},
        {"ts": [0.0, np.nan, 1.0]},
        {"y0": np.nan},
        {"rtol": -1.0},
        {"rtol": np.inf},
        {"atol": np.nan},
        {"rtol": 0.0, "atol": 0.0},
    ],
)
def test_values_known_only_at_run_time_get_a_status(change):
    @jax.jit
    def run(y0, ts, rtol, atol):
        sol = nd.solve(lambda t, y: -y, y0, ts, rtol=rtol, atol=atol)
        return sol.ys, sol.status

    values = {"y0": 1.0, "ts": [0.0, 1.0, 2.0], "rtol": 1e-4, "atol": 1e-6} | change
    ys, status = run(*(jnp.asarray(values[name]) for name in ("y0", "ts", "rtol", "atol")))
    assert status == nd.Status.INVALID_INPUT
    assert jnp.isnan(ys[1:]).all()
