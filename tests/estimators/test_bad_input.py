"""What a user may get wrong is refused in one line that names it, before anything is compiled."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import neurode as nd
from estimators.odes import chain, decay
from neurode.data import DataError
from neurode.estimators import NeuralODE, SettingError

TS = np.arange(6.0)
YS = np.exp(-TS)
K = {"parameters": {"k": 1.0}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((TS, YS[:5]), r"ts has shape \(6,\) and ys \(5,\)"),
        ((TS,), "ys is missing"),
        ((TS[:1], YS[:1]), "has 1 time"),
        ((TS[::-1], YS), "sort the rows by time"),
        ((np.zeros(6), YS), "keep one row per time"),
        ((np.where(TS == 2, np.nan, TS), YS), "time 2 is nan"),
        ((TS, np.full(6, np.nan)), "no observed value|never observed"),
        ((TS, np.where(TS == 2, np.inf, YS)), "is infinite"),
        ((TS, ["a"] * 6), "must hold real numbers"),
        (([TS, TS], [YS]), "2 arrays of times but 1 arrays of values"),
        (([(TS, YS), (TS,)],), r"series 1 must be a pair"),
        (([(TS, YS), (TS, np.ones((6, 2)))],), "has 2 variables, the first one has 1"),
    ],
)
def test_data(arguments, message):
    with pytest.raises(DataError, match=message):
        NeuralODE(decay, **K).fit(*arguments)


def test_data_for_what_was_asked():
    with pytest.raises(DataError, match="needs positive values, but 'y0' is -1 at time 3"):
        NeuralODE(decay, **K, transform="log").fit(TS, np.where(TS == 3, -1, YS))
    with pytest.raises(DataError, match="'y0' is missing there in trajectory 0"):
        NeuralODE(decay, **K, initial="observed").fit(TS, np.where(TS == 0, np.nan, YS))
    with pytest.raises(DataError, match="2 observations cannot determine 1 parameters and 1 init"):
        NeuralODE(decay, **K).fit(TS[:2], YS[:2])
    with pytest.raises(DataError, match=r"1 variables but names=\['a', 'b'\]"):
        NeuralODE(decay, **K).fit(TS, YS, names=["a", "b"])
    with pytest.raises(DataError, match="give its column of times"):
        NeuralODE(decay, **K).fit(pd.DataFrame({"t": TS, "y": YS}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parameters": {}}, "parameters must be a dict of start values"),
        ({"parameters": {"k": "fast"}}, "'k' must start at a finite number, got 'fast'"),
        ({"parameters": {"k": np.nan}}, "'k' must start at a finite number, got nan"),
        ({"parameters": {"k": [1.0, 2.0]}}, "'k' must start at a single number"),
        ({"parameters": {"k 1": 1.0}}, "name must be a Python name, got 'k 1'"),
        ({**K, "positive": ["kk"]}, "positive names 'kk', which is not a parameter; there are k"),
        ({**K, "positive": "k"}, r"positive must be a list of names: \['k'\]"),
        ({**K, "bounds": {"c": (0, 1)}}, "bounds names 'c', which is not a parameter"),
        ({**K, "bounds": {"k": (1, 0)}}, "must be lower < upper"),
        ({**K, "bounds": {"k": 3}}, r"bounds of 'k' must be \(lower, upper\), got 3"),
        ({**K, "bounds": {"k": (2, 3)}}, "'k' starts at 1, but must lie between 2 and 3"),
        ({**K, "bounds": {"k": (1, None)}}, "'k' starts at 1, but must lie above 1"),
        ({**K, "bounds": {"k": (None, 0)}}, "'k' starts at 1, but must lie below 0"),
        ({**K, "positive": ["k"], "bounds": {"k": (0, 2)}}, "'k' is in positive and in bounds"),
        ({"parameters": {"k": 1.0, "c": 2.0}}, "parameter 'c' is not used by the ODE"),
        ({"parameters": {"q": 1.0}}, "asks for a parameter 'k', which is not among q"),
        ({}, "for an ODE you wrote, name its unknown parameters"),
        ({**K, "transform": "sqrt"}, "transform must be one of 'identity', 'log', got 'sqrt'"),
        ({**K, "initial": "guess"}, "initial must be one of"),
        ({**K, "noise": "none"}, "noise must be one of"),
        ({**K, "solver": nd.Tsit5}, r"solver must be an instance such as nd.Tsit5\(\)"),
        ({**K, "solver": nd.Euler()}, "has no error estimate"),
        ({**K, "gradient": "adjoint"}, "gradient must be an instance"),
        ({**K, "rtol": -1e-3}, "rtol must be a number of at least 0, got -0.001"),
        ({**K, "rtol": 0, "atol": 0}, "rtol and atol must not both be 0"),
        ({**K, "max_steps": 0}, "max_steps must be a whole number of at least 1, got 0"),
        ({**K, "max_iterations": 10**6}, "max_iterations must be at most 1000"),
    ],
)
def test_settings_of_an_ode(settings, message):
    with pytest.raises(SettingError, match=message):
        NeuralODE(decay, **settings).fit(TS, YS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"field": 3}, "field must be an equinox.Module"),
        ({"positive": ["k"]}, "there are none"),
        ({"bounds": {"k": (0, 1)}}, "there are none"),
        ({"hidden": 32}, "hidden must be a tuple of positive widths, got 32"),
        ({"hidden": (8, 0)}, "hidden must be a tuple of positive widths"),
        ({"activation": "step"}, "activation must be one of"),
        ({"steps": 2.5}, "steps must be a whole number of at least 1, got 2.5"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"curriculum": 1.5}, "at most 1, got 1.5"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"random_state": "lucky"}, "random_state must be a whole number, a typed JAX key"),
    ],
)
def test_settings_of_a_network(settings, message):
    with pytest.raises(SettingError, match=message):
        NeuralODE(**settings).fit(TS, YS)


@pytest.mark.parametrize(
    ("ode", "message"),
    [
        (lambda t, y, p: p.k, r"array of shape \(1,\).*returned one of shape \(\)"),
        (lambda t, y, p: [p.k, p.k], r"returned one of shape \(2,\)"),
        (lambda t, y, p: None, "it returned None"),
        (lambda t, y, p: "fast", "it returned 'fast'"),
    ],
)
def test_what_an_ode_must_return(ode, message):
    with pytest.raises(SettingError, match=message):
        NeuralODE(ode, **K).fit(TS, YS)


def test_an_ode_of_other_variables_than_the_data():
    with pytest.raises(SettingError, match=r"each of the 3 variables.*shape \(2,\)"):
        NeuralODE(chain, parameters={"a": 1.0, "b": 1.0}).fit(TS, np.ones((6, 3)))


def test_start_values_at_which_nothing_can_be_solved():
    def explosion(t, y, p):
        return p.k * y**2

    with pytest.raises(nd.SolveError, match=r"at the start values \(k=9\) trajectory 0 cannot"):
        NeuralODE(explosion, parameters={"k": 9.0}).fit(TS, YS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3.0, 2.0],), "2 comes after 3: sort them"),
        (([1.0, np.nan],), "time 1 is nan"),
        (([],), "at least one number"),
        ((["soon"],), "times must be numbers"),
        (([1.0], [1.0, 2.0]), r"y0 must be a state of 1 values \(animals\)"),
        (([1.0], [np.nan]), "y0 holds NaN"),
        (([1.0], "high"), "y0 must be numbers"),
        (([[1.0], [2.0]],), "2 arrays of times for 1 fitted trajectories"),
        ((np.zeros((2, 3, 4)),), "times must be"),
    ],
)
def test_predictions(grown, arguments, message):
    *_, model = grown
    with pytest.raises(DataError, match=message):
        model.predict(*arguments)


def test_a_module_that_returns_a_list():
    class Listed(eqx.Module):
        weight: jax.Array

        def __call__(self, t, y):
            return [self.weight * y[0]]

    with pytest.raises(SettingError, match="wrap it in jnp.stack"):
        NeuralODE(Listed(jnp.ones(()))).fit(TS, YS)
