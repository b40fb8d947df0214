"""Examples with targets, as users hand them over: tables or images, any labels, weights."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import _check_sample_weight, validate_data

from neurode.data import DataError
from neurode.data.errors import list_names, quote
from neurode.estimators.estimator import SettingError
from neurode.estimators.labels import read_labels, read_numbers
from neurode.estimators.supervised_settings import SMALLEST_IMAGE

_CHANNELS = (1, 2, 3, 4)  # that images are likely to have; their sides are longer


class Standardiser(NamedTuple):
    """Zero mean and unit variance for every column, or every channel of images.

    Attributes:
        centre: [d] or [c].
        scale: standard deviations, 1 where there is no spread.
    """

    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, weights: np.ndarray) -> "Standardiser":
        """Choose the scaling.

        Args:
            x: [n, d] or [n, h, w, c].
            weights: of the examples, [n].
        """
        flat = x.reshape(len(x), -1, x.shape[-1])
        each = weights / weights.sum()
        centre = np.einsum("n,npc->c", each, flat) / flat.shape[1]
        spread = np.sqrt(np.einsum("n,npc->c", each, np.square(flat - centre)) / flat.shape[1])
        is_flat = spread <= 1e-12 * (1 + np.abs(centre))
        return cls(centre, np.where(is_flat, 1.0, spread))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """To zero mean and unit variance."""
        return (x - self.centre) / self.scale

    def invert(self, z: np.ndarray) -> np.ndarray:
        """Back to the units of the data."""
        return z * self.scale + self.centre


def read_examples(estimator: Any, X: Any) -> np.ndarray:
    """Examples to predict, in double precision and the shape that was fitted.

    Args:
        estimator: fitted.
        X: [n, d], or images [n, h, w], [n, h, w, c] or [n, h * w * c].

    Raises:
        DataError: they cannot be used, or are others than those fitted.
    """
    if len(estimator.shape_) == 3:
        x, is_whole = _read_images(X, estimator.shape_)
        _check_pixels(estimator, x, is_whole)
        return x
    x = _validate(estimator, _arrange(estimator, X), reset=False)
    _check_finite(x, estimator.names_)
    return x


def _arrange(estimator: Any, X: Any) -> Any:
    """The columns of a frame in the order of the names that an array was fitted with.

    A model that was fitted to a frame is scikit-learn's to look after.
    """
    names = estimator.names_
    is_by_name = not hasattr(estimator, "feature_names_in_") and names != _count_columns(len(names))
    if not is_by_name or not hasattr(X, "columns"):
        return X
    columns = [str(name) for name in X.columns]
    missing = [name for name in names if name not in columns]
    if missing:
        raise DataError(
            f"X has no column {list_names(missing)}; the model was fitted to {list_names(names)}"
        )
    return X.iloc[:, [columns.index(name) for name in names]].to_numpy()


def read_training(
    estimator: Any, X: Any, y: Any, names: Sequence[str] | None, *, numeric: bool
) -> tuple[np.ndarray, Any]:
    """Examples and targets to fit; notes on the estimator what scikit-learn wants noted there.

    Args:
        estimator: it gets n_features_in_, feature_names_in_, names_, shape_ and pixels_.
        X: as in `read_examples`.
        y: targets, [n] or [n, k].
        names: the columns of a table, or None.
        numeric: whether targets are numbers, and may have columns.

    Returns:
        The examples [n, d] or [n, h, w, c] in double precision, and the checked targets.

    Raises:
        DataError, ValueError, TypeError: they cannot be used; the message says where and why.
    """
    estimator.pixels_ = None
    is_images = estimator.shape is not None or _as_array(X).ndim > 2
    if y is not None:
        y = read_numbers(y) if numeric else read_labels(y)
    if not is_images:
        x, y = _validate(estimator, X, y, reset=True, y_numeric=numeric, multi_output=numeric)
        estimator.names_ = _name_columns(estimator, names, x.shape[1])
        _check_finite(x, estimator.names_)
        estimator.shape_ = x.shape[1:]
        return x, y
    x, is_whole = _read_images(X, _read_shape(estimator.shape))
    y = _validate_targets(estimator, x, y, numeric)
    estimator.names_, estimator.shape_ = (), x.shape[1:]
    estimator.n_features_in_ = int(np.prod(x.shape[1:]))
    estimator.pixels_ = (is_whole, float(x.min()), float(x.max()))
    return x, y


def read_weights(sample_weight: Any, x: np.ndarray) -> np.ndarray:
    """Weights of the examples in double precision, ones if there are none given.

    Raises:
        DataError: they are negative.
        ValueError: they are of another length, not finite, or all zero.
    """
    weights = _check_sample_weight(sample_weight, x, dtype=np.float64)
    if weights.min() < 0:
        raise DataError(f"sample_weight must not be negative, got {weights.min():g}")
    return weights


def _validate(estimator: Any, X: Any, y: Any = None, **how: Any) -> Any:
    given = {} if y is None and how.get("reset") is False else {"y": y}
    try:
        return validate_data(
            estimator, X, **given, dtype=np.float64, ensure_all_finite=False, **how
        )
    except (ValueError, TypeError) as error:
        _refuse_text(X)
        line = " ".join(str(error).split())  # scikit-learn writes paragraphs
        raise (DataError if isinstance(error, ValueError) else TypeError)(line) from error


def _validate_targets(estimator: Any, x: np.ndarray, y: Any, numeric: bool) -> Any:
    stand_in = np.zeros((len(x), 1))
    _, y = _validate(estimator, stand_in, y, reset=True, y_numeric=numeric, multi_output=numeric)
    return y


def _as_array(X: Any) -> np.ndarray:
    try:
        return np.asarray(X)
    except ValueError:
        shapes = [np.shape(each) for each in X]
        i = next((i for i, each in enumerate(shapes) if each != shapes[0]), 0)
        raise DataError(
            f"the examples differ in shape: {shapes[0]} in row 0, {shapes[i]} in row {i}; crop or "
            "fill them up to the same"
        ) from None


def _refuse_text(X: Any) -> None:
    """Name the column of a table that holds text, if there is one.

    Raises:
        DataError: there is.
    """
    values = np.asarray(X)
    names = getattr(X, "columns", None)
    if values.dtype.kind not in "OUS" or values.ndim != 2:
        return
    for j, column in enumerate(values.T):
        for value in (cell for cell in column if isinstance(cell, str)):
            try:
                float(value)
            except ValueError:
                name = quote(str(names[j])) if names is not None else j
                raise DataError(
                    f"column {name} holds {quote(value)}, which is no number: write categories as "
                    "columns of 0 and 1 (as pandas.get_dummies does), or leave the column out"
                ) from None


def _count_columns(d: int) -> tuple[str, ...]:
    return tuple(f"x{i}" for i in range(d))


def _name_columns(estimator: Any, names: Sequence[str] | None, d: int) -> tuple[str, ...]:
    own = getattr(estimator, "feature_names_in_", None)
    if names is None:
        return tuple(str(x) for x in (own if own is not None else _count_columns(d)))
    names = tuple(str(name) for name in names)
    if len(names) != d:
        raise DataError(f"{d} columns but {len(names)} names ({list_names(names)})")
    if len(set(names)) < d:
        raise DataError(f"names must differ from each other, got {list_names(names)}")
    if own is not None and names != tuple(own):
        raise DataError(
            f"names are {list_names(names)} but the frame's columns {list_names(own)}: leave names "
            "out"
        )
    return names


def _check_finite(x: np.ndarray, names: tuple[str, ...]) -> None:
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        row, column = bad[0]
        what = "NaN" if np.isnan(x[row, column]) else "infinity"
        raise DataError(
            f"X contains {what} in row {row}, column {quote(str(names[column]))}: fill it in or "
            "drop the row"
        )


def _read_shape(shape: Any) -> tuple[int, ...] | None:
    if shape is None:
        return None
    sizes = tuple(shape) if np.iterable(shape) else ()
    whole = all(isinstance(s, (int, np.integer)) and s > 0 for s in sizes)
    if not whole or len(sizes) not in (2, 3):
        raise SettingError(f"shape must be (height, width) or (h, w, channels), got {shape!r}")
    return tuple(int(s) for s in (*sizes, 1)[:3])


def _read_images(X: Any, shape: tuple[int, ...] | None) -> tuple[np.ndarray, bool]:
    """Images [n, h, w, c] in double precision, and whether they were whole numbers."""
    x = _as_array(X)
    if x.dtype.kind not in "buif":
        raise DataError(f"images must be numbers, of dtype uint8 or float, got dtype {x.dtype}")
    if shape is not None and x.shape in (shape, shape[:2]):
        raise DataError(
            f"one image of {_spell(shape)} where several are needed: make it the first of one, "
            "with image[None]"
        )
    if not 2 <= x.ndim <= 4 or 0 in x.shape:
        raise DataError(f"images must have shape (n, h, w) or (n, h, w, c), got {x.shape}")
    if x.ndim == 4 and x.shape[1] in _CHANNELS and x.shape[3] not in _CHANNELS:
        raise DataError(
            f"images of shape {x.shape} seem to have their channels first: put them last, with "
            "np.moveaxis(images, 1, -1)"
        )
    wanted = _read_shape(x.shape[1:]) if shape is None else shape
    assert wanted is not None
    sizes = [wanted, (int(np.prod(wanted)),)] + [wanted[:2]] * (wanted[2] == 1)
    if x.shape[1:] not in sizes:
        raise DataError(
            f"images of shape {x.shape[1:]} where {_spell(wanted)} is needed; if they are of "
            "another size, say so with shape=(height, width)"
        )
    if min(wanted[:2]) < SMALLEST_IMAGE:
        raise DataError(
            f"images of {_spell(wanted)} are too small for convolutions; the least is "
            f"{SMALLEST_IMAGE} x {SMALLEST_IMAGE}; as rows of a table they can be learned"
        )
    is_whole = x.dtype.kind in "bui"
    x = x.reshape(len(x), *wanted).astype(np.float64)
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        n, i, j, _ = bad[0]
        what = "NaN" if np.isnan(x[tuple(bad[0])]) else "infinity"
        raise DataError(f"image {n} contains {what} at pixel ({i}, {j}): leave the image out")
    return x, is_whole


def _check_pixels(estimator: Any, x: np.ndarray, is_whole: bool) -> None:
    """Refuse bytes where fractions were fitted and the other way round: silently wrong, else."""
    was_whole, low, high = estimator.pixels_
    kinds = ("floats", "whole numbers")
    found = f"pixels are {kinds[is_whole]} from {x.min():g} to {x.max():g}"
    fitted = f"the model was fitted to {kinds[was_whole]} from {low:g} to {high:g}"
    is_fraction = was_whole and not np.array_equal(x, np.round(x))
    if is_fraction or (is_whole and not was_whole and x.max() > 2 * max(high, 1.0)):
        raise DataError(f"{found}, but {fitted}: scale the images alike")
    if x.max() > high + (high - low) or x.max() < low + (high - low) / 10:
        warnings.warn(f"{found}; {fitted}: are they scaled alike?", stacklevel=5)


def _spell(shape: Any) -> str:
    return " x ".join(str(s) for s in (shape[:2] if shape[2] == 1 else shape))
