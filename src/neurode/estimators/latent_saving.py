"""A fitted `LatentODE` as one file of arrays and JSON."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from neurode import store
from neurode.data.calendar import Calendar
from neurode.estimators.archives import (
    decode_settings,
    expected_arrays,
    pack_history,
    unpack_history,
    write_archive,
)
from neurode.estimators.latent_states import Posterior
from neurode.estimators.odes import fingerprint, trace_field
from neurode.estimators.scaling import Scaling


def write_latent(path: str | os.PathLike[str], estimator: Any) -> Path:
    """Write a fitted `LatentODE`.

    Args:
        path: a folder, which is made if need be, or a *.safetensors file.
        estimator: what was fitted.

    Returns:
        The file.

    Raises:
        SaveError: it could not be written.
    """
    arrays = estimator.posterior_._asdict() | {"last_times": estimator.last_times_}
    arrays |= pack_history(estimator.history_)
    dtype = np.dtype(jnp.result_type(float)).name
    calendar = estimator.calendar_
    facts = {
        "field": _describe_field(estimator, dtype),
        "dtype": dtype,
        "names": list(estimator.names_),
        "labels": None if estimator.labels_ is None else list(estimator.labels_),
        "calendar": None if calendar is None else {"zone": calendar.zone},
        "columns": {"id": estimator.id_, "time": estimator.time_},
        "is_single": estimator.is_single_,
        "gap": estimator.gap_,
        "events": estimator.has_events_,
        "scaling": estimator.scaling_.to_json(),
    }
    return write_archive(path, estimator, {"model": estimator.model_}, arrays, facts)


def read_latent(path: Path, metadata: dict[str, Any], make: Callable, field: Any) -> Any:
    """Rebuild a fitted `LatentODE`.

    Args:
        path: its file.
        metadata: its header.
        make: the estimator's class.
        field: the user's own field, or None.

    Raises:
        ArchiveError: the field is missing or another one, or the file does not fit together.
    """
    try:
        _check_field(path, metadata, field)
        estimator = make(field=field, **decode_settings(metadata["settings"]))
        estimator.names_ = tuple(str(name) for name in metadata["names"])
        estimator.n_features_in_ = len(estimator.names_)
        labels, calendar = metadata["labels"], metadata["calendar"]
        estimator.labels_ = None if labels is None else tuple(map(str, labels))
        estimator.calendar_ = None if calendar is None else Calendar(calendar["zone"])
        estimator.id_, estimator.time_ = metadata["columns"]["id"], metadata["columns"]["time"]
        estimator.is_single_, estimator.gap_ = bool(metadata["is_single"]), float(metadata["gap"])
        estimator.scaling_ = Scaling.from_json(metadata["scaling"])
        estimator.has_events_ = bool(metadata.get("events", False))
        estimator.stats_ = dict(metadata["stats"])
        like = expected_arrays(metadata)
        with jax.enable_x64(metadata["dtype"] == "float64"):
            rate = 1.0 if estimator.has_events_ else None
            model = estimator._new_model(estimator.n_features_in_, estimator.scaling_, rate)
            tree, _ = store.load(path, {"model": model, "arrays": like})
        arrays = tree["arrays"]
        estimator.posterior_ = Posterior(**{name: arrays[name] for name in Posterior._fields})
        estimator.last_times_ = arrays["last_times"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, store.ArchiveError):
            raise
        raise store.ArchiveDamaged(f"{path} does not describe a model: {error}") from None
    estimator.model_ = tree["model"]
    estimator.history_ = unpack_history(arrays)
    return estimator


def _describe_field(estimator: Any, dtype: str) -> dict[str, Any] | None:
    """By what a user's own field is known; None for the default network."""
    if estimator.field is None:
        return None
    return {
        "name": type(estimator.field).__qualname__,
        "fingerprint": fingerprint(trace_field(estimator.field, estimator.latent, dtype)),
        "latent": estimator.latent,
        "jax": jax.__version__,
    }


def _check_field(path: Path, metadata: dict[str, Any], field: Any) -> None:
    entry = metadata["field"]
    if entry is None:
        if field is not None:
            raise store.ArchiveMismatch(
                f"{path} holds its own network and needs no field: leave out field={field!r}"
            )
        return
    if field is None:
        raise store.ArchiveError(
            f"{path} was fitted with your own network {entry['name']!r}, which no file holds: pass "
            "field=f, the function it was saved with"
        )
    found = fingerprint(trace_field(field, entry["latent"], metadata["dtype"]))
    if found != entry["fingerprint"] and entry["jax"] == jax.__version__:
        raise store.ArchiveMismatch(
            f"{path} was fitted with {entry['name']!r}, and this field computes something else: "
            "pass field=f, the function it was saved with"
        )
