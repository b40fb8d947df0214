"""Coefficients of ESDIRK methods: an explicit first stage, then one diagonal coefficient."""

import math
from dataclasses import dataclass

Row = tuple[float, ...]


@dataclass(frozen=True)
class EsdirkTableau:
    """A singly diagonally implicit Runge-Kutta method with an explicit first stage.

    With k_i = f(t + c_i h, y + h sum_(j <= i) a_ij k_j), a step is y1 = y + h sum_i b_i k_i.
    All of them are stiffly accurate: the last stage's argument is y1.

    Attributes:
        gamma: a_ii for i > 1.
        a: row i has the i entries before the diagonal.
        c: nodes.
        b_error: weights of the error estimate.
        order: order of the solution.
        embedded_order: order of the comparison solution.
        predictor: row i has the weights of earlier k_j that approximate k_i.
        dense: row i has the coefficients of theta, theta^2, ... of k_i's weight at t + theta h.
        dense_order: the interpolant's local error is O(h^(dense_order + 1)).
        explicit: rows for the part of f that is treated explicitly (IMEX), or None.
    """

    gamma: float
    a: tuple[Row, ...]
    c: Row
    b_error: Row
    order: int
    embedded_order: int
    predictor: tuple[Row, ...]
    dense: tuple[Row, ...]
    dense_order: int
    explicit: tuple[Row, ...] | None = None

    @property
    def b(self) -> Row:
        """Weights of the solution."""
        return (*self.a[-1], self.gamma)

    def __post_init__(self) -> None:
        stages = len(self.c)
        for name in ("a", "b_error", "predictor", "dense"):
            if len(getattr(self, name)) != stages:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries, needs {stages}")
        for i, (row, c) in enumerate(zip(self.a, self.c, strict=True)):
            _check_sum(math.fsum(row) + (self.gamma if i else 0), c, f"row {i} of a", f"c[{i}]")
        for i, (row, c) in enumerate(zip(self.explicit or (), self.c, strict=False)):
            _check_sum(math.fsum(row), c, f"row {i} of explicit", f"c[{i}]")
        for i, (row, weight) in enumerate(zip(self.dense, self.b, strict=True)):
            _check_sum(math.fsum(row), weight, f"row {i} of dense", f"b[{i}]")


def _check_sum(found: float, wanted: float, what: str, of_what: str) -> None:
    if not math.isclose(found, wanted, rel_tol=1e-12, abs_tol=1e-12):
        raise ValueError(f"{what} sums to {found}, but {of_what} is {wanted}")


def _kvaerno3() -> EsdirkTableau:
    """The 3(2) pair of Kvaerno (2004).

    "Singly diagonally implicit Runge-Kutta methods with an explicit first stage", BIT 44:489-502.
    gamma is the root of x^3 - 3 x^2 + 3 x / 2 - 1/6 near 0.436.
    """
    g = 0.43586652150845899942
    a3 = ((-4 * g**2 + 6 * g - 1) / (4 * g), (-2 * g + 1) / (4 * g))
    a4 = (
        (6 * g - 1) / (12 * g),
        -1 / ((24 * g - 12) * g),
        (-6 * g**2 + 6 * g - 1) / (6 * g - 3),
    )
    part = 1 / (2 * g)
    # The cubic through y and y1 with slopes k_1 and k_4 (Hermite): y1 - y - h k_1 and so on.
    b = (*a4, g)
    dense = tuple(
        (first, 3 * w - 2 * first - last, first + last - 2 * w)
        for w, first, last in zip(b, (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), strict=True)
    )
    return EsdirkTableau(
        gamma=g,
        a=((), (g,), a3, a4),
        c=(0.0, 2 * g, 1.0, 1.0),
        b_error=(a4[0] - a3[0], a4[1] - a3[1], a4[2] - g, g),
        order=3,
        embedded_order=2,
        predictor=((), (1.0,), (1 - part, part), (*a3, g)),
        dense=dense,
        dense_order=3,
    )


KVAERNO3 = _kvaerno3()


