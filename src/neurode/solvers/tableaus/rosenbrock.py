"""Coefficients of Rosenbrock methods, in the form that needs no product with the Jacobian.

With W = I - h gamma J a step is, for i = 1 ... s (Hairer & Wanner 1996, "Solving Ordinary
Differential Equations II", IV.7, eq. 7.25, with v_i = u_i / h),

    W v_i = gamma (f(t + c_i h, y + h sum_j a_ij v_j) + h d_i df/dt) + gamma sum_j C_ij v_j
    y1 = y + h sum_i b_i v_i
"""

import math
from dataclasses import dataclass

Row = tuple[float, ...]


@dataclass(frozen=True)
class RosenbrockTableau:
    """One Rosenbrock method.

    Attributes:
        gamma: the diagonal.
        a: weights of the stages' arguments; row i has i entries.
        coupling: the C_ij; row i has i entries.
        c: nodes.
        d: weights of df/dt.
        b: weights of the solution.
        b_error: weights of the error estimate.
        order: order of the solution.
        embedded_order: order of the comparison solution.
        dense: row i has the coefficients of theta, theta^2, ... of v_i's weight at t + theta h.
        dense_order: the interpolant's local error is O(h^(dense_order + 1)).
    """

    gamma: float
    a: tuple[Row, ...]
    coupling: tuple[Row, ...]
    c: Row
    d: Row
    b: Row
    b_error: Row
    order: int
    embedded_order: int
    dense: tuple[Row, ...]
    dense_order: int

    def __post_init__(self) -> None:
        stages = len(self.b)
        for name in ("a", "coupling", "c", "d", "b_error", "dense"):
            if len(getattr(self, name)) != stages:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries, needs {stages}")
        for name in ("a", "coupling"):
            for i, row in enumerate(getattr(self, name)):
                if len(row) != i:
                    raise ValueError(f"row {i} of {name} must have {i} entries, got {len(row)}")
        for i, (row, weight) in enumerate(zip(self.dense, self.b, strict=True)):
            if not math.isclose(math.fsum(row), weight, rel_tol=1e-12, abs_tol=1e-12):
                raise ValueError(f"row {i} of dense sums to {math.fsum(row)}, b[{i}] is {weight}")


def _rosenbrock23() -> RosenbrockTableau:
    """Shampine & Reichelt (1997), "The MATLAB ODE suite", SIAM J. Sci. Comput. 18, section 3.

    There: k1 = W^-1 (F0 + h d T), k2 = W^-1 (F1 - k1) + k1, and
    k3 = W^-1 (F2 - e32 (k2 - F1) - 2 (k1 - F0) + h d T). Here v1 = d k1, v2 = d (k2 - k1) and
    v3 = d (k3 - e32 (k2 - k1) - 2 k1), which takes the products with W away.
    """
    d = 1 / (2 + math.sqrt(2))
    e32 = 6 + math.sqrt(2)
    # Dense output: y + h theta (1 - theta) / (1 - 2d) k1 + h theta (theta - 2d) / (1 - 2d) k2.
    q = 1 / (d * (1 - 2 * d))
    return RosenbrockTableau(
        gamma=d,
        a=((), (1 / (2 * d),), (1 / d, 1 / d)),
        coupling=((), (-1 / d,), (-2 / d, -e32 / d)),
        c=(0.0, 0.5, 1.0),
        d=(d, 0.0, -d),
        b=(1 / d, 1 / d, 0.0),
        b_error=(1 / (6 * d), (e32 - 2) / (6 * d), 1 / (6 * d)),
        order=2,
        embedded_order=3,
        dense=((1 / d, 0.0), (-2 * d * q, q), (0.0, 0.0)),
        dense_order=2,
    )


ROSENBROCK23 = _rosenbrock23()


# Steinebach (2023), "Construction of Rosenbrock-Wanner method Rodas5P and numerical benchmarks
# within the Julia Differential Equations package", BIT 63:27.
_A = (
    (),
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256,
     0.030198172008377946),
)  # fmt: skip
_LAST = _A[-1]
_C = (
    (),
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125,
     -0.6610691825249471),
    (30.91273214028599, -3.1208243349937974, 77.79954646070892, 34.28646028294783,
     -19.097331116725623, -28.087943162872662),
    (37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047,
     -40.06618937091002, -54.66780262877968, -9.48861652309627),
)  # fmt: skip
# y(theta) = y + theta (y1 - y) + theta (1 - theta) h sum_i (H1_i + theta H2_i + theta^2 H3_i) v_i.
_H = (
    (25.948786856663858, -2.5579724845846235, 10.433815404888879, -2.3679251022685204,
     0.524948541321073, 1.1241088310450404, 0.4272876194431874, -0.17202221070155493),
    (-9.91568850695171, -0.9689944594115154, 3.0438037242978453, -24.495224566215796,
     20.176138334709044, 15.98066361424651, -6.789040303419874, -6.710236069923372),
    (11.419903575922262, 2.8879645146136994, 72.92137995996029, 80.12511834622643,
     -52.072871366152654, -59.78993625266729, -0.15582684282751913, 4.883087185713722),
)  # fmt: skip
_B = (*_LAST, 1.0, 1.0, 1.0)

RODAS5P = RosenbrockTableau(
    gamma=0.21193756319429014,
    a=(*_A, (*_LAST, 1.0), (*_LAST, 1.0, 1.0)),
    coupling=_C,
    c=(0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664,
       1.0, 1.0, 1.0),
    d=(0.21193756319429014, -0.42387512638858027, -0.3384627126235924, 1.8046452872882734,
       2.325825639765069, 0.0, 0.0, 0.0),
    b=_B,
    b_error=(0.0,) * 7 + (1.0,),
    order=5,
    embedded_order=4,
    dense=tuple((b + h1, h2 - h1, h3 - h2, -h3) for b, h1, h2, h3 in zip(_B, *_H, strict=True)),
    dense_order=4,
)  # fmt: skip
