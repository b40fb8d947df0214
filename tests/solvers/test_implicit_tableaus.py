"""Coefficients of implicit and symplectic methods against their order conditions, not by eye."""

import itertools
import math

import numpy as np
import pytest

from neurode.solvers.bdf import _ALPHA, _ERROR, _GAMMA, _KAPPA, HIGHEST_ORDER
from neurode.solvers.tableaus import radau
from neurode.solvers.tableaus.esdirk import KENCARP4, KVAERNO3, KVAERNO5
from neurode.solvers.tableaus.rosenbrock import RODAS5P, ROSENBROCK23
from neurode.solvers.tableaus.symplectic import FOREST_RUTH, LEAPFROG, RUTH3, YOSHIDA6
from solvers.test_tableaus import THETAS, defects, gamma, holds, stage_weights, trees

ESDIRK = {"KVAERNO3": KVAERNO3, "KVAERNO5": KVAERNO5, "KENCARP4": KENCARP4}
ROSENBROCK = {"ROSENBROCK23": ROSENBROCK23, "RODAS5P": RODAS5P}


def square(rows, diagonal=0.0):
    found = np.diag(np.full(len(rows), diagonal))
    for i, row in enumerate(rows):
        found[i, : len(row)] = row
    return found


def dense_weights(tableau, theta):
    dense = np.array(tableau.dense)
    return dense @ theta ** np.arange(1, dense.shape[1] + 1)


@pytest.mark.parametrize("name", ESDIRK)
def test_esdirk_methods(name):
    tableau = ESDIRK[name]
    a = square(tableau.a, tableau.gamma)
    a[0, 0] = 0
    b, c = np.array(tableau.b), np.array(tableau.c)
    u = stage_weights(a, c, tableau.order + 1)
    np.testing.assert_allclose(a.sum(axis=1), c, atol=1e-14)
    assert holds(b, u, tableau.order, tolerance=1e-12)
    assert defects(b, u, tableau.order + 1).max() > 1e-3
    embedded = b - np.array(tableau.b_error)
    assert holds(embedded, u, tableau.embedded_order, tolerance=1e-12)
    assert defects(embedded, u, tableau.embedded_order + 1).max() > 1e-4
    for theta in THETAS:
        assert holds(dense_weights(tableau, theta), u, tableau.dense_order, theta, 1e-11)
    # Stiffly accurate, and L-stable: R(z) = 1 + z b (I - z a)^-1 1 vanishes at infinity.
    z = -1e8
    damping = 1 + z * b @ np.linalg.solve(np.eye(len(c)) - z * a, np.ones(len(c)))
    assert abs(damping) < 1e-5


def test_the_explicit_half_of_kencarp4():
    explicit, c = square(KENCARP4.explicit), np.array(KENCARP4.c)
    b = np.array(KENCARP4.b)
    u = stage_weights(explicit, c, 5)
    assert holds(b, u, 4, tolerance=1e-12)
    # Both halves in one condition: trees whose branches are of either kind.
    implicit = square(KENCARP4.a, KENCARP4.gamma)
    implicit[0, 0] = 0
    for first, second in itertools.product((explicit, implicit), repeat=2):
        assert b @ first @ second @ c == pytest.approx(1 / 24, abs=1e-12)
        assert b @ ((first @ c) * c) == pytest.approx(1 / 8, abs=1e-12)
        assert b @ first @ c**2 == pytest.approx(1 / 12, abs=1e-12)


def test_radau():
    a, b, c = radau.A, radau.A[-1], radau.C
    u = stage_weights(a, c, 6)
    np.testing.assert_allclose(a.sum(axis=1), c, atol=1e-15)
    assert holds(b, u, 5, tolerance=1e-13)
    assert defects(b, u, 6).max() > 1e-4
    for theta in THETAS:
        # Collocation: the weights of the parabola's integral, exact for polynomials of degree 2.
        assert holds(theta ** np.arange(1, 4) @ radau.DENSE, u, 3, theta, 1e-13)
    np.testing.assert_allclose(c[:, None] ** np.arange(3) @ radau.SLOPE, np.eye(3), atol=1e-14)
    # One real and one complex system are the three coupled ones.
    re, im = radau.PAIR.real, radau.PAIR.imag
    modes = np.array([[radau.REAL, 0, 0], [0, re, -im], [0, im, re]])
    np.testing.assert_allclose(radau.FROM_MODES @ modes @ radau.TO_MODES, a, atol=1e-15)
    # The comparison solution has a stage more, f(t, y), and order 3.
    wide = np.pad(a, ((1, 0), (1, 0)))
    embedded = np.concatenate([[radau.START_ERROR], b + radau.ERROR])
    u = stage_weights(wide, np.concatenate([[0.0], c]), 4)
    assert holds(embedded, u, 3, tolerance=1e-13)
    assert defects(embedded, u, 4).max() > 1e-3


