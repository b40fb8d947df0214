"""Classifiers and regressors as one file of arrays and JSON."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neurode import store
from neurode.estimators.archives import (
    decode_settings,
    encode_settings,
    expected_arrays,
    pack_history,
    unpack_history,
    write_archive,
)
from neurode.estimators.samples import Standardiser
from neurode.estimators.supervised_settings import make_net


def write_net(path: str | os.PathLike[str], estimator: Any) -> Path:
    """Write a fitted `ODENetClassifier` or `ODENetRegressor`.

    Args:
        path: a folder, which is made if need be, or a *.safetensors file.
        estimator: what was fitted.

    Returns:
        The file.

    Raises:
        SaveError: it could not be written.
    """
    e = estimator
    arrays = pack_history(e.history_)
    arrays |= {"inputs/centre": e.inputs_.centre, "inputs/scale": e.inputs_.scale}
    is_classifier = hasattr(e, "classes_")
    if not is_classifier:
        arrays |= {"targets/centre": e.targets_.centre, "targets/scale": e.targets_.scale}
    settings = encode_settings(e)
    if isinstance(getattr(e, "class_weight", None), dict):  # whose keys need not be text
        places = {label: i for i, label in enumerate(e.classes_)}
        settings["class_weight"] = [[places[k], float(v)] for k, v in e.class_weight.items()]
    facts = {
        "settings": settings,
        "dtype": e.dtype_,
        "shape": list(e.shape_),
        "pixels": None if e.pixels_ is None else list(e.pixels_),
        "names": list(e.names_),
        "is_named": hasattr(e, "feature_names_in_"),
        "tolerance": e.tolerance_,
        "outputs": len(e.classes_) if is_classifier else len(e.targets_.centre),
        "labels": _write_labels(e.classes_) if is_classifier else None,
        "is_column": None if is_classifier else e.is_column_,
    }
    return write_archive(path, estimator, {"net": e.net_}, arrays, facts)


def read_net(path: Path, metadata: dict[str, Any], make: Any, field: Any) -> Any:
    """Rebuild a fitted `ODENetClassifier` or `ODENetRegressor`.

    Args:
        path: its file.
        metadata: its header.
        make: the estimator's class.
        field: must be None; the file holds the whole network.

    Raises:
        ArchiveError: the file does not fit together, or a field is given.
    """
    if field is not None:
        raise store.ArchiveMismatch(f"{path} needs no field: leave out field={field!r}")
    try:
        settings = dict(metadata["settings"])
        pairs = settings.get("class_weight")
        if isinstance(pairs, list):
            settings["class_weight"] = None
        e = make(**decode_settings(settings))
        _adopt(e, metadata)
        if isinstance(pairs, list):
            e.class_weight = {e.classes_[i]: weight for i, weight in pairs}
        like = expected_arrays(metadata)
        with jax.enable_x64(e.dtype_ == "float64"):
            net = make_net(e, e.shape_, int(metadata["outputs"]), jax.random.key(0))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise store.ArchiveDamaged(f"{path} does not describe an ODE-Net: {error}") from None
    tree, _ = store.load(path, {"net": net, "arrays": like})
    e.net_, arrays = tree["net"], tree["arrays"]
    e.inputs_ = Standardiser(arrays["inputs/centre"], arrays["inputs/scale"])
    if metadata["labels"] is None:
        e.targets_ = Standardiser(arrays["targets/centre"], arrays["targets/scale"])
    e.history_ = unpack_history(arrays)
    return e


def _adopt(e: Any, metadata: dict[str, Any]) -> None:
    e.dtype_ = str(metadata["dtype"])
    e.shape_ = tuple(int(size) for size in metadata["shape"])
    e.n_features_in_ = int(np.prod(e.shape_))
    e.pixels_ = None if metadata["pixels"] is None else tuple(metadata["pixels"])
    e.names_ = tuple(str(name) for name in metadata["names"])
    if metadata["is_named"]:
        e.feature_names_in_ = np.array(e.names_, object)
    e.tolerance_ = float(metadata["tolerance"])
    e.stats_ = dict(metadata["stats"])
    if metadata["labels"] is None:
        e.is_column_ = bool(metadata["is_column"])
    else:
        e.classes_ = np.array(metadata["labels"]["values"], metadata["labels"]["dtype"])


def _write_labels(classes: np.ndarray) -> dict[str, Any]:
    kind = "object" if classes.dtype.kind == "O" else classes.dtype.str
    values = classes.view(np.int64) if classes.dtype.kind in "mM" else classes  # dates, spans
    return {"dtype": kind, "values": values.tolist()}
