"""Rows travel together, and neither harm each other nor hide behind each other."""

import jax.numpy as jnp
import numpy as np
import pytest

from neurode import SolveError
from neurode.estimators.carrying import carry
from neurode.models import Flow, SolveOptions
from neurode.nn import Hutchinson

OPTIONS = SolveOptions(rtol=1e-6, atol=1e-6, max_steps=256)


def swirl(t, z):
    """No number beyond 100, faster the farther out."""
    x, y = z[..., 0], z[..., 1]
    turned = jnp.stack([-y, x], axis=-1) * (1 + jnp.sum(z**2, axis=-1, keepdims=True)) ** 0.5
    return jnp.where(jnp.abs(x)[..., None] > 100, jnp.nan, turned - z)


def test_the_company_changes_a_row_by_no_more_than_the_tolerance():
    rows = np.array([[0.1, 0.2], [1.0, -1.0], [3.0, 5.0]])
    together = carry(Flow(swirl), rows, (0.0, 1.0), OPTIONS, "float32")
    for i in range(2):
        alone = carry(Flow(swirl), rows[i : i + 1], (0.0, 1.0), OPTIONS, "float32")
        np.testing.assert_allclose(together.z[i], alone.z[0], atol=2e-5)
        np.testing.assert_allclose(together.change[i], alone.change[0], atol=2e-5)


def test_a_row_that_cannot_go_is_named_and_no_other():
    rows = np.array([[0.1, 0.2], [300.0, 0.0], [1.0, -1.0]])
    with pytest.raises(SolveError, match=r"^row 1 could not be carried"):
        carry(Flow(swirl), rows, (0.0, 1.0), OPTIONS, "float32")


def test_an_estimated_trace_is_that_of_the_row_whoever_goes_along():
    rows = np.array([[0.1, 0.2], [1.0, -1.0]])
    how = {"trace": Hutchinson()}
    both = carry(Flow(swirl), rows, (0.0, 1.0), OPTIONS, "float32", **how)
    first = carry(Flow(swirl), rows[:1], (0.0, 1.0), OPTIONS, "float32", **how)
    np.testing.assert_allclose(both.change[0], first.change[0], atol=2e-5)
