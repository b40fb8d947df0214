"""Explicit Runge-Kutta methods of order 1 to 5: numbers and citations only.

Methods that were published without a continuous extension get one here: a parabola at order 2,
the cubic Hermite interpolant at orders 3 and 4, a quartic at order 5. Each has a local error of
at least the method's order, so that values at save times keep the order of the method.
"""

from ..tableau import (
    ButcherTableau,
    Row,
    Rows,
    dense_slopes,
    dense_weights,
    hermite_dense,
    linear_dense,
    quadratic_dense,
)


def _differ(b: Row, b_hat: Row) -> Row:
    return tuple(x - y for x, y in zip(b, b_hat, strict=True))


# Euler (1768). One stage says nothing about its own error: fixed steps only.
EULER = ButcherTableau(
    a=((),), b=(1.0,), c=(0.0,), order=1, dense=linear_dense((1.0,)), dense_order=1
)


def _second_order(c2: float) -> ButcherTableau:
    """The two-stage method of order 2 with node c2; the embedded solution is Euler's."""
    b = (1 - 1 / (2 * c2), 1 / (2 * c2))
    return ButcherTableau(
        a=((), (c2,)),
        b=b,
        c=(0.0, c2),
        order=2,
        b_error=_differ(b, (1.0, 0.0)),
        embedded_order=1,
        dense=quadratic_dense(b),
        dense_order=2,
    )


# Runge (1895), the modified Euler method.
MIDPOINT = _second_order(1 / 2)

# Heun (1900), the explicit trapezoidal rule.
HEUN = _second_order(1.0)

# The pair 2(1) of Heun and Euler. HEUN carries the same estimate, so the pair is the same
# tableau: two names, because one is looked for as a method and the other as an adaptive pair.
HEUN_EULER = HEUN

# Ralston, Runge-Kutta methods with minimum error bounds, Math. Comp. 16 (1962) 431-437: the
# two-stage method with the smallest bound on its local error.
RALSTON = _second_order(2 / 3)


def _fourth_order(a: Rows, b: Row, c: Row, b_hat: Row) -> ButcherTableau:
    """A four-stage method of order 4, with an estimate from its own stages.

    Four stages determine a solution of order 3 uniquely (it is y1 itself), so an estimate that
    costs no further evaluation compares with order 2.
    """
    return ButcherTableau(
        a=a,
        b=b,
        c=c,
        order=4,
        b_error=_differ(b, b_hat),
        embedded_order=2,
        dense_a=(b,),
        dense_c=(1.0,),
        dense=hermite_dense((*b, 0.0), end=4),
        dense_order=3,
    )


