"""Tables whose rows are samples, as users hand them over: arrays, frames or `Rows`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neurode.data import DataError, Rows
from neurode.data.errors import list_names
from neurode.estimators.columns import check_rows


def read_table_rows(X: Any, names: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """A table as float64 [n, d], and its columns' names.

    Args:
        X: an array [n, d] (or [n]), a pandas frame or `Rows`.
        names: what the columns are called, or have to be called in a frame; None takes a frame's,
            or x0, x1, ….

    Raises:
        DataError: it is no table of numbers, or has other columns.
    """
    if isinstance(X, Rows):
        found, X = X.names, X.values
    elif hasattr(X, "columns"):
        found, X = tuple(str(name) for name in X.columns), X.to_numpy()
    else:
        found = None
    try:
        values = np.asarray(X, np.float64)
    except (TypeError, ValueError):
        raise DataError(
            "the table must hold real numbers only: leave out columns of text, and fill in what "
            "is missing"
        ) from None
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or 0 in values.shape:
        raise DataError(
            f"a table of rows is needed, of shape (n, d) with at least one row and one column; got "
            f"{np.shape(X)}"
        )
    d = values.shape[1]
    if names is not None and found is not None and set(names) <= set(found):
        values = values[:, [found.index(name) for name in names]]
        return values, tuple(names)
    if names is not None and len(names) != d:
        raise DataError(f"{d} columns but {len(names)} names ({list_names(names)})")
    chosen = names or found or [f"x{i}" for i in range(d)]
    return values, tuple(str(name) for name in chosen)


def read_context(context: Any, n: int) -> np.ndarray:
    """What rows are conditioned on, [n, c]; one row for all is repeated.

    Raises:
        DataError: it is no table of numbers, or of another length.
    """
    if np.ndim(context) == 1 and not hasattr(context, "columns"):
        one = np.asarray(context)
        context = one[None] if len(one) != n or n == 1 else one[:, None]
    values, names = read_table_rows(context, None)
    check_rows(values, names, "context")
    if len(values) == 1:
        return np.broadcast_to(values, (n, values.shape[1]))
    if len(values) != n:
        raise DataError(f"context has {len(values)} rows for {n} rows of the table")
    return values
