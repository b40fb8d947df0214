"""Between a table's own units and those of a flow, column by column, with the Jacobian."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import qmc

from neurode.data import DataError
from neurode.data.errors import quote
from neurode.estimators.estimator import SettingError

_SAME = 1 - 1e-10  # a correlation above it is that of one column written twice
_HEAVY = 20.0  # excess kurtosis: 6 is that of a Laplace distribution
_NODES = 32  # at which the density is taken for the probability of whole numbers
_NORMAL_IQR = 1.3489795  # interquartile range of a standard normal


class DensityWarning(UserWarning):
    """A density can be fitted, but the data or the fit leave room for doubt."""


@dataclass(frozen=True, eq=False)
class Columns:
    """y = (T(x + u) - centre) / scale: what a flow sees of each column x.

    T is the identity, a logarithm (one bound) or a logit (two); u is uniform noise on [0, 1) for a
    column of whole numbers, whose probabilities then are integrals of a density.

    Attributes:
        names: of the d columns.
        lower: bound of each, -inf for none, [d].
        upper: bound of each, inf for none, [d]; for whole numbers, one more than the largest.
        discrete: which hold whole numbers, [d].
        centre: of T(x + u), [d].
        scale: of T(x + u), [d].
    """

    names: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray
    discrete: np.ndarray
    centre: np.ndarray
    scale: np.ndarray

    def forward(self, x: Any, u: Any = 0.5, xp: Any = np) -> tuple[Any, Any]:
        """Return y [..., d] and log |dy/dx| summed over columns [...]; -inf outside the bounds.

        Args:
            x: [..., d] in the table's units.
            u: the noise of columns of whole numbers, broadcast to x.
            xp: numpy or jax.numpy.
        """
        moved = x + xp.where(self.discrete, u, 0.0)
        lower, upper = self.lower, self.upper
        has_lower, has_upper = np.isfinite(lower), np.isfinite(upper)
        a = xp.where(has_lower, moved - np.where(has_lower, lower, 0), 1.0)
        b = xp.where(has_upper, np.where(has_upper, upper, 0) - moved, 1.0)
        inside = (a > 0) & (b > 0)
        log_a, log_b = (xp.log(xp.where(inside, part, 1.0)) for part in (a, b))
        one_sided = has_lower ^ has_upper
        y = xp.where(has_lower | has_upper, log_a - log_b, moved)
        span = np.where(has_lower & has_upper, upper - lower, 1.0)
        log_slope = xp.where(has_lower | has_upper, -log_a - log_b, 0.0)
        log_slope = log_slope + np.log(span) * ~one_sided - np.log(self.scale)
        log_slope = xp.where(inside, log_slope, -math.inf)
        return (y - self.centre) / self.scale, log_slope.sum(-1)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        """Return x [n, d] in the table's units; columns of whole numbers are whole."""
        y = np.asarray(y, np.float64) * self.scale + self.centre
        has_lower, has_upper = np.isfinite(self.lower), np.isfinite(self.upper)
        lower, upper = np.where(has_lower, self.lower, 0), np.where(has_upper, self.upper, 0)
        with np.errstate(over="ignore"):
            share = 1 / (1 + np.exp(-y))
            above, below = lower + np.exp(y), upper - np.exp(-y)
        x = np.where(has_lower & has_upper, lower + (upper - lower) * share, y)
        x = np.where(has_lower & ~has_upper, above, x)
        x = np.where(has_upper & ~has_lower, below, x)
        return np.where(self.discrete, np.floor(x), x)

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it; None stands for a bound that is not there."""
        bound = lambda values: [v if math.isfinite(v) else None for v in values.tolist()]  # noqa: E731
        return {
            "names": list(self.names),
            "lower": bound(self.lower),
            "upper": bound(self.upper),
            "discrete": self.discrete.tolist(),
            "centre": self.centre.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Columns":
        """The inverse of `to_json`."""
        fill = lambda name, value: np.array(  # noqa: E731
            [value if v is None else float(v) for v in entry[name]]
        )
        return cls(
            tuple(map(str, entry["names"])),
            fill("lower", -math.inf),
            fill("upper", math.inf),
            np.array(entry["discrete"], bool),
            fill("centre", 0.0),
            fill("scale", 1.0),
        )


def fit_columns(
    x: np.ndarray,
    names: Sequence[str],
    *,
    discrete: Sequence[str] | bool,
    bounds: Mapping[str, Any] | None,
    standardize: bool,
    robust: bool,
) -> Columns:
    """Choose the transformations of a table's columns.

    Args:
        x: checked values [n, d].
        names: of the d columns.
        discrete: names of columns of whole numbers, or True for all.
        bounds: name -> (lower, upper), None for no bound on a side.
        standardize: whether to take off the mean and divide by the standard deviation.
        robust: use the median and the interquartile range instead.

    Raises:
        SettingError: a name is unknown, or bounds are no interval.
        DataError: a value is not whole, or not between its bounds.
    """
    names = tuple(names)
    is_discrete = _read_discrete(discrete, names)
    lower, upper = _read_bounds(bounds, names)
    upper = np.where(is_discrete & np.isfinite(upper), upper + 1, upper)
    d = len(names)
    plain = Columns(names, lower, upper, is_discrete, np.zeros(d), np.ones(d))
    _check_values(x, plain)
    y, _ = plain.forward(x)
    centre, scale = np.zeros(d), np.ones(d)
    if standardize:
        centre = np.median(y, axis=0) if robust else y.mean(axis=0)
        scale = y.std(axis=0)
        if robust:
            low, high = np.quantile(y, [0.25, 0.75], axis=0)
            scale = np.where(high > low, (high - low) / _NORMAL_IQR, scale)
        scale = np.sqrt(scale**2 + is_discrete / 12)
    return Columns(names, lower, upper, is_discrete, centre, scale)


def check_rows(x: np.ndarray, names: Sequence[str], what: str = "X") -> None:
    """Refuse rows with a value that is not finite, by row and column.

    Raises:
        DataError: where the first one stands.
    """
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0]
        more = f" ({len(bad)} such values)" if len(bad) > 1 else ""
        raise DataError(
            f"{what}, row {row}, column {quote(names[column])}: {x[row, column]} is not a finite "
            f"number{more}; fill it in or drop the row"
        )


def dequantisation_nodes(d: int) -> np.ndarray:
    """Points that fill the unit cube evenly, [nodes, d]: a Sobol sequence, cells' middles.

    The mean of a density over them is the probability of a row of whole numbers.
    """
    points = qmc.Sobol(d, scramble=False).random(_NODES)
    return points + 0.5 / _NODES


def check_sample(x: np.ndarray, columns: Columns, base: str) -> None:
    """Refuse a sample that has no density, and warn where it hardly determines one.

    Args:
        x: checked values [n, d].
        columns: their transformations.
        base: "normal" or "student".

    Raises:
        DataError: one row only, or a column that is constant or twice there.
    """
    n, d = x.shape
    names = columns.names
    if n < 2:
        raise DataError(
            f"one row has no density: {n} sample given, at least 2 are needed, and a few hundred "
            "for a density worth having"
        )
    for name, column, is_whole in zip(names, x.T, columns.discrete, strict=True):
        if np.ptp(column) <= 1e-12 * np.abs(column).max(initial=0) and not is_whole:
            raise DataError(
                f"column {quote(name)} is {column[0]:g} in every row, where a density is "
                "infinite: leave the column out"
            )
    y, _ = columns.forward(x)
    if d > 1 and n > 2:  # any two rows lie on a line
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.abs(np.corrcoef(y.T))
        twins = np.argwhere(np.triu(correlation > _SAME, 1))
        if len(twins):
            one, other = (names[i] for i in twins[0])
            raise DataError(
                f"columns {quote(one)} and {quote(other)} are the same up to their unit, so the "
                "rows lie on a line, where a density is infinite: leave one of them out"
            )
    if n <= d:
        warnings.warn(
            f"{n} rows of {d} columns: fewer samples than can tell the columns' dependence; the "
            "density will mostly be what was put in",
            DensityWarning,
            stacklevel=4,
        )
    if base == "normal":
        spread = y.std(axis=0)
        kurtosis = (
            np.mean(((y - y.mean(axis=0)) / np.where(spread > 0, spread, 1)) ** 4, axis=0) - 3
        )
        worst = int(np.argmax(kurtosis))
        if kurtosis[worst] > _HEAVY:
            warnings.warn(
                f"column {quote(names[worst])} has heavy tails (excess kurtosis "
                f"{kurtosis[worst]:.3g}), which a flow from a normal base cannot have: base="
                "'student' can, or take logarithms of a positive column with "
                f"bounds={{{quote(names[worst])}: (0, None)}}",
                DensityWarning,
                stacklevel=4,
            )


def _read_discrete(discrete: Sequence[str] | bool, names: tuple[str, ...]) -> np.ndarray:
    if isinstance(discrete, (bool, np.bool_)):
        return np.full(len(names), bool(discrete))
    if isinstance(discrete, str):
        raise SettingError(f"discrete must be a list of names: [{discrete!r}], or True for all")
    for name in discrete:
        if name not in names:
            raise SettingError(
                f"discrete names {name!r}, which is no column; there are {', '.join(names)}"
            )
    return np.array([name in discrete for name in names])


def _read_bounds(
    bounds: Mapping[str, Any] | None, names: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = np.full(len(names), -math.inf), np.full(len(names), math.inf)
    if bounds is None:
        return lower, upper
    if not isinstance(bounds, Mapping):
        raise SettingError(f"bounds must be a dict {{name: (lower, upper)}}, got {bounds!r}")
    for name, pair in bounds.items():
        if name not in names:
            raise SettingError(
                f"bounds names {name!r}, which is no column; there are {', '.join(names)}"
            )
        try:
            low, high = pair
            low = -math.inf if low is None else float(low)
            high = math.inf if high is None else float(high)
        except (TypeError, ValueError):
            raise SettingError(f"bounds of {name!r} must be (lower, upper), got {pair!r}") from None
        if not low < high:
            raise SettingError(f"bounds of {name!r} must be lower < upper, got {pair!r}")
        i = names.index(name)
        lower[i], upper[i] = low, high
    return lower, upper


def _check_values(x: np.ndarray, columns: Columns) -> None:
    for i, name in enumerate(columns.names):
        column = x[:, i]
        if columns.discrete[i]:
            broken = np.flatnonzero(column != np.round(column))
            if len(broken):
                raise DataError(
                    f"row {broken[0]}, column {quote(name)}: {column[broken[0]]:g} is no whole "
                    "number, but discrete names this column"
                )
        low, high = columns.lower[i], columns.upper[i]
        outside = column < low if columns.discrete[i] else column <= low
        outside = np.flatnonzero(outside | (column >= high))
        if len(outside):
            shown = high - 1 if columns.discrete[i] else high
            raise DataError(
                f"row {outside[0]}, column {quote(name)}: {column[outside[0]]:g} is not between "
                f"its bounds {low:g} and {shown:g}: widen them"
                + ("" if columns.discrete[i] else " (a value on a bound has no finite logit)")
            )
