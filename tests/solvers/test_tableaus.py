"""Every tableau against the order conditions of rooted trees, not by eye.

A method has order p exactly when sum_i b_i u_i(t) = 1 / gamma(t) for every rooted tree t with at
most p nodes (Butcher; Hairer, Norsett & Wanner, Solving ODEs I, II.2). The same conditions with
theta^|t| / gamma(t) on the right hold for dense output.
"""

import dataclasses
import functools
import itertools
import math

import numpy as np
import pytest

from neurode.solvers import tableaus
from neurode.solvers.tableau import ButcherTableau, hermite_dense, linear_dense

TABLEAUS = {name: getattr(tableaus, name) for name in tableaus.__all__}
ORDERS = {  # the order in each name, and of its comparison solution
    "BOSH3": (3, 2),
    "CASH_KARP": (5, 4),
    "DOPRI5": (5, 4),
    "DOPRI8": (8, 5),
    "EULER": (1, None),
    "FEHLBERG45": (4, 5),
    "HEUN": (2, 1),
    "HEUN_EULER": (2, 1),
    "MIDPOINT": (2, 1),
    "RALSTON": (2, 1),
    "RK38": (4, 2),
    "RK4": (4, 2),
    "TSIT5": (5, 4),
}
TOLERANCE = 1e-13  # relative to 1 / gamma(t)
DENSE_TOLERANCE = 1e-12  # entries of dense reach 545 and cancel, so their rounding shows
VIOLATED = 1e-4  # a condition of the next order fails by at least this much
THETAS = (0.1, 0.37, 0.5, 0.83, 1.0)
LEAF: tuple = ()

every_tableau = pytest.mark.parametrize("name", sorted(TABLEAUS))
from_order_2 = pytest.mark.parametrize("name", sorted(set(TABLEAUS) - {"EULER"}))
from_order_3 = pytest.mark.parametrize("name", sorted(n for n, p in ORDERS.items() if p[0] >= 3))


@functools.cache
def trees(order):
    """All rooted trees with this many nodes; a tree is the sorted tuple of its root's branches."""
    if order == 1:
        return (LEAF,)
    found = set()
    for size in range(1, order):
        # Graft a branch of `size` nodes to the root of a tree with the other nodes.
        for branch, stem in itertools.product(trees(size), trees(order - size)):
            found.add(tuple(sorted((*stem, branch))))
    return tuple(sorted(found))


@functools.cache
def nodes(tree):
    return 1 + sum(nodes(branch) for branch in tree)


@functools.cache
def gamma(tree):
    return nodes(tree) * math.prod(gamma(branch) for branch in tree)


def stage_weights(a, c, order):
    """u_i(t) = prod over branches s of sum_j a_ij u_j(s), for every tree up to this order."""
    u, au = {}, {}
    for tree in itertools.chain.from_iterable(trees(n) for n in range(1, order + 1)):
        u[tree] = np.prod([au[branch] for branch in tree], axis=0) if tree else np.ones(len(c))
        au[tree] = a @ u[tree] if tree else c
    return u


def defects(weights, u, order, theta=1.0):
    """|weights . u(t) gamma(t) - theta^order| for the trees of one order."""
    return np.array([abs(weights @ u[t] * gamma(t) - theta**order) for t in trees(order)])


def holds(weights, u, order, theta=1.0, tolerance=TOLERANCE):
    """Whether all conditions up to this order hold."""
    return all((defects(weights, u, n, theta) <= tolerance).all() for n in range(1, order + 1))


def arrays(tableau):
    """The coefficients as writable arrays, extra stages of dense output included."""
    rows = tableau.a + tableau.dense_a
    a = np.zeros((len(rows), len(rows)))
    for i, row in enumerate(rows):
        a[i, : len(row)] = row
    found = {
        "a": a,
        "b": np.array(tableau.b + (0.0,) * len(tableau.dense_a)),
        "c": np.array(tableau.c + tableau.dense_c),
        "dense": np.array(tableau.dense),
    }
    for error in ("b_error", "b_error_low"):
        if getattr(tableau, error) is not None:
            found[error] = np.array(getattr(tableau, error) + (0.0,) * len(tableau.dense_a))
    return found


def interpolant_weights(coefficients, theta):
    dense = coefficients["dense"]
    return dense @ theta ** np.arange(1, dense.shape[1] + 1)


