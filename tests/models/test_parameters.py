import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurode.models import Parameters, ParameterSpace, UnknownParameter

BOUNDS = {"a": (0.0, np.inf), "b": (-1.0, 3.0), "c": (-np.inf, 2.0)}
START = {"a": 0.5, "b": 0.1, "c": -4.0, "d": -20.0}


@pytest.fixture
def space(x64):
    return ParameterSpace.around(START, BOUNDS)


def test_free_numbers_and_values_are_one_to_one(space):
    values = list(START.values())
    np.testing.assert_allclose(space.values(jnp.asarray(space.free(values))), values, rtol=1e-12)


@given(st.lists(st.floats(-12, 12), min_size=4, max_size=4))
def test_every_free_number_gives_allowed_values(free):
    with jax.enable_x64(True):
        values = np.asarray(ParameterSpace.around(START, BOUNDS).values(jnp.asarray(free)))
    assert values[0] > 0
    assert -1 < values[1] < 3
    assert values[2] < 2
    assert values[3] == pytest.approx(20 * free[3])


def test_values_by_name():
    p = Parameters(alpha=1.0, beta=2.0)
    assert p.alpha == p["alpha"] == 1.0
    with pytest.raises(UnknownParameter, match="asks for a parameter 'gamma'.*alpha, beta"):
        _ = p.gamma
    with pytest.raises(UnknownParameter, match="asks for a parameter 'gamma'"):
        _ = p["gamma"]


def test_they_are_a_pytree_and_can_be_copied():
    p = Parameters(b=1.0, a=2.0)
    doubled = jax.tree.map(lambda x: 2 * x, p)
    assert type(doubled) is Parameters
    assert doubled == {"b": 2.0, "a": 4.0}
    assert copy.deepcopy(p) == pickle.loads(pickle.dumps(p)) == p
