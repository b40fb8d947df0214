"""Standard errors and intervals of fitted parameters, from the Fisher information."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

_SINGULAR = 1e-10  # share of a direction's information that is left once the others are unknown
_MOVED = 1e-4  # share of an open direction from which on a number takes part in it
_NAMED = 0.1  # share from which on it is named


@dataclass(frozen=True)
class Estimates:
    """Fitted parameters with what the data say about their precision.

    Attributes:
        names: the k parameters.
        values: their estimates.
        standard_errors: of each; NaN where the data determine none.
        intervals: 95% intervals [k, 2]; they respect the bounds.
        covariance: of the estimates, [k, k].
        initial: the estimated initial state of each trajectory, [n, d].
        initial_standard_errors: of each, [n, d]; 0 where it was not estimated.
        noise: the standard deviation of each variable's noise, [d]; of its logarithm where the
            fit was one of logarithms.
        num_observations: numbers observed and used.
        num_unknowns: numbers estimated, initial states included.
        problems: in words, what the data do not determine; empty if all is well.
    """

    names: tuple[str, ...]
    values: np.ndarray
    standard_errors: np.ndarray
    intervals: np.ndarray
    covariance: np.ndarray
    initial: np.ndarray
    initial_standard_errors: np.ndarray
    noise: np.ndarray
    num_observations: int
    num_unknowns: int
    problems: tuple[str, ...] = field(default=())

    @property
    def degrees_of_freedom(self) -> int:
        """Observations beyond the unknowns."""
        return self.num_observations - self.num_unknowns

    def columns(self) -> Iterator[tuple[str, float, float, np.ndarray]]:
        """Name, estimate, standard error and interval (lower, upper) of each parameter."""
        return zip(self.names, self.values, self.standard_errors, self.intervals, strict=True)


@dataclass(frozen=True)
class Information:
    """The inverse of an information matrix, as far as there is one.

    Attributes:
        covariance: of the shared numbers, [k, k]; NaN for those that are not determined.
        local_variances: of the numbers of each trajectory, [n, q]; NaN likewise.
        directions: changes of the shared numbers that leave every prediction as it is, [m, k].
        moves_local: whether the numbers of the trajectories move along with each of them, [m].
        open_local: which numbers of a trajectory nothing is known about even so, [n, q].
    """

    covariance: np.ndarray
    local_variances: np.ndarray
    directions: np.ndarray
    moves_local: np.ndarray
    open_local: np.ndarray


def invert_information(shared: np.ndarray, mixed: np.ndarray, local: np.ndarray) -> Information:
    """Invert an information matrix of arrow shape, leaving out what it says nothing about.

    Args:
        shared: information on the k shared numbers, [k, k].
        mixed: between these and the q numbers of each trajectory, [n, k, q].
        local: on the numbers of each trajectory, [n, q, q].

    Returns:
        The marginal covariances, every other number being unknown too.
    """
    into, inverse = np.zeros_like(mixed), np.zeros_like(local)
    open_local = np.zeros(local.shape[:2], bool)
    for i, block in enumerate(local):
        inverse[i], directions = _invert(block, np.diagonal(block))
        into[i] = mixed[i] @ inverse[i]
        open_local[i] = _concerned(directions)
    schur = shared - np.einsum("nkq,nlq->kl", into, mixed)
    covariance, directions = _invert(schur, np.diagonal(shared))
    spread = np.einsum("nkq,kl,nlq->nq", into, covariance, into)
    local_variances = np.diagonal(inverse, axis1=1, axis2=2) + spread
    # In units of the noise, as the directions are: what an open direction does to each number.
    moves = np.abs(np.einsum("mk,nkq->mnq", directions, into))
    is_moved = moves * np.sqrt(np.diagonal(local, axis1=1, axis2=2)) > _MOVED
    local_variances[open_local | is_moved.any(axis=0)] = np.nan
    is_open = _concerned(directions)
    covariance[is_open] = np.nan
    covariance[:, is_open] = np.nan
    return Information(
        covariance, local_variances, directions, is_moved.any(axis=(1, 2)), open_local
    )


def _invert(matrix: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pseudo-inverse of an information matrix, and the directions it says nothing about.

    Args:
        matrix: symmetric, non-negative.
        reference: the information on each number when all others are known. A direction with a
            1e-10th of it left counts as open: it is beyond what rounding can tell.
    """
    scales = np.sqrt(np.where(reference > 0, reference, 1))
    values, vectors = np.linalg.eigh(matrix / np.outer(scales, scales))
    is_open = values < _SINGULAR
    kept = vectors[:, ~is_open]
    inverse = (kept / values[~is_open]) @ kept.T / np.outer(scales, scales)
    return inverse, (vectors[:, is_open] / scales[:, None]).T


