"""Fitted models as one file of arrays and JSON: what was fitted, and what is needed to go on."""

import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neurode import store
from neurode.estimators.archives import (
    decode_settings,
    expected_arrays,
    pack_history,
    unpack_history,
    write_archive,
)
from neurode.estimators.inference import Estimates
from neurode.estimators.odes import fingerprint, trace_field, trace_ode
from neurode.estimators.scaling import Scaling
from neurode.nn import MLPField

FIELDS = {"MLPField": MLPField}
"""Networks that a file can rebuild by itself; a user's own has to be passed back."""


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
    arrays = _arrays(estimator)
    facts = {
        "field": _describe_field(estimator),
        "names": list(estimator.names_),
        "parameters": None if estimator.estimates_ is None else list(estimator.estimates_.names),
        "problems": [] if estimator.estimates_ is None else list(estimator.estimates_.problems),
        "observations": _counts(estimator.estimates_),
        "scaling": estimator.scaling_.to_json(),
    }
    network = None if estimator.estimates_ is not None else estimator.field_
    return write_archive(path, estimator, {"field": network}, arrays, facts)


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
        like = expected_arrays(metadata)
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
    arrays |= pack_history(estimator.history_)
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
    estimator.history_ = unpack_history(arrays)
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
