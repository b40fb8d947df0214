"""Fitted flows as one file of arrays and JSON: what was fitted, and what is needed to go on."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from neurode import store
from neurode.estimators.archives import (
    decode_settings,
    encode_settings,
    expected_arrays,
    pack_history,
    unpack_history,
    write_archive,
)
from neurode.estimators.columns import Columns
from neurode.estimators.context import Context
from neurode.estimators.flow_settings import FIELDS, read_hidden
from neurode.estimators.flow_training import make_flow
from neurode.models import Flow


def write_flow(path: str | os.PathLike[str], estimator: Any) -> Path:
    """Write a fitted `ContinuousFlow` or `DensitySampler`.

    Args:
        path: a folder, which is made if need be, or a *.safetensors file.
        estimator: what was fitted.

    Returns:
        The file.

    Raises:
        SaveError: it could not be written.
    """
    arrays = pack_history(estimator.history_)
    context = estimator.context_
    arrays |= {"context/centre": context.centre, "context/scale": context.scale}
    settings = encode_settings(estimator)
    settings.pop("log_unnormalised", None)
    facts = {
        "settings": settings,
        "field": _describe_field(estimator),
        "columns": estimator.columns_.to_json(),
        "facts": {name: getattr(estimator, name) for name in estimator._facts},
    }
    return write_archive(path, estimator, {"flow": estimator.flow_}, arrays, facts)


def read_flow(path: Path, metadata: dict[str, Any], make: Any, field: Any) -> Any:
    """Rebuild a fitted `ContinuousFlow` or `DensitySampler`.

    Args:
        path: its file.
        metadata: its header.
        make: the estimator's class.
        field: the user's own field, or None.

    Raises:
        ArchiveError: the field is missing or another one, or the file does not fit together.
    """
    try:
        settings = decode_settings(metadata["settings"])
        entry = metadata["field"]
        estimator = make(field=entry["kind"] if field is None else field, **settings)
        estimator.columns_ = Columns.from_json(metadata["columns"])
        estimator.names_ = estimator.columns_.names
        estimator.n_features_in_ = len(estimator.names_)
        estimator.dtype_ = str(entry["dtype"])
        estimator.stats_ = dict(metadata["stats"])
        for name in estimator._facts:
            setattr(estimator, name, metadata["facts"][name])
        like = expected_arrays(metadata)
        kind, context = entry["kind"], int(entry["context"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise store.ArchiveDamaged(f"{path} does not describe a flow: {error}") from None
    flow = _rebuild_flow(path, estimator, kind, context, entry, field)
    tree, _ = store.load(path, {"flow": flow, "arrays": like})
    estimator.flow_ = tree["flow"]
    estimator.history_ = unpack_history(tree["arrays"])
    arrays = tree["arrays"]
    estimator.context_ = Context(arrays["context/centre"], arrays["context/scale"])
    return estimator


def _describe_field(estimator: Any) -> dict[str, Any]:
    own = estimator.field
    entry = {"dtype": estimator.dtype_, "context": len(estimator.context_.centre)}
    if isinstance(own, str):
        return entry | {"kind": own}
    return entry | {
        "kind": "user",
        "name": type(own).__qualname__,
        "fingerprint": _fingerprint(own, estimator.n_features_in_, entry["context"]),
        "jax": jax.__version__,
    }


def _rebuild_flow(
    path: Path, estimator: Any, kind: str, context: int, entry: dict[str, Any], field: Any
) -> Flow:
    """A flow of the right shapes, whose arrays the file holds."""
    if kind not in FIELDS:
        name = entry.get("name")
        if field is None:
            raise store.ArchiveError(
                f"{path} was fitted with your own network {name!r}, which no file holds: pass "
                "field=f, the function it was saved with"
            )
        same_jax = entry.get("jax") == jax.__version__
        if same_jax and _fingerprint(field, estimator.n_features_in_, context) != entry.get(
            "fingerprint"
        ):
            raise store.ArchiveMismatch(
                f"{path} was fitted with {name!r}, and this field computes something else: pass "
                "field=f, the function it was saved with"
            )
    elif field is not None:
        raise store.ArchiveMismatch(
            f"{path} holds a {kind} field and needs no field: leave out field={field!r}"
        )
    with jax.enable_x64(entry["dtype"] == "float64"):
        return make_flow(
            kind if field is None else field,
            estimator.n_features_in_,
            context,
            hidden=read_hidden(estimator.hidden, kind),
            activation=estimator.activation,
            base=getattr(estimator, "base", "normal"),
            average=estimator._average,
            key=jax.random.key(0),
        )


def _fingerprint(field: Any, size: int, context: int) -> str:
    """A SHA-256 of what a field computes, whatever its arrays hold."""
    arrays, rest = eqx.partition(field, eqx.is_array)
    rows = [jnp.zeros((2, size))] + ([jnp.zeros((2, context))] if context else [])
    jaxpr = jax.make_jaxpr(lambda arrays, *z: eqx.combine(arrays, rest)(jnp.zeros(()), *z))(
        arrays, *rows
    )
    # Addresses in memory, as functions print them, mean nothing to another process.
    return hashlib.sha256(re.sub(r" at 0x[0-9a-f]+", "", str(jaxpr.jaxpr)).encode()).hexdigest()