def rosenbrock_weights(alpha, beta, order):
    """As `stage_weights`, for Hairer & Wanner (1996), IV.7: a branch that is single passes beta."""
    u = {}
    for tree in itertools.chain.from_iterable(trees(n) for n in range(1, order + 1)):
        if len(tree) == 1:
            u[tree] = beta @ u[tree[0]]
        else:
            u[tree] = np.prod([alpha @ u[branch] for branch in tree], axis=0)
            if not tree:
                u[tree] = np.ones(len(alpha))
    return u


@pytest.mark.parametrize("name", ROSENBROCK)
def test_rosenbrock_methods(name):
    tableau = ROSENBROCK[name]
    stages = len(tableau.b)
    # Back from the form without products to alpha_ij and gamma_ij.
    inverse = np.eye(stages) / tableau.gamma - square(tableau.coupling)
    full = np.linalg.inv(inverse)
    alpha = square(tableau.a) @ full
    b, error = np.array(tableau.b) @ full, np.array(tableau.b_error) @ full
    np.testing.assert_allclose(alpha.sum(axis=1), tableau.c, atol=1e-12)
    np.testing.assert_allclose(full.sum(axis=1), tableau.d, atol=1e-12)
    beta = alpha + full
    u = rosenbrock_weights(alpha, beta, tableau.order + 1)
    assert holds(b, u, tableau.order, tolerance=1e-10)
    assert defects(b, u, tableau.order + 1).max() > 1e-4
    assert holds(b - error, u, min(tableau.embedded_order, tableau.order), tolerance=1e-10)
    for theta in THETAS:
        weights = dense_weights(tableau, theta) @ full
        assert holds(weights, u, tableau.dense_order, theta, 1e-9)
    z = -1e8
    damping = 1 + z * b @ np.linalg.solve(np.eye(stages) - z * beta, np.ones(stages))
    assert abs(damping) < 1e-5


@pytest.mark.parametrize("composition", [LEAPFROG, RUTH3, FOREST_RUTH, YOSHIDA6])
def test_symplectic_compositions(composition):
    """On the harmonic oscillator each is a matrix: a rotation, up to its order."""

    def matrix(h):
        found = np.eye(2)
        for drift, kick in zip(composition.drifts, composition.kicks, strict=True):
            found = np.array([[1, drift * h], [0, 1]]) @ found
            found = np.array([[1, 0], [-kick * h, 1]]) @ found
        return found

    errors = []
    for h in (0.2, 0.1):
        rotation = np.array([[np.cos(h), np.sin(h)], [-np.sin(h), np.cos(h)]])
        errors.append(np.abs(matrix(h) - rotation).max())
        assert np.linalg.det(matrix(h)) == pytest.approx(1, abs=1e-13)
    assert math.log2(errors[0] / errors[1]) > composition.order + 0.7


def test_differentiation_formulas():
    """Orders 1 to 5: exact for polynomials; the error constant is that of the next power."""
    for q in range(1, HIGHEST_ORDER + 1):
        # (1 - kappa) gamma_q (y1 - predicted) + sum_j gamma_j D_j = h f, at t1 = 0 with h = 1.
        nodes = -np.arange(0, q + 2)
        for degree in range(q + 2):
            values = nodes.astype(float) ** degree
            differences = [np.diff(values[: j + 1][::-1], j)[0] for j in range(q + 2)]
            before = [np.diff(values[1 : j + 2][::-1], j)[0] for j in range(q + 1)]
            predicted = sum(before)
            left = _ALPHA[q] * (values[0] - predicted) + sum(
                g * d for g, d in zip(_GAMMA[1 : q + 1], before[1:], strict=True)
            )
            slope = float(degree == 1)
            if degree <= q:
                assert left == pytest.approx(slope, abs=1e-12)
            else:
                defect = (left - slope) / _ALPHA[q] / differences[q + 1]
                expected = _ERROR[q] / _ALPHA[q]
                assert -defect == pytest.approx(expected, abs=1e-12)
    assert gamma(()) == 1
    assert _KAPPA[0] == 0
