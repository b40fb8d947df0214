"""Fitted models as one file of arrays and JSON: what was fitted, and what is needed to go on."""

import dataclasses
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np

import neurode.gradients
import neurode.solvers
from neurode import store
from neurode.estimators.inference import Estimates
from neurode.estimators.odes import fingerprint, trace_field, trace_ode
from neurode.estimators.scaling import Scaling
from neurode.nn import MLPField

FILE = "model.safetensors"
FORMAT = "neurode-model"
FORMAT_VERSION = 1

FIELDS = {"MLPField": MLPField}
"""Networks that a file can rebuild by itself; a user's own has to be passed back."""

OPTIONS = {
    name: getattr(room, name)
    for room in (neurode.gradients, neurode.solvers)
    for name in room.__all__
    if isinstance(getattr(room, name), type)
}
"""Classes whose instances may be settings of an estimator; no other is ever made from a file."""


def make_target(path: str | os.PathLike[str]) -> Path:
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


def write_model(path: str | os.PathLike[str], estimator: Any) -> Path:
    """Write a fitted estimator.

    Args:
        path: a folder, which is made if need be, or a *.safetensors file.
        estimator: what was fitted.

    Returns:
        The file.

    Raises:
        SaveError: it could not be written.
    """
    target = make_target(path)
    arrays = _arrays(estimator)
    metadata = {
        "model": FORMAT,
        "model_version": FORMAT_VERSION,
        "estimator": type(estimator).__name__,
        "settings": encode_settings(estimator),
        "field": _describe_field(estimator),
        "names": list(estimator.names_),
        "parameters": None if estimator.estimates_ is None else list(estimator.estimates_.names),
        "problems": [] if estimator.estimates_ is None else list(estimator.estimates_.problems),
        "observations": _counts(estimator.estimates_),
        "scaling": estimator.scaling_.to_json(),
        "stats": estimator.stats_,
        "arrays": {name: [str(x.dtype), list(x.shape)] for name, x in arrays.items()},
    }
    network = None if estimator.estimates_ is not None else estimator.field_
    store.save(target, {"field": network, "arrays": arrays}, metadata)
    return target


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


def read_model(path: Path, metadata: dict[str, Any], make: Callable, field: Any) -> Any:
    """Rebuild a fitted estimator.

    Args:
        path: its file.
        metadata: its header.
        make: the estimator's class.
        field: the user's own field or ODE, or None.

    Raises:
        ArchiveError: the field is missing or another one, or the file does not fit together.
    """
    try:
        settings = decode_settings(metadata["settings"])
        given = field if field is not None else _rebuild_field(path, metadata)
        # A default network is described by its settings; any other field is a setting itself.
        is_default = field is None and metadata["field"]["is_default"]
        estimator = make(None if is_default else given, **settings)
        estimator.names_ = tuple(str(name) for name in metadata["names"])
        estimator.n_features_in_ = len(estimator.names_)
        estimator.scaling_ = Scaling.from_json(metadata["scaling"])
        estimator.stats_ = dict(metadata["stats"])
        estimator.dtype_ = str(metadata["field"]["dtype"])
        like = {
            name: np.broadcast_to(np.zeros((), dtype), tuple(shape))  # takes no memory
            for name, (dtype, shape) in metadata["arrays"].items()
        }
        is_network = metadata["parameters"] is None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, store.ArchiveError):
            raise
        raise store.ArchiveDamaged(f"{path} does not describe a model: {error}") from None
    _check_field(path, metadata["field"], estimator, given)
    tree, _ = store.load(path, {"field": given if is_network else None, "arrays": like})
    _adopt_arrays(estimator, tree["arrays"], metadata)
    if is_network:
        estimator.field_ = tree["field"]
        if metadata["field"]["kind"] != "user" and not is_default:
            estimator.field = tree["field"]
    return estimator


def _arrays(estimator: Any) -> dict[str, np.ndarray]:
    arrays = {
        "initial": estimator.initial_,
        "start_times": estimator.start_times_,
        "noise": estimator.noise_,
        "magnitude": estimator.magnitude_,
    }
    arrays |= {f"history/{name}": np.asarray(v) for name, v in estimator.history_.items()}
    if estimator.estimates_ is not None:
        e = estimator.estimates_
        arrays |= {f"estimates/{name}": getattr(e, name) for name in _ESTIMATE_ARRAYS}
    return {name: np.asarray(value) for name, value in arrays.items()}


