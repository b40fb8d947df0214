"""Known densities: they integrate to one, and samples follow them."""

import math

import jax
import numpy as np
import pytest

from neurode.data import ENERGIES, old_faithful, two_circles, two_moons


@pytest.mark.parametrize("arcs", [two_moons(), two_circles()], ids=["moons", "circles"])
def test_arcs(arcs):
    side = np.arange(-1.8, 2.6, 0.04)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    mass = np.exp(arcs.log_prob(grid)).sum() * 0.04**2
    assert mass == pytest.approx(1, abs=1e-6)
    x = np.asarray(arcs.sample(jax.random.key(0), 4000))
    log_p = arcs.log_prob(x)
    # Samples of another density would have a larger cross entropy, or a smaller one by chance only.
    assert abs(-log_p.mean() - arcs.entropy(0.04)) < 4 * log_p.std() / len(x) ** 0.5


def test_entropy_of_a_thin_circle():
    """Far from its middle, a blurred circle of radius 1 is a uniform angle and a normal radius."""
    arcs = two_circles(noise=0.02, factor=0.5)
    radii = np.array([1.0, 0.5])
    normal = 0.5 * math.log(2 * math.pi * math.e * 0.02**2)
    expected = math.log(2) + np.mean(np.log(2 * math.pi * radii)) + normal
    assert arcs.entropy(0.01) == pytest.approx(expected, abs=1e-3)


def test_normalisers_of_the_energies():
    """U1 against the published plane integral; the walls of U2 and U3 hold what the box holds."""
    found = [math.exp(energy.log_normaliser(count=801)) for energy in ENERGIES]
    assert found[0] == pytest.approx(6.5372, abs=1e-3)
    # On [-4, 4]² they are 8.0212 and 14.0371; the walls' slopes add a half normal of sd 0.2 a side.
    slope = 0.2 * math.sqrt(2 * math.pi)
    assert found[1] == pytest.approx(8.0212 * (8 + slope) / 8, rel=2e-3)
    assert found[2] == pytest.approx(14.0371 * (8 + slope) / 8, rel=1e-2)


def test_old_faithful():
    rows = old_faithful()
    assert rows.names == ("eruption", "waiting")
    assert rows.values.shape == (272, 2)
    np.testing.assert_allclose(rows.values[0], [3.6, 79])
    np.testing.assert_allclose(rows.values.mean(axis=0), [3.4878, 70.897], atol=1e-3)
