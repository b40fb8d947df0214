"""Labels of examples, of any type: read, told apart, and compared with those of training."""

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
    missing = np.flatnonzero(_is_missing(labels.ravel()))
    if len(missing):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"y is missing in row {missing[0]}{more}: leave those rows out")
    if labels.dtype.kind != "O":
        return y
    values = labels.ravel().tolist()
    for kinds in ((bool, np.bool_), (int, float, np.integer, np.floating)):
        if all(isinstance(v, kinds) and (bool in kinds or not isinstance(v, bool)) for v in values):
            return np.array(values).reshape(labels.shape)
    return y


def encode_labels(y: Any, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes, sorted, and the number of each label's class; labels may be of any type.

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
    check_classification_targets(y)
    if len(np.unique(codes[weights > 0])) < 2:
        raise DataError(
            f"y holds one class only ({quote(classes[0])}): a classifier needs at least 2 classes"
        )
    return classes, codes.ravel()


def find_unseen(y: Any, classes: np.ndarray) -> str | None:
    """Say which labels are none of the classes, or None."""
    known = set(classes)
    unseen = [label for label in np.unique(np.asarray(y)) if label not in known]
    if not unseen:
        return None
    return (
        f"y holds labels that were not in training: {list_names(unseen, 4)} (the classes are "
        f"{list_names(classes, 8)})"
    )


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