_ESTIMATE_ARRAYS = (
    "values",
    "standard_errors",
    "intervals",
    "covariance",
    "initial_standard_errors",
)


def _adopt_arrays(estimator: Any, arrays: Mapping[str, np.ndarray], metadata: Any) -> None:
    history = "history/"
    estimator.history_ = {
        name.removeprefix(history): value
        for name, value in arrays.items()
        if name.startswith(history)
    }
    estimator.start_times_, estimator.magnitude_ = arrays["start_times"], arrays["magnitude"]
    estimator.initial_, estimator.noise_ = arrays["initial"], arrays["noise"]
    estimator.estimates_ = None
    if metadata["parameters"] is not None:
        observations, unknowns = metadata["observations"]
        estimator._adopt(
            Estimates(
                names=tuple(metadata["parameters"]),
                initial=arrays["initial"],
                noise=arrays["noise"],
                num_observations=observations,
                num_unknowns=unknowns,
                problems=tuple(metadata["problems"]),
                **{name: arrays[f"estimates/{name}"] for name in _ESTIMATE_ARRAYS},
            )
        )


def _counts(estimates: Estimates | None) -> list[int] | None:
    return None if estimates is None else [estimates.num_observations, estimates.num_unknowns]


def _describe_field(estimator: Any) -> dict[str, Any]:
    """How the field can be had again, and by what it is known."""
    field, d = estimator.field_, len(estimator.names_)
    entry = {"dtype": estimator.dtype_, "is_default": estimator.field is None}
    if estimator.estimates_ is None and type(field) is MLPField:
        return entry | {
            "kind": "MLPField",
            "size": d,
            "hidden": list(field.hidden),
            "activation": field.activation,
            "time_dependent": field.time_dependent,
        }
    own = estimator.field
    name = getattr(own, "__qualname__", type(own).__qualname__)
    return entry | {
        "kind": "user",
        "name": name,
        "fingerprint": _fingerprint(estimator, own),
        "jax": jax.__version__,
    }


def _fingerprint(estimator: Any, field: Any) -> str:
    d = len(estimator.names_)
    if estimator.parameters is not None:
        return fingerprint(trace_ode(field, list(estimator.parameters), d))
    return fingerprint(trace_field(field, d, estimator.dtype_))


def _rebuild_field(path: Path, metadata: dict[str, Any]) -> Any:
    entry = metadata["field"]
    if entry["kind"] not in FIELDS:
        what = "ODE" if metadata["parameters"] is not None else "network"
        raise store.ArchiveError(
            f"{path} was fitted with your own {what} {entry['name']!r}, which no file holds: pass "
            "field=f, the function it was saved with"
        )
    with jax.enable_x64(entry["dtype"] == "float64"):
        return FIELDS[entry["kind"]](
            entry["size"],
            tuple(entry["hidden"]),
            activation=entry["activation"],
            time_dependent=entry["time_dependent"],
            key=jax.random.key(0),
        )


def _check_field(path: Path, entry: dict[str, Any], estimator: Any, field: Any) -> None:
    if entry["kind"] in FIELDS:
        if not isinstance(field, FIELDS[entry["kind"]]):
            raise store.ArchiveMismatch(
                f"{path} holds a {entry['kind']} and needs no field: leave out field={field!r}"
            )
        return
    try:
        found = _fingerprint(estimator, field)
    except Exception as error:
        raise store.ArchiveMismatch(
            f"{path} was fitted with another field than this one, which cannot be called as that "
            f"was ({error}): pass field=f, the function it was saved with"
        ) from error
    if found == entry["fingerprint"]:
        return
    if entry.get("jax") != jax.__version__:
        # Another JAX may write the same program differently: it cannot be told.
        warnings.warn(
            f"{path} was saved with JAX {entry.get('jax')} and this is {jax.__version__}, so "
            f"whether this field is {entry['name']!r} as it was fitted cannot be checked",
            stacklevel=4,
        )
        return
    raise store.ArchiveMismatch(
        f"{path} was fitted with {entry['name']!r}, and this field computes something else: pass "
        "field=f, the function it was saved with"
    )


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
