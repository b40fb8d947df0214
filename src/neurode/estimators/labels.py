"""Targets of examples: labels, told apart, or numbers."""

from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from neurode.data import DataError
from neurode.data.errors import list_names, quote


def read_labels(y: Any) -> Any:
    """Labels as they are given, none missing; objects that are all numbers or booleans as such.

    Args:
        y: [n] or [n, 1], anything that NumPy takes.

    Raises:
        DataError: one is missing; the message says where.
    """
    labels = np.asarray(y)
    _refuse_missing(labels)
    if labels.dtype.kind != "O":
        return y
    values = labels.ravel().tolist()
    are_bools = [isinstance(v, (bool, np.bool_)) for v in values]
    are_numbers = [isinstance(v, (int, float, np.integer, np.floating)) for v in values]
    if all(are_bools) or (all(are_numbers) and not any(are_bools)):
        return np.array(values).reshape(labels.shape)
    return y


def read_numbers(y: Any) -> np.ndarray:
    """Targets of a regression in double precision, none missing.

    Args:
        y: [n] or [n, k], anything that NumPy takes.

    Raises:
        DataError: they are no numbers, or one is missing; the message says where.
    """
    values = np.asarray(y)
    _refuse_missing(values)
    first = values.ravel()[:1].tolist()
    if first and isinstance(first[0], (str, bytes)):
        raise DataError(
            f"y holds text such as {quote(first[0])}: a regressor needs numbers; labels are "
            "learned by ODENetClassifier"
        )
    if values.dtype.kind == "c":
        raise DataError("Complex data not supported: y must hold real numbers")
    try:
        if values.dtype.kind in "mM":
            raise TypeError
        return values.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"y holds {quote(first[0])}, of type {type(first[0]).__name__}: a regressor needs real "
            "numbers"
        ) from None


def encode_labels(y: Any, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes, sorted, and the number of each label's class.

    Raises:
        DataError: there is only one class, or labels that cannot be told apart.
        ValueError: they are numbers on a continuous scale.
    """
    try:
        classes, codes = np.unique(y, return_inverse=True)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in np.asarray(y, object)})
        raise DataError(
            f"the labels are of several types ({', '.join(kinds)}) and have no order: make them "
            "all text or all numbers"
        ) from None
    if classes.dtype.kind == "O" and not isinstance(classes[0], str):
        raise DataError(
            f"labels of type {type(classes[0]).__name__}, such as {quote(classes[0])}: make them "
            "text, whole numbers, booleans or NumPy's dates"
        )
    check_classification_targets(y)
    if len(np.unique(codes[weights > 0])) < 2:
        raise DataError(
            f"y holds one class only ({quote(classes[0])}): a classifier needs at least 2 classes"
        )
    return classes, codes.ravel()


def find_unseen(y: Any, classes: np.ndarray) -> str | None:
    """Say which labels are none of the classes, or None."""
    known = set(classes)
    unseen = [label for label in dict.fromkeys(np.asarray(y).ravel()) if label not in known]
    if not unseen:
        return None
    kinds = {type(label).__name__ for label in np.asarray(unseen).ravel().tolist()}
    others = {type(label).__name__ for label in classes.tolist()}
    types = "" if kinds & others else f"; they are of type {kinds.pop()}, not {others.pop()}"
    return (
        f"y holds labels that were not in training: {list_names(unseen, 4)} (the classes are "
        f"{list_names(classes, 8)}{types})"
    )


def _refuse_missing(targets: np.ndarray) -> None:
    missing = np.flatnonzero(_is_missing(targets.ravel()))
    if len(missing):
        row = missing[0] // max(1, targets[:1].size)
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"y is missing in row {row}{more}: leave those rows out")


def _is_missing(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype.kind in "mM":
        return np.isnat(labels)
    if labels.dtype.kind != "O":
        return np.zeros(len(labels), bool)
    # pandas' NA has no truth value, so it is told by its name: pandas need not be there.
    return np.array(
        [v is None or type(v).__name__ in ("NAType", "NaTType") or v != v for v in labels], bool
    )
