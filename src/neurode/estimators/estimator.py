"""What all estimators share: scikit-learn's manners, and how their arguments are read."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from neurode.data import DataError, SeriesBatch, Table


class SettingError(ValueError):
    """An argument of an estimator that cannot be; the message says which, its value, and why."""


class IdentifiabilityWarning(UserWarning):
    """The data do not determine all parameters; the message names those they do not."""


class Estimator(BaseEstimator):
    """The base of all estimators: parameters are set when it is made and checked by `fit`."""

    def _check_fitted(self) -> None:
        """Raise scikit-learn's NotFittedError before `fit`."""
        check_is_fitted(self, "names_")

    def _key(self) -> Key[Array, ""]:
        """The typed key that `random_state` stands for."""
        state = getattr(self, "random_state", 0)
        if state is None:
            return jax.random.key(np.random.SeedSequence().generate_state(1)[0])
        if isinstance(state, (int, np.integer)) and not isinstance(state, bool):
            return jax.random.key(int(state))
        if hasattr(state, "dtype") and jax.numpy.issubdtype(state.dtype, jax.dtypes.prng_key):
            return state
        raise SettingError(
            f"random_state must be a whole number, a typed JAX key or None, got {state!r}"
        )


def check_choice(name: str, value: Any, choices: Sequence[Any]) -> None:
    """Refuse a setting that is not among its choices."""
    if not any(value is choice or value == choice for choice in choices):
        listed = ", ".join(repr(choice) for choice in choices)
        raise SettingError(f"{name} must be one of {listed}, got {value!r}")


def check_number(name: str, value: Any, *, least: float, whole: bool = False) -> None:
    """Refuse a setting that is not a finite number of at least `least` (above it, unless whole)."""
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    is_number = isinstance(value, kinds) and not isinstance(value, bool)
    if not is_number or not np.isfinite(value) or value < least:
        kind = "whole number" if whole else "number"
        raise SettingError(f"{name} must be a {kind} of at least {least:g}, got {value!r}")


def read_series(ts: Any, ys: Any = None, names: Sequence[str] | None = None) -> SeriesBatch:
    """Observed trajectories in any of the forms that `fit` and `score` accept.

    Args:
        ts: times [T] or [n, T]; a list of arrays of times; a list of pairs (times, values); a
            `SeriesBatch`; or a `Table`. The last three leave out `ys`.
        ys: values [T], [T, d] or [n, T, d], a pandas frame, or a list of arrays; NaN is missing.
        names: the d variables; None takes a frame's columns, or y0, y1, ….

    Raises:
        DataError: it is none of these, or times or values cannot be used.
    """
    # In double precision whatever the default: calendar years would lose their fractions.
    with jax.enable_x64(True):
        if isinstance(ts, (SeriesBatch, Table)):
            if ys is not None:
                raise DataError(f"a {type(ts).__name__} holds its values: leave out ys")
            return ts if isinstance(ts, SeriesBatch) else SeriesBatch.from_table(ts)
        if hasattr(ts, "columns"):
            raise DataError(
                "the times are a frame: give its column of times and its columns of values, as in "
                "fit(frame['time'], frame[['a', 'b']])"
            )
        if ys is None:
            if not _is_nested(ts):
                raise DataError(
                    "ys is missing: give fit(ts, ys), or a list of pairs (times, values)"
                )
            last = ts[0][-1] if len(ts[0]) else None
            return SeriesBatch.from_list(ts, names=_column_names(names, last))
        if _is_nested(ts):
            if not hasattr(ys, "__len__") or len(ys) != len(ts):
                count = len(ys) if hasattr(ys, "__len__") else "no"
                raise DataError(f"{len(ts)} arrays of times but {count} arrays of values")
            pairs = list(zip(ts, ys, strict=True))
            return SeriesBatch.from_list(pairs, names=_column_names(names, ys[0]))
        return SeriesBatch.from_arrays(ts, ys, names=_column_names(names, ys))


def _is_nested(data: Any) -> bool:
    """Whether data are a list of arrays or pairs, rather than of numbers."""
    if not isinstance(data, (list, tuple)) or not len(data):
        return False
    return hasattr(data[0], "__len__") and getattr(data[0], "ndim", 1) > 0


def _column_names(names: Sequence[str] | None, values: Any) -> Sequence[str] | None:
    if names is not None:
        if isinstance(names, str):
            raise DataError(f"names={names!r} must be a list of names: [{names!r}]")
        return [str(name) for name in names]
    if hasattr(values, "columns"):
        return [str(name) for name in values.columns]
    own = getattr(values, "name", None)
    return [str(own)] if own is not None and np.ndim(values) == 1 else None