def satisfies(coefficients, tableau):
    """Whether these coefficients have all the orders that the tableau states."""
    a, b, c = coefficients["a"], coefficients["b"], coefficients["c"]
    u = stage_weights(a, c, max(tableau.order, tableau.embedded_order or 0))
    checks = [np.abs(a.sum(axis=1) - c).max() <= TOLERANCE, holds(b, u, tableau.order)]
    if "b_error" in coefficients:
        checks.append(holds(b - coefficients["b_error"], u, tableau.embedded_order))
    if "b_error_low" in coefficients:
        checks.append(holds(b - coefficients["b_error_low"], u, tableau.embedded_order_low))
    for theta in THETAS:
        weights = interpolant_weights(coefficients, theta)
        checks.append(holds(weights, u, tableau.dense_order, theta, DENSE_TOLERANCE))
    return all(checks)


def test_number_of_trees():
    # OEIS A000081.
    assert [len(trees(n)) for n in range(1, 10)] == [1, 1, 2, 4, 9, 20, 48, 115, 286]


@every_tableau
def test_stated_orders_are_those_of_the_name(name):
    tableau = TABLEAUS[name]
    assert (tableau.order, tableau.embedded_order) == ORDERS[name]


@every_tableau
def test_order_conditions(name):
    assert satisfies(arrays(TABLEAUS[name]), TABLEAUS[name])


@every_tableau
def test_solution_has_no_higher_order(name):
    tableau, coefficients = TABLEAUS[name], arrays(TABLEAUS[name])
    u = stage_weights(coefficients["a"], coefficients["c"], tableau.order + 1)
    assert defects(coefficients["b"], u, tableau.order + 1).max() > VIOLATED


def test_euler_has_no_error_estimate():
    assert TABLEAUS["EULER"].b_error is None
    assert TABLEAUS["EULER"].error_order is None


@from_order_2
def test_embedded_solutions_have_no_higher_order(name):
    tableau, coefficients = TABLEAUS[name], arrays(TABLEAUS[name])
    u = stage_weights(coefficients["a"], coefficients["c"], tableau.embedded_order + 1)
    b_hat = coefficients["b"] - coefficients["b_error"]
    assert defects(b_hat, u, tableau.embedded_order + 1).max() > VIOLATED
    if tableau.b_error_low is not None:
        b_hat = coefficients["b"] - coefficients["b_error_low"]
        assert defects(b_hat, u, tableau.embedded_order_low + 1).max() > VIOLATED


@every_tableau
def test_interpolant_has_no_higher_order_but_enough(name):
    tableau, coefficients = TABLEAUS[name], arrays(TABLEAUS[name])
    order = tableau.dense_order
    u = stage_weights(coefficients["a"], coefficients["c"], order + 1)
    worst = max(
        defects(interpolant_weights(coefficients, theta), u, order + 1, theta).max()
        for theta in THETAS
    )
    assert worst > VIOLATED
    # A local error of O(h^p) at save times keeps the method's global order p.
    assert order >= tableau.order - 1


@from_order_2  # Euler's interpolant is a straight line
def test_interpolant_is_smooth_from_step_to_step(name):
    tableau = TABLEAUS[name]
    dense = np.array(tableau.dense)
    np.testing.assert_allclose(dense[:, 0], np.eye(len(dense))[0], atol=0)
    if tableau.order >= 3:
        slopes = dense @ np.arange(1, dense.shape[1] + 1)
        end = next(i for i, c in enumerate(rows_equal_to_b(tableau)) if c)
        np.testing.assert_allclose(slopes, np.eye(len(dense))[end], atol=1e-12)


def rows_equal_to_b(tableau):
    """For every stage, whether it is f(t + h, y1)."""
    b = [weight for weight in tableau.b if weight]
    return [[x for x in row if x] == b for row in tableau.a + tableau.dense_a]


@every_tableau
def test_first_same_as_last(name):
    tableau = TABLEAUS[name]
    assert tableau.fsal == any(rows_equal_to_b(tableau)[: tableau.stages])


@every_tableau
def test_fixed_steps_cost_what_textbooks_say(name):
    tableau = TABLEAUS[name]
    fewest = {1: 1, 2: 2, 3: 3, 4: 6 if name == "FEHLBERG45" else 4, 5: 6, 8: 12}
    assert tableau.stages - tableau.fsal == fewest[tableau.order]


