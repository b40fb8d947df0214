"""Coefficients of Radau IIA of order 5: collocation at the three Radau points, the last of them 1.

Hairer & Wanner (1996), "Solving Ordinary Differential Equations II", IV.5 (table 5.6) and IV.8.
With s = sqrt(6), k_i = f(t + c_i h, y + h sum_j a_ij k_j), and y1 is the last stage's argument.
"""

import numpy as np

_S = 6**0.5

C = np.array([(4 - _S) / 10, (4 + _S) / 10, 1.0])

A = np.array(
    [
        [(88 - 7 * _S) / 360, (296 - 169 * _S) / 1800, (-2 + 3 * _S) / 225],
        [(296 + 169 * _S) / 1800, (88 + 7 * _S) / 360, (-2 - 3 * _S) / 225],
        [(16 - _S) / 36, (16 + _S) / 36, 1 / 9],
    ]
)

# A is equal to FROM_MODES diag(REAL, PAIR) TO_MODES, where PAIR acts on the last two modes as on
# the real and the imaginary part of one complex number: its three coupled stages are one real and
# one complex system (IV.8). The vectors are those of the code RADAU5.
REAL = 1 / (3 + 3 ** (2 / 3) - 3 ** (1 / 3))
PAIR = 1 / complex(
    3 + (3 ** (1 / 3) - 3 ** (2 / 3)) / 2,
    -(3 ** (5 / 6) + 3 ** (7 / 6)) / 2,
)
FROM_MODES = np.array(
    [
        [0.09443876248897524, -0.14125529502095421, 0.03002919410514742],
        [0.25021312296533332, 0.20412935229379994, -0.38294211275726192],
        [1.0, 1.0, 0.0],
    ]
)
TO_MODES = np.array(
    [
        [4.17871859155190428, 0.32768282076106237, 0.52337644549944951],
        [-4.17871859155190428, -0.32768282076106237, 0.47662355450055044],
        [0.50287263494578682, -2.57192694985560522, 0.59603920482822492],
    ]
)

START_ERROR = REAL
ERROR = REAL * np.array([(-2 - 3 * _S) / 6, (-2 + 3 * _S) / 6, -1 / 3])
"""The error estimate of eq. 8.19, h (START_ERROR f(t, y) + sum_i ERROR_i k_i), which is O(h^4).

The book writes it in the increments z = h A k.
"""


def _lagrange() -> np.ndarray:
    """Row m has, for each stage, the coefficient of theta^m in its Lagrange polynomial."""
    columns = []
    for i, node in enumerate(C):
        others = np.delete(C, i)
        basis = np.polynomial.Polynomial.fromroots(others) / np.prod(node - others)
        columns.append(basis.coef)
    return np.stack(columns, axis=1)


SLOPE = _lagrange()
"""Of the slope at t + theta h: sum_m theta^m (SLOPE_m . k), the parabola through the stages."""

DENSE = SLOPE / np.array([[1.0], [2.0], [3.0]])
"""Of its integral, the collocation polynomial: y + theta h sum_m theta^m (DENSE_m . k)."""
