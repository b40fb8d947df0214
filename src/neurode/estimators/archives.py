"""What the files of all fitted estimators share: one archive of arrays, with a header of JSON."""

import dataclasses
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

import neurode.gradients
import neurode.solvers
from neurode import store

FILE = "model.safetensors"
FORMAT = "neurode-model"
FORMAT_VERSION = 1
_HISTORY = "history/"

OPTIONS = {
    name: getattr(room, name)
    for room in (neurode.gradients, neurode.solvers)
    for name in room.__all__
    if isinstance(getattr(room, name), type)
}
"""Classes whose instances may be settings of an estimator; no other is ever made from a file."""


def _make_target(path: str | os.PathLike[str]) -> Path:
    """The file of a model that is about to be written, in a folder that is made if need be.

    Raises:
        SaveError: the folder cannot be made.
    """
    target = Path(path)
    with store.saving(target):
        if target.suffix != ".safetensors":
            target.mkdir(parents=True, exist_ok=True)
            return target / FILE
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


def write_archive(
    path: str | os.PathLike[str],
    estimator: Any,
    tree: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    facts: Mapping[str, Any],
) -> Path:
    """Write a fitted estimator.

    Args:
        path: a folder, which is made if need be, or a *.safetensors file.
        estimator: what was fitted.
        tree: its networks, by name.
        arrays: besides, by name.
        facts: what this kind of estimator needs besides, as JSON. They may replace the settings.

    Returns:
        The file.

    Raises:
        SaveError: it could not be written.
    """
    target = _make_target(path)
    metadata = {
        "model": FORMAT,
        "model_version": FORMAT_VERSION,
        "estimator": type(estimator).__name__,
        "settings": encode_settings(estimator),
        **facts,
        "stats": estimator.stats_,
        "arrays": {name: [str(x.dtype), list(x.shape)] for name, x in arrays.items()},
    }
    store.save(target, {**tree, "arrays": arrays}, metadata)
    return target


def expected_arrays(metadata: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays like those that a file's header describes."""
    return {
        name: np.broadcast_to(np.zeros((), dtype), tuple(shape))  # takes no memory
        for name, (dtype, shape) in metadata["arrays"].items()
    }


def pack_history(history: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The curves of training, by the names that they have in a file."""
    return {f"{_HISTORY}{name}": np.asarray(values) for name, values in history.items()}


def unpack_history(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `pack_history`, from all arrays of a file."""
    return {
        name.removeprefix(_HISTORY): values
        for name, values in arrays.items()
        if name.startswith(_HISTORY)
    }


def find_model(path: str | os.PathLike[str]) -> Path:
    """The file of a model, given it or its folder.

    Raises:
        ArchiveError: there is none.
    """
    target = Path(path)
    if target.is_dir():
        if not (target / FILE).is_file():
            raise store.ArchiveError(
                f"{target} holds no {FILE}: a fit that ended writes it, so let the fit end first, "
                "or give another folder"
            )
        return target / FILE
    if not target.exists():
        raise store.ArchiveError(f"{target} does not exist: give the folder or file of a model")
    return target


def read_header(path: Path) -> dict[str, Any]:
    """The checked metadata of a model's file.

    Raises:
        ArchiveError: it is damaged, foreign, newer, or no model.
    """
    metadata = store.read_metadata(path)
    if metadata.get("model") != FORMAT:
        raise store.ArchiveError(
            f"{path} holds no fitted model (it may be a checkpoint of training): give the folder "
            f"of a run that ended, or its {FILE}"
        )
    version = metadata.get("model_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise store.ArchiveError(
            f"{path} holds a model in format {version}; this neurode reads up to format "
            f"{FORMAT_VERSION}: upgrade neurode"
        )
    return metadata


def encode_settings(estimator: Any) -> dict[str, Any]:
    """The settings of an estimator as JSON; the field is described by itself."""
    given = estimator.get_params(deep=False)
    return {name: _encode(value) for name, value in given.items() if name != "field"}


def _encode(value: Any) -> Any:
    """A setting as JSON, or None inside {"unsaved": ...} if it has no such form."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    is_scalar = isinstance(value, np.generic) or (eqx.is_array(value) and value.ndim == 0)
    if is_scalar and not jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_encode(x) for x in value]
    if isinstance(value, Mapping):
        return {"dict": {str(name): _encode(x) for name, x in value.items()}}
    name = type(value).__name__
    if OPTIONS.get(name) is type(value) and dataclasses.is_dataclass(value):
        names = [f.name for f in dataclasses.fields(value) if f.init]
        return {"option": name, "with": {n: _encode(getattr(value, n)) for n in names}}
    return {"unsaved": repr(value)[:200]}


def decode_settings(entries: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `encode_settings`; what no file can hold is left out, with a warning."""
    settings = {name: _decode(entry) for name, entry in entries.items()}
    lost = [name for name, value in settings.items() if isinstance(value, _Unsaved)]
    if lost:
        warnings.warn(
            f"the file does not hold the setting {', '.join(lost)}: it is the default now",
            stacklevel=5,
        )
    return {name: value for name, value in settings.items() if name not in lost}


class _Unsaved:
    """Stands for a setting that no file can hold."""


def _decode(entry: Any) -> Any:
    if isinstance(entry, list):
        return tuple(_decode(x) for x in entry)
    if not isinstance(entry, dict):
        return entry
    if "dict" in entry:
        return {name: _decode(x) for name, x in entry["dict"].items()}
    if "option" in entry:
        values = {name: _decode(x) for name, x in entry["with"].items()}
        if any(isinstance(value, _Unsaved) for value in values.values()):
            return _Unsaved()
        return OPTIONS[entry["option"]](**values)
    return _Unsaved()
