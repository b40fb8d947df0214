"""The coefficients of one explicit Runge-Kutta method, checked for consistency when made."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Row = tuple[float, ...]
Rows = tuple[Row, ...]


@dataclass(frozen=True)
class ButcherTableau:
    """An explicit Runge-Kutta method: stages, error estimate and dense output.

    With k_i = f(t + c_i h, y0 + h sum_j a_ij k_j), a step is y1 = y0 + h sum_i b_i k_i and its
    error estimate h sum_i b_error_i k_i. Plain Python floats, so that a tableau is hashable,
    comparable and free of any array library.

    Attributes:
        a: strictly lower triangular; row i has i entries, row 0 is ().
        b: weights of the solution that is carried on, one per stage (the FSAL stage included).
        c: nodes, one per stage.
        order: order of the solution with weights b.
        b_error: b - b_hat, the weights of the error estimate, one per stage; None without one.
        embedded_order: order of the comparison solution with weights b_hat.
        b_error_low: a second, cruder estimate; only DOP853 has one. The solver combines both as
            e^2 / sqrt(e^2 + 0.01 e_low^2) in RMS norms.
        embedded_order_low: order of the comparison solution behind b_error_low.
        fsal: whether the last stage is f(t + h, y1), hence the first stage of the next step.
        dense_a: rows of extra stages that only dense output needs, over all stages before them.
        dense_c: nodes of the extra stages.
        dense: matrix P, one row per stage, extra stages included:
            y(t + theta h) = y0 + h sum_i k_i sum_m P[i][m] theta^(m + 1) for theta in [0, 1].
        dense_order: the interpolant's local error is O(h^(dense_order + 1)).

    Raises:
        ValueError: coefficients that do not fit together.
    """

    a: Rows
    b: Row
    c: Row
    order: int
    dense: Rows
    dense_order: int
    b_error: Row | None = None
    embedded_order: int | None = None
    b_error_low: Row | None = None
    embedded_order_low: int | None = None
    fsal: bool = False
    dense_a: Rows = ()
    dense_c: Row = ()

    def __post_init__(self) -> None:
        self._check_shapes()
        for i, (row, c) in enumerate(
            zip(self.a + self.dense_a, self.c + self.dense_c, strict=True)
        ):
            _check_sum(row, c, f"row {i} of a (dense_a after the last stage)", f"c[{i}]")
        _check_sum(self.b, 1.0, "b", "the sum of weights")
        for name, weights in (("b_error", self.b_error), ("b_error_low", self.b_error_low)):
            if weights is not None:
                _check_sum(weights, 0.0, name, "the sum of differences of weights")
        padded = self.b + (0.0,) * len(self.dense_a)
        for i, (row, weight) in enumerate(zip(self.dense, padded, strict=True)):
            _check_sum(row, weight, f"row {i} of dense", f"b[{i}] (dense output must end in y1)")
        if self.fsal and (self.b[-1] != 0.0 or self.a[-1] != self.b[:-1] or self.c[-1] != 1.0):
            raise ValueError(
                "fsal=True needs a last stage f(t + h, y1): the last row of a equal to b without "
                f"its last entry 0, and c[-1] = 1; got a[-1]={self.a[-1]}, b={self.b}, "
                f"c[-1]={self.c[-1]}"
            )

    def _check_shapes(self) -> None:
        stages, total = len(self.c), len(self.c) + len(self.dense_c)
        if stages == 0:
            raise ValueError("a tableau needs at least one stage; c is empty")
        for name, value, length in (
            ("a", self.a, stages),
            ("b", self.b, stages),
            ("b_error", self.b_error, stages),
            ("b_error_low", self.b_error_low, stages),
            ("dense_a", self.dense_a, len(self.dense_c)),
            ("dense", self.dense, total),
        ):
            if value is not None and len(value) != length:
                raise ValueError(
                    f"{name} has {len(value)} entries; it needs {length} "
                    f"({stages} stages, {len(self.dense_c)} extra stages for dense output)"
                )
        for i, row in enumerate(self.a + self.dense_a):
            if len(row) != i:
                raise ValueError(
                    f"an explicit method's row {i} of a has {i} entries; this one has {len(row)}"
                )
        degree = len(self.dense[0])
        for i, row in enumerate(self.dense):
            if len(row) != degree or degree == 0:
                raise ValueError(
                    f"every row of dense needs {max(degree, 1)} powers of theta; row {i} has "
                    f"{len(row)}"
                )
        for error, order in (("b_error", "embedded_order"), ("b_error_low", "embedded_order_low")):
            if (getattr(self, error) is None) != (getattr(self, order) is None):
                raise ValueError(f"give {error} and {order} together, or neither")
        if self.b_error_low is not None and self.b_error is None:
            raise ValueError("b_error_low refines b_error; give b_error too")

    @property
    def stages(self) -> int:
        """Stages of a step, the FSAL stage included, extra stages for dense output not."""
        return len(self.c)

    @property
    def error_order(self) -> int | None:
        """q such that the (combined) error estimate is O(h^(q + 1)); None without an estimate."""
        if self.embedded_order is None:
            return None
        if self.embedded_order_low is None:
            return min(self.order, self.embedded_order)
        return 2 * self.embedded_order - self.embedded_order_low


def linear_dense(b: Sequence[float]) -> Rows:
    """P of the straight line from y0 to y1 (dense order 1)."""
    return tuple((weight,) for weight in b)


def quadratic_dense(b: Sequence[float]) -> Rows:
    """P of the parabola through y0 with slope k_0, ending in y1 (dense order 2)."""
    return tuple((float(i == 0), weight - (i == 0)) for i, weight in enumerate(b))


def hermite_dense(b: Sequence[float], end: int, bump: Sequence[float] = ()) -> Rows:
    """P of the cubic Hermite interpolant, optionally with a quartic correction.

    Every quartic that is continuously differentiable from step to step is the cubic through
    y0, y1 and the slopes at both ends, plus theta^2 (1 - theta)^2 h sum_i bump_i k_i (Hairer,
    Norsett & Wanner, Solving Ordinary Differential Equations I, 2nd ed., II.6).

    Args:
        b: weights of y1, one per stage, 0 for stages that only dense output uses.
        end: index of the stage f(t + h, y1).
        bump: weights of the correction, one per stage; empty for the plain cubic.

    Returns:
        P: one row per stage, 3 powers of theta, or 4 with a correction.
    """
    rows = []
    for i, weight in enumerate(b):
        start, stop = float(i == 0), float(i == end)
        row = (start, 3.0 * weight - 2.0 * start - stop, start + stop - 2.0 * weight)
        if bump:
            row = (row[0], row[1] + bump[i], row[2] - 2.0 * bump[i], bump[i])
        rows.append(row)
    return tuple(rows)


def dense_weights(dense: Rows, theta: float) -> Row:
    """The weights sum_m P[i][m] theta^(m + 1) of the interpolant at theta, one per stage."""
    return tuple(math.fsum(p * theta ** (m + 1) for m, p in enumerate(row)) for row in dense)


def dense_slopes(dense: Rows, theta: float) -> Row:
    """The weights of the interpolant's derivative with respect to theta, one per stage."""
    return tuple(math.fsum((m + 1) * p * theta**m for m, p in enumerate(row)) for row in dense)


def _check_sum(values: Sequence[float], target: float, what: str, of: str) -> None:
    """Raise unless the values add up to the target, to the rounding of the values."""
    total = math.fsum(values)
    scale = 1.0 + math.fsum(abs(value) for value in values)
    # Not "abs(...) > ...": that would let a NaN pass.
    if not abs(total - target) <= 2e-15 * scale:
        raise ValueError(f"{what} sums to {total!r}; it must equal {of} = {target!r}")