def _kvaerno5() -> EsdirkTableau:
    """Kvaerno (2004), the 5(4) pair."""
    g = 0.26
    a6 = (0.13855640231268224, 0.0, -0.04245337201752043, 0.02446657898003141,
          0.61943039072480676)  # fmt: skip
    a7 = (0.13659751177640291, 0.0, -0.05496908796538376, -0.04118626728321046,
          0.62993304899016403, 0.06962479448202728)  # fmt: skip
    return EsdirkTableau(
        gamma=g,
        a=(
            (),
            (g,),
            (0.13, 0.84033320996790809),
            (0.22371961478320505, 0.47675532319799699, -0.06470895363112615),
            (0.16648564323248321, 0.10450018841591720, 0.03631482272098715,
             -0.13090704451073998),
            a6,
            a7,
        ),
        c=(0.0, 0.52, 1.230333209967908, 0.8957659843500759, 0.43639360985864756, 1.0, 1.0),
        b_error=(*(x - z for x, z in zip(a7[:5], a6, strict=True)), a7[5] - g, g),
        order=5,
        embedded_order=4,
        # Stage 2 by k_1, 3 by the line through k_1 and k_2, 4 and 5 by the parabola through the
        # three before, 6 likewise through k_1, k_4 and k_5; 7 is almost 6.
        predictor=(
            (),
            (1.0,),
            (-1.366025403784441, 2.3660254037844357),
            (-0.19650552613122207, 0.8113579546496623, 0.38514757148155954),
            (0.10375304369958693, 0.937994698066431, -0.04174774176601781, 0.0),
            (-0.17281112873898072, 0.6235784481025847, 0.5492326806363959, 0.0, 0.0),
            (*a6, g),
        ),
        # The least-squares solution of the order conditions up to 4 for polynomials of degree 4,
        # with slopes k_1 and k_7 at the ends.
        dense=(
            (1.0, -2.072037588795684, 1.6904652246969736, -0.48183012412488774),
            (0.0, 0.0, 0.0, 0.0),
            (0.0, 0.8427243190616555, -1.9053249899848512, 1.007631582957811),
            (0.0, -0.6665857136422296, 1.168426358151627, -0.5430269117926041),
            (0.0, 3.2569288143993327, -3.994125432838016, 1.3671296674288442),
            (0.0, -0.6050255205696817, 1.4885502190675037, -0.813899904015787),
            (0.0, -0.7560043104534125, 1.5520086209067974, -0.5360043104533924),
        ),
        dense_order=4,
    )  # fmt: skip


KVAERNO5 = _kvaerno5()


def _kencarp4() -> EsdirkTableau:
    """ARK4(3)6L[2]SA of Kennedy & Carpenter (2003), appendix C.

    "Additive Runge-Kutta schemes for convection-diffusion-reaction equations", Appl. Numer. Math.
    44:139-181.
    """
    b = (82889 / 524892, 0.0, 15625 / 83664, 69875 / 102672, -2260 / 8211, 0.25)
    embedded = (4586570599 / 29645900160, 0.0, 178811875 / 945068544, 814220225 / 1159782912,
                -3700637 / 11593932, 61727 / 225920)  # fmt: skip
    c = (0.0, 1 / 2, 83 / 250, 31 / 50, 17 / 20, 1.0)

    def line(to, through):
        """Through the slopes at the first stage and at another."""
        part = c[to] / c[through]
        return tuple(1 - part if j == 0 else part if j == through else 0.0 for j in range(to))

    return EsdirkTableau(
        gamma=0.25,
        a=(
            (),
            (1 / 4,),
            (8611 / 62500, -1743 / 31250),
            (5012029 / 34652500, -654441 / 2922500, 174375 / 388108),
            (15267082809 / 155376265600, -71443401 / 120774400, 730878875 / 902184768,
             2285395 / 8070912),
            b[:-1],
        ),
        c=c,
        b_error=tuple(x - z for x, z in zip(b, embedded, strict=True)),
        order=4,
        embedded_order=3,
        predictor=((), (1.0,), line(2, 1), line(3, 1), line(4, 3), line(5, 4)),
        dense=(
            (6943876665148 / 7220017795957, -54480133 / 30881146, 6818779379841 / 7100303317025),
            (0.0, 0.0, 0.0),
            (7640104374378 / 9702883013639, -11436875 / 14766696, 2173542590792 / 12501825683035),
            (-20649996744609 / 7521556579894, 174696575 / 18121608,
             -31592104683404 / 5083833661969),
            (8854892464581 / 2390941311638, -12120380 / 966161, 61146701046299 / 7138195549469),
            (-11397109935349 / 6675773540249, 3843 / 706, -17219254887155 / 4939391667607),
        ),
        dense_order=3,
        explicit=(
            (),
            (1 / 2,),
            (13861 / 62500, 6889 / 62500),
            (-116923316275 / 2393684061468, -2731218467317 / 15368042101831,
             9408046702089 / 11113171139209),
            (-451086348788 / 2902428689909, -2682348792572 / 7519795681897,
             12662868775082 / 11960479115383, 3355817975965 / 11060851509271),
            (647845179188 / 3216320057751, 73281519250 / 8382639484533,
             552539513391 / 3454668386233, 3354512671639 / 8306763924573, 4040 / 17871),
        ),
    )  # fmt: skip


KENCARP4 = _kencarp4()
