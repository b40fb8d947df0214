import jax
import jax.numpy as jnp
import numpy as np
import pytest

import neurode as nd
from neurode.nn import MLPField
from neurode.nn.vector_fields import ACTIVATIONS

KEY = jax.random.key(0)


@pytest.mark.parametrize("time_dependent", [False, True])
def test_it_is_the_network_it_says(time_dependent):
    field = MLPField(3, (5, 4), time_dependent=time_dependent, activation="softplus", key=KEY)
    y, t = jnp.array([0.3, -1.0, 2.0]), jnp.asarray(0.7)
    x = np.append(y, 0.7) if time_dependent else np.asarray(y)
    for layer in field.layers[:-1]:
        x = np.logaddexp(0, np.asarray(layer.weight) @ x + layer.bias)
    expected = field.layers[-1].weight @ x + field.layers[-1].bias
    np.testing.assert_allclose(field(t, y), expected, rtol=1e-5)


@pytest.mark.parametrize("time_dependent", [False, True])
def test_rows_are_independent(time_dependent):
    field = MLPField(2, time_dependent=time_dependent, key=KEY)
    rows = jax.random.normal(jax.random.key(1), (3, 4, 2))
    one_by_one = jax.vmap(jax.vmap(lambda y: field(0.5, y)))(rows)
    np.testing.assert_allclose(field(0.5, rows), one_by_one, rtol=1e-5, atol=1e-7)


def test_time_matters_only_if_asked_for():
    y = jnp.array([0.1, 0.2])
    autonomous, driven = (MLPField(2, time_dependent=flag, key=KEY) for flag in (False, True))
    np.testing.assert_array_equal(autonomous(0.0, y), autonomous(9.0, y))
    assert not np.allclose(driven(0.0, y), driven(9.0, y))


def test_output_scale_makes_a_calm_start():
    y = jnp.array([1.0, -1.0])
    loud, calm = (MLPField(2, output_scale=scale, key=KEY)(0.0, y) for scale in (1.0, 0.01))
    np.testing.assert_allclose(calm, 0.01 * loud, rtol=1e-5)


def test_solve_takes_it_and_differentiates_it():
    field = MLPField(2, (8,), key=KEY)

    def loss(field):
        return jnp.sum(nd.solve(field, jnp.ones(2), jnp.array([0.0, 1.0])).ys[-1] ** 2)

    gradient = jax.jit(jax.grad(loss))(field)
    assert all(np.any(layer.weight != 0) for layer in gradient.layers)


def test_activations_are_smooth():
    for name, activation in ACTIVATIONS.items():
        derivative = jax.vmap(jax.grad(activation))
        left, right = derivative(jnp.array([-1e-3, 1e-3]))
        assert abs(left - right) < 0.01, name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, "size must be made of positive whole numbers, got 0"),
        ({"size": 2, "hidden": (8, -1)}, "hidden must be made of positive whole numbers, got -1"),
        ({"size": 2, "activation": "step"}, "activation must be one of .*tanh, got 'step'"),
    ],
)
def test_mistakes_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLPField(**arguments, key=KEY)
