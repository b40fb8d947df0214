"""Smoothing splines as linear maps: what a curve and its slope owe to each observation."""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import BSpline
from scipy.linalg import cho_factor, cho_solve, cholesky, eigh, solve_triangular

from neurode.data import DataError

LEAST = 5  # observations of a variable that a spline can be smoothed through
_MOST_KNOTS = 60
_PENALTIES = 80
_GAUSS = 0.5 / np.sqrt(3)


class Smooth(NamedTuple):
    """A smoothed variable, linear in what was observed.

    Attributes:
        to_values: from the m observations to the curve at Q times, [Q, m].
        to_slopes: and to its slope, [Q, m].
        variance: of the noise, by what the curve leaves.
    """

    to_values: np.ndarray
    to_slopes: np.ndarray
    variance: float


def smooth(t: np.ndarray, y: np.ndarray, at: np.ndarray, what: str) -> Smooth:
    """A cubic smoothing spline, its roughness chosen by generalised cross-validation.

    Args:
        t: increasing times of the observations, [m].
        y: observed, [m].
        at: times to evaluate at, [Q].
        what: is observed, for messages.

    Raises:
        DataError: there are fewer than five observations.

    Source: Wahba (1990), chapter 4; de Boor (2001), chapter 14.
    """
    if len(t) < LEAST:
        raise DataError(
            f"{what} has {len(t)} observations; a smoothing spline needs {LEAST}. "
            "method='shooting' needs none"
        )
    knots = _place_knots(t)
    basis, slopes = _design(knots, t), _design(knots, at, 1)
    whole = _design(knots, at)
    gram = basis.T @ basis
    gram += 1e-10 * np.trace(gram) / len(gram) * np.eye(len(gram))  # where no observation is near
    # Demmler and Reinsch: in these coordinates smoothing is a factor for each of them.
    lower = cholesky(gram, lower=True)
    half = solve_triangular(lower, _roughness(knots), lower=True)
    rough, turn = eigh(solve_triangular(lower, half.T, lower=True))
    rough = np.maximum(rough, 0)
    coordinates = turn.T @ solve_triangular(lower, basis.T @ y, lower=True)
    inside = max(float(y @ y - coordinates @ coordinates), 0.0)
    penalties = np.geomspace(1e-8, 1e8, _PENALTIES) / np.median(rough[rough > 0])
    factors = 1 / (1 + penalties[:, None] * rough)
    left = ((1 - factors) ** 2 * coordinates**2).sum(axis=1) + inside
    freedom = np.maximum(len(t) - factors.sum(axis=1), 1e-3)
    best = int(np.argmin(left / freedom**2))
    system = cho_factor(gram + penalties[best] * _roughness(knots))
    coefficients = cho_solve(system, basis.T)
    return Smooth(whole @ coefficients, slopes @ coefficients, float(left[best] / freedom[best]))


def _place_knots(t: np.ndarray) -> np.ndarray:
    """A knot at every observation, or at some quantiles of very many."""
    inner = t[1:-1]
    if len(inner) > _MOST_KNOTS:
        inner = np.unique(np.quantile(t, np.linspace(0, 1, _MOST_KNOTS + 2)[1:-1]))
    return np.concatenate([np.full(4, t[0]), inner, np.full(4, t[-1])])


def _design(knots: np.ndarray, at: np.ndarray, derivative: int = 0) -> np.ndarray:
    spline = BSpline(knots, np.eye(len(knots) - 4), 3)
    return spline.derivative(derivative)(at) if derivative else spline(at)


def _roughness(knots: np.ndarray) -> np.ndarray:
    """The integral of products of second derivatives: exact with two Gauss points a piece."""
    edges = np.unique(knots)
    middle, length = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    nodes = np.concatenate([middle - _GAUSS * length, middle + _GAUSS * length])
    curved = _design(knots, nodes, 2)
    return curved.T @ (np.tile(length / 2, 2)[:, None] * curved)