def _concerned(directions: np.ndarray) -> np.ndarray:
    """Which numbers any of the directions [m, k] moves, [k]."""
    largest = np.abs(directions).max(axis=1, keepdims=True, initial=0)
    return (np.abs(directions) > _MOVED * largest).any(axis=0)


def describe_problems(
    information: Information,
    names: Sequence[str],
    steps: np.ndarray,
    variables: Sequence[str],
) -> tuple[str, ...]:
    """Say in words what the data do not determine.

    Args:
        information: what they do.
        names: the k parameters.
        steps: d(parameter) / d(free number), [k].
        variables: the variables whose initial values are the numbers of a trajectory.
    """
    sentences = []
    for direction, moves_local in zip(information.directions, information.moves_local, strict=True):
        change = direction * steps
        relative = np.abs(direction) / np.abs(direction).max()
        first, *others = [i for i in np.argsort(-relative) if relative[i] >= _NAMED]
        start = " and the initial states" if moves_local else ""
        if not others:
            what = "changes with it" if not start else "changes when the initial states follow it"
            sentences.append(
                f"the data do not determine {names[first]!r}: no prediction {what}; fix it at a "
                "known value, or observe more of what depends on it"
            )
            continue
        listed = [repr(names[i]) for i in sorted([first, *others])]
        moves = " and ".join(f"{names[i]} by {change[i] / change[first]:+.3g}" for i in others)
        sentences.append(
            f"the data do not tell {', '.join(listed[:-1])} and {listed[-1]} apart: moving "
            f"{names[first]} by +1, {moves}{start} changes no prediction; fix one of them at a "
            "known value"
        )
    for i, j in np.argwhere(information.open_local):
        sentences.append(
            f"the data do not determine the initial value of {variables[j]!r} in trajectory {i}"
        )
    return tuple(sentences)


def student_quantile(degrees_of_freedom: int) -> float:
    """The half width of a 95% interval in standard errors."""
    return float(stats.t.ppf(0.975, degrees_of_freedom))


def tabulate(estimates: Estimates, variables: Sequence[str], log: bool) -> str:
    """The estimates as a table of plain text.

    Args:
        estimates: what to show.
        variables: the names of the d observed variables.
        log: whether the noise is that of logarithms.
    """
    rows: list[tuple[Any, ...]] = [("", "estimate", "std. error", "95% interval")]
    rows += [
        (n, f"{v:.5g}", f"{s:.2g}", f"{i[0]:.5g} to {i[1]:.5g}")
        for n, v, s, i in estimates.columns()
    ]
    n, d = estimates.initial.shape
    for i in range(min(n, 3)):
        for j in range(d):
            label = f"{variables[j]} at start" + (f" of {i}" if n > 1 else "")
            error = estimates.initial_standard_errors[i, j]
            rows.append(
                (label, f"{estimates.initial[i, j]:.5g}", f"{error:.2g}" if error else "fixed", "")
            )
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = ["  ".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, "-" * len(lines[0]))
    if n > 3:
        lines.append(f"and the initial states of {n - 3} more trajectories")
    kind = "noise (sd of the logarithm)" if log else "noise (sd)"
    noise = ", ".join(f"{v} {s:.3g}" for v, s in zip(variables, estimates.noise, strict=True))
    lines.append(f"{kind}: {noise}")
    lines.append(
        f"{estimates.num_observations} observations, {estimates.num_unknowns} unknowns, "
        f"{estimates.degrees_of_freedom} degrees of freedom"
    )
    lines += [f"note: {problem}" for problem in estimates.problems]
    return "\n".join(line.rstrip() for line in lines)
