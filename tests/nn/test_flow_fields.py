"""The fields of flows: what they compute, and divergences against the Jacobian's trace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neurode.nn import ConcatSquashField, ExactTrace, Hutchinson, MLPField, PlanarField

KEY = jax.random.key(0)
FIELDS = {
    "planar": lambda context: PlanarField(3, 5, hyper=(4,), context=context, key=KEY),
    "concatsquash": lambda context: ConcatSquashField(3, (6,), context=context, key=KEY),
}


def rows(n, d, seed=1):
    return jax.random.normal(jax.random.key(seed), (n, d))


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("name", FIELDS)
def test_the_exact_divergence_is_the_trace_of_the_jacobian(name, context):
    field, z, t = FIELDS[name](context), rows(4, 3), 0.3
    given = (rows(4, context),) if context else ()
    dz, divergence = ExactTrace()(field, t, z, None, *given)
    for i in range(4):
        own = tuple(c[i] for c in given)
        jacobian = jax.jacfwd(lambda z: field(t, z, *own))(z[i])  # noqa: B023
        np.testing.assert_allclose(divergence[i], jnp.trace(jacobian), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(dz[i], field(t, z[i], *own), rtol=1e-4, atol=1e-6)


def test_the_planar_field_is_the_sum_of_the_paper():
    field, z, t = FIELDS["planar"](0), rows(1, 3)[0], 0.7
    w, u, b = field.weights(jnp.asarray(t))
    expected = sum(u[m] * jnp.tanh(w[m] @ z + b[m]) for m in range(5))
    np.testing.assert_allclose(field(t, z), expected, rtol=1e-5)


@pytest.mark.parametrize("noise", ["rademacher", "gaussian"])
def test_hutchinson_is_unbiased_and_fixed_by_its_noise(noise):
    field, trace = MLPField(3, (6,), output_scale=1.0, key=KEY), Hutchinson(noise)
    z = jnp.broadcast_to(rows(1, 3), (20_000, 3))
    e = trace.draw(z, jax.random.key(2))
    dz, estimates = trace(field, 0.0, z, e)
    exact = ExactTrace()(field, 0.0, z[:1], None)[1]
    error = estimates.std() / len(z) ** 0.5
    assert abs(estimates.mean() - exact[0]) < 4 * error
    np.testing.assert_array_equal(trace(field, 0.0, z, e)[1], estimates)
    np.testing.assert_allclose(dz, field(0.0, z), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PlanarField(0, key=KEY), "size must be made of positive whole numbers, got 0"),
        (lambda: PlanarField(2, 1.5, key=KEY), "width must be made of positive"),
        (lambda: ConcatSquashField(2, (0,), key=KEY), "hidden must be made of positive"),
        (lambda: ConcatSquashField(2, activation="relu", key=KEY), "activation must be one of"),
        (lambda: Hutchinson("uniform"), "noise must be 'rademacher' or 'gaussian'"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
