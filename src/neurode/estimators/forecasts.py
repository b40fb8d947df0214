"""Predictions of fitted dynamics: times laid out as lanes of one solve, and back again."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from neurode.core.closures import hoist
from neurode.core.status import SolveError, Status
from neurode.data import DataError
from neurode.estimators.padding import bucket
from neurode.estimators.scaling import Scaling
from neurode.models import SolveOptions, solve_trajectories


class Fitted(NamedTuple):
    """What a prediction needs to know of a fitted model.

    Attributes:
        field: f(s, z) in scaled units.
        scaling: between these and the user's.
        magnitude: the typical size of each variable in scaled units, [d].
        options: how it is solved.
        dtype: of its states, "float32" or "float64".
    """

    field: Callable
    scaling: Scaling
    magnitude: np.ndarray
    options: SolveOptions
    dtype: str


def lay_out(
    ts: Any,
    y0: Any,
    start_times: np.ndarray,
    initial: np.ndarray,
    names: Sequence[str],
    transform: str,
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, Callable[[list[np.ndarray]], Any]]:
    """The arguments of `predict` as one row per trajectory.

    Args:
        ts: increasing times, for all trajectories or one array each.
        y0: states at the first of these, or None for the fitted ones.
        start_times: when the fitted trajectories begin, [n].
        initial: their states then, [n, d].
        names: the d variables.
        transform: "log" asks for positive states.

    Returns:
        The times of each trajectory, when and where each starts, and the function that puts
        predictions into the form the user expects.

    Raises:
        DataError: times or states cannot be used.
    """
    is_list = isinstance(ts, (list, tuple)) and len(ts) > 0 and np.ndim(ts[0]) > 0
    rows = [_read_times(t) for t in ts] if is_list else _split_times(ts)
    is_single = len(initial) == 1
    if y0 is not None:
        initial, is_single = _read_states(y0, names, transform)
        start_times = np.array([row[0] for row in rows])
    is_shared = not is_list and np.ndim(ts) < 2
    if len(rows) == 1 and is_shared:
        rows = rows * len(initial)
    if y0 is not None:
        start_times = np.array([row[0] for row in rows])
        if len(initial) == 1:
            initial = np.repeat(initial, len(rows), axis=0)
    if len(rows) != len(initial):
        kind = "fitted trajectories" if y0 is None else "initial states"
        raise DataError(
            f"{len(rows)} arrays of times for {len(initial)} {kind}: give one array of times for "
            "all, or one for each"
        )

    def restore(values: list[np.ndarray]) -> Any:
        if is_list:
            return values
        return values[0] if is_shared and is_single else np.stack(values)

    return rows, start_times, initial, restore


def forecast(
    fitted: Fitted, start_times: np.ndarray, initial: np.ndarray, rows: list[np.ndarray]
) -> list[np.ndarray]:
    """The values [T_i, d] of each trajectory at its times, both sides of where it starts.

    Args:
        fitted: the model.
        start_times: when each starts, [n].
        initial: where each starts, [n, d].
        rows: increasing times of each.

    Raises:
        SolveError: some trajectory cannot be followed.
    """
    results = [np.full((len(row), initial.shape[1]), np.nan) for row in rows]
    for sign in (1, -1):
        chosen = [
            np.flatnonzero(sign * row >= sign * start if sign > 0 else row < start)[::sign]
            for row, start in zip(rows, start_times, strict=True)
        ]
        if not any(len(index) for index in chosen):
            continue
        # Padded to powers of two, so that other numbers of times or trajectories find the same
        # program. A trajectory added begins and ends at once.
        width, count = bucket(1 + max(len(index) for index in chosen)), bucket(len(rows))
        padded = np.full((count, width), start_times[0])
        padded[: len(rows)] = start_times[:, None]
        for i, index in enumerate(chosen):
            padded[i, 1 : len(index) + 1] = rows[i][index]
            padded[i, len(index) + 1 :] = padded[i, len(index)]
        spare = np.repeat(initial[:1], count - len(rows), axis=0)
        values = _solve(fitted, np.concatenate([initial, spare]), padded)
        for i, index in enumerate(chosen):
            results[i][index] = values[i, 1 : len(index) + 1]
    return results


def _solve(fitted: Fitted, initial: np.ndarray, ts: np.ndarray) -> np.ndarray:
    scaling, dtype = fitted.scaling, np.dtype(fitted.dtype)
    with jax.enable_x64(dtype == np.float64):
        time = jax.ShapeDtypeStruct((), dtype)
        state = jax.ShapeDtypeStruct(initial.shape[1:], dtype)
        solved = _solve_compiled(
            hoist(fitted.field, (time, state)),  # found again by what it computes
            jnp.asarray(scaling.states(initial), dtype),
            jnp.asarray(scaling.times(ts), dtype),
            jnp.asarray(fitted.magnitude, dtype),
            fitted.options,
        )
        status, states = np.asarray(solved.status), np.asarray(solved.states, np.float64)
    if (status != Status.SUCCESS).any():
        i = int(np.argmax(status != Status.SUCCESS))
        kind = Status(int(status[i]))
        good = np.isfinite(states[i]).all(axis=-1)
        reached = ts[i, max(int(np.argmin(good)) - 1, 0)]
        raise SolveError(
            f"the fitted dynamics of trajectory {i} cannot be followed from t={ts[i, 0]:g} to "
            f"t={ts[i, -1]:g}, but to t={reached:g} they can: {kind.sentence}",
            kind,
        )
    return scaling.values(states)


@eqx.filter_jit
def _solve_compiled(field, initial, ts, magnitude, options):
    return solve_trajectories(field, initial, ts, options, magnitude=magnitude)


def coefficient_of_determination(
    observed: Sequence[np.ndarray], predicted: Sequence[np.ndarray]
) -> float:
    """R^2 of the values [T_i, d] of several trajectories, averaged over the d variables."""
    truth, guess = np.concatenate(observed), np.concatenate(predicted)
    scores = []
    for y, p in zip(truth.T, guess.T, strict=True):
        seen = np.isfinite(y)
        unexplained = np.sum((y[seen] - p[seen]) ** 2)
        total = np.sum((y[seen] - np.mean(y[seen])) ** 2)
        # A constant has no variance to explain: right or wrong is all there is (as scikit-learn).
        scores.append(1 - unexplained / total if total > 0 else float(unexplained == 0))
    return float(np.mean(scores))


def _split_times(ts: Any) -> list[np.ndarray]:
    ndim = np.ndim(ts)
    if ndim == 2:
        return [_read_times(row) for row in np.asarray(ts)]
    return [_read_times(ts)]


def _read_times(ts: Any) -> np.ndarray:
    try:
        times = np.atleast_1d(np.asarray(ts, np.float64))
    except (TypeError, ValueError):
        raise DataError(f"times must be numbers, got {ts!r}") from None
    if times.ndim != 1 or not times.size:
        raise DataError(f"times must be an array of at least one number, got shape {times.shape}")
    if not np.isfinite(times).all():
        i = int(np.argmin(np.isfinite(times)))
        raise DataError(f"time {i} is {times[i]}; every time must be a finite number")
    if (np.diff(times) < 0).any():
        i = int(np.argmax(np.diff(times) < 0))
        raise DataError(
            f"times must increase, but {times[i + 1]:.17g} comes after {times[i]:.17g}: sort them"
        )
    return times


def _read_states(y0: Any, names: Sequence[str], transform: str) -> tuple[np.ndarray, bool]:
    try:
        states = np.asarray(y0, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"y0 must be numbers, got {y0!r}") from None
    d = len(names)
    is_single = states.ndim < 2
    if states.ndim > 2 or not states.size or states.shape[-1:] not in ((d,), ()):
        raise DataError(
            f"y0 must be a state of {d} values ({', '.join(names)}) or an array [m, {d}] of them, "
            f"got shape {states.shape}"
        )
    if states.size % d:
        raise DataError(f"y0 must be a state of {d} values ({', '.join(names)}), got {y0!r}")
    states = states.reshape(-1, d)
    if not np.isfinite(states).all():
        raise DataError(f"y0 holds NaN or infinite values: {states.tolist()}")
    if transform == "log" and (states <= 0).any():
        raise DataError(f"transform='log' needs positive states, got y0={states.tolist()}")
    return states, is_single
