"""A fitted `PoissonProcess` as one file of arrays and JSON."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from neurode import store
from neurode.data.calendar import Calendar
from neurode.estimators.archives import (
    decode_settings,
    expected_arrays,
    pack_history,
    unpack_history,
    write_archive,
)
from neurode.models import LatentIntensity


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
    arrays = pack_history(estimator.history_)
    arrays["windows"] = estimator.windows_
    calendar = estimator.calendar_
    facts = {
        "dtype": str(estimator.model_.rate.scale.dtype),
        "calendar": None if calendar is None else {"zone": calendar.zone},
        "num_events": estimator.num_events_,
    }
    return write_archive(path, estimator, {"model": estimator.model_}, arrays, facts)


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
        like = expected_arrays(metadata)
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
    estimator.history_ = unpack_history(tree["arrays"])
    return estimator
