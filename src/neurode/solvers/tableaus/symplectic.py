"""Coefficients of symplectic compositions: drifts of q and kicks of p, in turn."""

import math
from dataclasses import dataclass

Row = tuple[float, ...]


@dataclass(frozen=True)
class Composition:
    """drift c_1, kick d_1, drift c_2, kick d_2, ..., in units of the step size.

    Attributes:
        drifts: the c_i.
        kicks: the d_i.
        order: the order of convergence.
    """

    drifts: Row
    kicks: Row
    order: int

    def __post_init__(self) -> None:
        if len(self.drifts) != len(self.kicks):
            raise ValueError(f"{len(self.drifts)} drifts, but {len(self.kicks)} kicks")
        for name in ("drifts", "kicks"):
            if not math.isclose(math.fsum(getattr(self, name)), 1.0, rel_tol=1e-14):
                raise ValueError(f"{name} must sum to 1, got {math.fsum(getattr(self, name))}")


def leapfrogs(weights: Row, order: int) -> Composition:
    """Leapfrogs (drift half, kick, drift half) of these sizes, neighbouring drifts joined."""
    joined = [(a + b) / 2 for a, b in zip(weights, weights[1:], strict=False)]
    drifts = (weights[0] / 2, *joined, weights[-1] / 2)
    return Composition(drifts, (*weights, 0.0), order)


LEAPFROG = leapfrogs((1.0,), 2)

# Ruth (1983), "A canonical integration technique", IEEE Trans. Nucl. Sci. 30:2669-2671.
RUTH3 = Composition((1.0, -2 / 3, 2 / 3), (-1 / 24, 3 / 4, 7 / 24), 3)

# Forest & Ruth (1990), "Fourth-order symplectic integration", Physica D 43:105-117;
# Yoshida (1990), "Construction of higher order symplectic integrators", Phys. Lett. A 150:262-268.
_OUTER = 1 / (2 - 2 ** (1 / 3))
FOREST_RUTH = leapfrogs((_OUTER, 1 - 2 * _OUTER, _OUTER), 4)

# Yoshida (1990), table 1, solution A.
_W1, _W2, _W3 = -1.17767998417887, 0.235573213359357, 0.784513610477560
_W0 = 1 - 2 * (_W1 + _W2 + _W3)
YOSHIDA6 = leapfrogs((_W3, _W2, _W1, _W0, _W1, _W2, _W3), 6)