# Kutta (1901), the classical method. b_hat is the midpoint rule, whose two stages it contains:
# it differs from y1 for y' = g(t) and for y' = lambda y alike.
RK4 = _fourth_order(
    a=((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    c=(0.0, 1 / 2, 1 / 2, 1.0),
    b_hat=(0.0, 1.0, 0.0, 0.0),
)

# Kutta (1901), the 3/8 rule. b_hat is the two-stage method of order 2 with node 1/3, for the same
# reason (the symmetric choices 0, 1/2, 1/2, 0 and 1/2, 0, 0, 1/2 see no error of order 3 in
# y' = lambda y, and 1/4, 0, 3/4, 0 sees none in y' = g(t)).
RK38 = _fourth_order(
    a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
    b=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
    c=(0.0, 1 / 3, 2 / 3, 1.0),
    b_hat=(-1 / 2, 3 / 2, 0.0, 0.0),
)

# Bogacki & Shampine, A 3(2) pair of Runge-Kutta formulas, Appl. Math. Lett. 2 (1989) 321-325.
_B = (2 / 9, 1 / 3, 4 / 9, 0.0)
BOSH3 = ButcherTableau(
    a=((), (1 / 2,), (0.0, 3 / 4), _B[:-1]),
    b=_B,
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    order=3,
    b_error=_differ(_B, (7 / 24, 1 / 4, 1 / 3, 1 / 8)),
    embedded_order=2,
    fsal=True,
    dense=hermite_dense(_B, end=3),
    dense_order=3,
)

# Fehlberg, Low-order classical Runge-Kutta formulas with stepsize control, NASA TR R-315 (1969),
# Table III. As the name 4(5) says, the solution of order 4 is carried on and the one of order 5
# only estimates its error (no local extrapolation).
_B = (25 / 216, 0.0, 1408 / 2565, 2197 / 4104, -1 / 5, 0.0)
FEHLBERG45 = ButcherTableau(
    a=(
        (),
        (1 / 4,),
        (3 / 32, 9 / 32),
        (1932 / 2197, -7200 / 2197, 7296 / 2197),
        (439 / 216, -8.0, 3680 / 513, -845 / 4104),
        (-8 / 27, 2.0, -3544 / 2565, 1859 / 4104, -11 / 40),
    ),
    b=_B,
    c=(0.0, 1 / 4, 3 / 8, 12 / 13, 1.0, 1 / 2),
    order=4,
    b_error=_differ(_B, (16 / 135, 0.0, 6656 / 12825, 28561 / 56430, -9 / 50, 2 / 55)),
    embedded_order=5,
    dense_a=(_B,),
    dense_c=(1.0,),
    dense=hermite_dense((*_B, 0.0), end=6),
    dense_order=3,
)


def _cash_karp() -> ButcherTableau:
    """Cash and Karp's pair 5(4), with local extrapolation.

    A variable order Runge-Kutta method for initial value problems with rapidly varying right-hand
    sides, ACM TOMS 16 (1990) 201-222.

    Dense output is ours: the cubic Hermite interpolant H, and the quartic that has the slope
    f(t + h/5, H(1/5)) at theta = 1/5 besides. H is accurate to O(h^4), hence h f to O(h^5). (A
    slope at 1/2 cannot be used: Simpson's rule makes it depend on the data already there.)
    """
    b = (37 / 378, 0.0, 250 / 621, 125 / 594, 0.0, 512 / 1771)
    node = 1 / 5
    cubic = hermite_dense((*b, 0.0), end=6)
    slopes = dense_slopes((*cubic, (0.0, 0.0, 0.0)), node)
    # The derivative of theta^2 (1 - theta)^2 at the node.
    rate = 2 * node * (1 - node) * (1 - 2 * node)
    bump = tuple((float(i == 7) - slope) / rate for i, slope in enumerate(slopes))
    return ButcherTableau(
        a=(
            (),
            (1 / 5,),
            (3 / 40, 9 / 40),
            (3 / 10, -9 / 10, 6 / 5),
            (-11 / 54, 5 / 2, -70 / 27, 35 / 27),
            (1631 / 55296, 175 / 512, 575 / 13824, 44275 / 110592, 253 / 4096),
        ),
        b=b,
        c=(0.0, 1 / 5, 3 / 10, 3 / 5, 1.0, 7 / 8),
        order=5,
        b_error=_differ(b, (2825 / 27648, 0.0, 18575 / 48384, 13525 / 55296, 277 / 14336, 1 / 4)),
        embedded_order=4,
        dense_a=(b, dense_weights(cubic, node)),
        dense_c=(1.0, node),
        dense=hermite_dense((*b, 0.0, 0.0), end=6, bump=bump),
        dense_order=4,
    )


CASH_KARP = _cash_karp()

# Dormand & Prince, A family of embedded Runge-Kutta formulae, J. Comput. Appl. Math. 6 (1980)
# 19-26. Dense output of order 4: Shampine, Some practical Runge-Kutta formulas, Math. Comp. 46
# (1986) 135-150, in the form of the constants D of DOPRI5 (Hairer, Norsett & Wanner, II.6).
_B = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84, 0.0)
DOPRI5 = ButcherTableau(
    a=(
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        _B[:-1],
    ),
    b=_B,
    c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0),
    order=5,
    b_error=_differ(
        _B,
        (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40),
    ),
    embedded_order=4,
    fsal=True,
    dense=hermite_dense(
        _B,
        end=6,
        bump=(
            -12715105075 / 11282082432,
            0.0,
            87487479700 / 32700410799,
            -10690763975 / 1880347072,
            701980252875 / 199316789632,
            -1453857185 / 822651844,
            69997945 / 29380423,
        ),
    ),
    dense_order=4,
)

# Tsitouras, Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
# assumption, Comput. Math. Appl. 62 (2011) 770-775. b_error is given there as b - b_hat. The
# interpolant of order 4 is continuously differentiable, so its coefficients of theta^4 say it all.
_B = (
    0.09646076681806522951816731316512876334,
    0.01,
    0.4798896504144995747752495322905966,
    1.379008574103741893192274821856872771,
    -3.290069515436080679901047585711363850,
    2.324710524099773982415355918398765796,
    0.0,
)
TSIT5 = ButcherTableau(
    a=(
        (),
        (0.161,),
        (-0.008480655492356988544426874250230775, 0.335480655492356988544426874250230775),
        (
            2.897153057105493432130432594192938765,
            -6.359448489975074843148159912383825626,
            4.362295432869581411017727318190886861,
        ),
        (
            5.325864828439256604428877920840511318,
            -11.74888356406282787774717033978577296,
            7.495539342889836208304604784564358156,
            -0.09249506636175524925650207933207191611,
        ),
        (
            5.861455442946420028659251486982647890,
            -12.92096931784710929170611868178335940,
            8.159367898576158643180400794539253485,
            -0.07158497328140099722453054252582973869,
            -0.02826905039406838290900305721271224147,
        ),
        _B[:-1],
    ),
    b=_B,
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045096857298102862870245954942, 1.0, 1.0),
    order=5,
    b_error=(
        0.00178001105222577144337855060753953478,
        0.00081643445965674690322363606335468624,
        -0.00788087801026199601031472767252630424,
        0.144711007173262907537165147972635116721,
        -0.582357165452555225019937610652042179426,
        0.458082105929186946661636518832554297443,
        -1 / 66,
    ),
    embedded_order=4,
    fsal=True,
    dense=hermite_dense(
        _B,
        end=6,
        bump=(
            -1.0530884977290216,
            0.1017,
            2.490627285651252793,
            -16.54810288924490272,
            47.37952196281928122,
            -34.87065786149660974,
            2.5,
        ),
    ),
    dense_order=4,
)
