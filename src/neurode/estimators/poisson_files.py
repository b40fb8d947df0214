"""A fitted `PoissonProcess` as one file of arrays and JSON."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from neurode import store
from neurode.data.calendar import Calendar
from neurode.estimators.saving import (
    FORMAT,
    FORMAT_VERSION,
    decode_settings,
    encode_settings,
    make_target,
)
from neurode.models import LatentIntensity

_HISTORY = "history/"


def write_process(path: str | os.PathLike[str], estimator: Any) -> Path:
    """Write a fitted `PoissonProcess`.

    Args:
        path: a folder, which is made if need be, or a *.safetensors file.
        estimator: what was fitted.

    Returns:
        The file.

    Raises:
        SaveError: it could not be written.
    """
    target = make_target(path)
    arrays = {f"{_HISTORY}{name}": np.asarray(v) for name, v in estimator.history_.items()}
    arrays["windows"] = estimator.windows_
    calendar = estimator.calendar_
    metadata = {
        "model": FORMAT,
        "model_version": FORMAT_VERSION,
        "estimator": type(estimator).__name__,
        "settings": encode_settings(estimator),
        "dtype": str(estimator.model_.scale.dtype),
        "calendar": None if calendar is None else {"zone": calendar.zone},
        "num_events": estimator.num_events_,
        "stats": estimator.stats_,
        "arrays": {name: [str(x.dtype), list(x.shape)] for name, x in arrays.items()},
    }
    store.save(target, {"model": estimator.model_, "arrays": arrays}, metadata)
    return target


def read_process(path: Path, metadata: dict[str, Any], make: Callable, field: Any) -> Any:
    """Rebuild a fitted `PoissonProcess`.

    Args:
        path: its file.
        metadata: its header.
        make: the estimator's class.
        field: must be None, for the networks are its own.

    Raises:
        ArchiveError: a field was given, or the file does not fit together.
    """
    if field is not None:
        raise store.ArchiveMismatch(
            f"{path} holds its own networks and needs no field: leave out field={field!r}"
        )
    try:
        estimator = make(**decode_settings(metadata["settings"]))
        calendar = metadata["calendar"]
        estimator.calendar_ = None if calendar is None else Calendar(calendar["zone"])
        estimator.num_events_ = int(metadata["num_events"])
        estimator.stats_ = dict(metadata["stats"])
        like = {
            name: np.broadcast_to(np.zeros((), dtype), tuple(shape))  # takes no memory
            for name, (dtype, shape) in metadata["arrays"].items()
        }
        with jax.enable_x64(metadata["dtype"] == "float64"):
            model = LatentIntensity.new(
                estimator.latent,
                tuple(estimator.hidden),
                tuple(estimator.readout),
                1.0,
                jax.random.key(0),
            )
            tree, _ = store.load(path, {"model": model, "arrays": like})
        estimator.windows_ = tree["arrays"]["windows"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, store.ArchiveError):
            raise
        raise store.ArchiveDamaged(f"{path} does not describe a model: {error}") from None
    estimator.model_ = tree["model"]
    estimator.history_ = {
        name.removeprefix(_HISTORY): value
        for name, value in tree["arrays"].items()
        if name.startswith(_HISTORY)
    }
    return estimator