@pytest.mark.parametrize(("name", "power"), [("RK4", 3), ("FEHLBERG45", 5), ("DOPRI8", 8)])
def test_error_estimate_shrinks_with_its_order(name, power):
    assert TABLEAUS[name].error_order + 1 == power


@every_tableau
def test_a_broken_coefficient_is_found(name):
    tableau = TABLEAUS[name]
    entries = [
        (key, index)
        for key, array in arrays(tableau).items()
        for index in np.ndindex(array.shape)
        if key != "a" or index[1] < index[0]
    ]
    for key, index in entries:
        broken = arrays(tableau)
        broken[key][index] += 1e-6
        assert not satisfies(broken, tableau), f"{key}{list(index)} may be wrong unseen"


@from_order_3  # below, the only row has one entry
def test_a_broken_row_with_the_right_sum_is_found(name):
    tableau = TABLEAUS[name]
    nodes_of = tableau.c + tableau.dense_c
    for i in range(2, len(tableau.dense)):
        for j in range(i - 1):
            if nodes_of[j] == nodes_of[j + 1]:
                continue  # at these orders two stages at one time may be exchanged
            broken = arrays(tableau)
            broken["a"][i, j] += 1e-6
            broken["a"][i, j + 1] -= 1e-6
            assert not satisfies(broken, tableau), f"a[{i}][{j}] may be wrong unseen"


@every_tableau
def test_tableaus_are_plain_hashable_data(name):
    tableau = TABLEAUS[name]
    assert hash(tableau) == hash(dataclasses.replace(tableau))
    assert tableau == dataclasses.replace(tableau)
    flat = [*itertools.chain.from_iterable(tableau.a), *tableau.b, *tableau.c]
    assert {type(value) for value in flat} == {float}


def heun(**changes):
    """Heun's method with an FSAL stage, or what the changes make of it."""
    b = (0.5, 0.5, 0.0)
    good = {
        "a": ((), (1.0,), (0.5, 0.5)),
        "b": b,
        "c": (0.0, 1.0, 1.0),
        "order": 2,
        "b_error": (-0.5, 0.5, 0.0),
        "embedded_order": 1,
        "fsal": True,
        "dense": hermite_dense(b, end=2),
        "dense_order": 2,
    }
    return ButcherTableau(**(good | changes))


def test_the_example_below_is_good():
    assert heun().stages == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": ((), (0.9,), (0.5, 0.5))}, r"row 1 of a .* sums to 0.9; it must equal c\[1\] = 1"),
        ({"a": ((), (math.nan,), (0.5, 0.5))}, r"row 1 of a .* sums to nan"),
        ({"a": ((), (1.0,), (0.5, 0.5, 0.0))}, "row 2 of a has 2 entries; this one has 3"),
        ({"a": ((), (1.0,))}, "a has 2 entries; it needs 3"),
        ({"a": (), "c": ()}, "at least one stage"),
        ({"b": (0.5, 0.4, 0.0)}, "b sums to 0.9"),
        ({"b_error": (-0.5, 0.4, 0.0)}, "b_error sums to"),
        ({"b_error": (-0.5, 0.5)}, "b_error has 2 entries; it needs 3"),
        ({"b_error": None}, "b_error and embedded_order together"),
        ({"b_error_low": (-0.5, 0.5, 0.0)}, "b_error_low and embedded_order_low together"),
        (
            {
                "b_error": None,
                "embedded_order": None,
                "b_error_low": (-0.5, 0.5, 0.0),
                "embedded_order_low": 1,
            },
            "give b_error too",
        ),
        ({"dense": linear_dense((0.5, 0.4, 0.1))}, "row 1 of dense .* must end in y1"),
        ({"dense": linear_dense((0.5, 0.5))}, "dense has 2 entries"),
        ({"dense": ((0.5,), (0.25, 0.25), (0.0,))}, "row 1 has 2"),
        ({"dense": ((), (), ())}, "needs 1 powers of theta"),
        ({"dense_c": (0.5,)}, "dense_a has 0 entries; it needs 1"),
        ({"a": ((), (1.0,), (0.25, 0.75))}, "fsal=True needs a last stage"),
    ],
)
def test_coefficients_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        heun(**changes)
