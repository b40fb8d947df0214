"""The folder of a run: one process at a time, and one configuration for its whole life."""

import errno
import fcntl
import json
import os
import re
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from neurode.store import (
    checksum_leaves,
    describe_leaves,
    remove_leftovers,
    saving,
    write_bytes,
)

CONFIG = "config.json"
METRICS = "metrics.jsonl"
LOCK = "lock"
_SHOWN = 20
# Some network file systems cannot lock; training there unguarded beats not training there.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_LONG = 300


class ConfigMismatch(ValueError):
    """A run folder was started with another configuration; the message lists key: old -> new."""


class RunLocked(RuntimeError):
    """Another process is training in this run folder."""


@contextmanager
def locked(folder: Path):
    """Holds the folder for this process, creating it if need be.

    The lock file names the process. The operating system's lock on it ends with the process,
    however that ended, so a stale file locks nobody out and a reused number misleads nobody.

    Raises:
        RunLocked: another process has it.
        SaveError: the folder cannot be created or written.
    """
    with saving(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK
    with saving(path):
        file = _take_lock(path)
    try:
        with saving(path):
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
        yield
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)
            file.close()


def _take_lock(path: Path):
    while True:
        file = open(path, "a+")  # noqa: SIM115  (held open as long as the lock is)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            file.close()
            raise RunLocked(
                f"{path.parent} is in use by another training process (pid {owner}): wait for it, "
                "stop it, or choose another run folder"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        # The owner of before may have deleted the file between our two calls.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Writes config.json.

    Raises:
        SaveError: it could not be written.
    """
    remove_leftovers(folder / CONFIG)
    write_bytes(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())


def check_config(folder: Path, config: dict[str, Any]) -> None:
    """Compares `config` with that of the run in the folder.

    Raises:
        ConfigMismatch: they differ, or the folder's cannot be read.
    """
    path = folder / CONFIG
    try:
        old = json.loads(path.read_text())["config"], json.loads(path.read_text())["run"]
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigMismatch(
            f"{folder} holds a checkpoint, but its {CONFIG} is missing or damaged, so it cannot "
            "be told whether this is the same run: choose another folder, or pass resume=False "
            "to start anew in this one"
        ) from None
    before, now = _flatten(old[0]), _flatten(config["config"])
    recorded, present = _flatten(old[1]), _flatten(config["run"])
    names = [*before, *(name for name in now if name not in before)]
    differences = [_difference(name, before, now) for name in names]
    differences += [_difference(name, recorded, present) for name in recorded]
    lines = [f"  {line}" for line in differences if line]
    if lines:
        more = len(lines) - _SHOWN
        lines = lines[:_SHOWN] + ([f"  and {more} more"] if more > 0 else [])
        raise ConfigMismatch(
            f"{folder} was started with another configuration:\n"
            + "\n".join(lines)
            + "\nGo on with the old one, choose another folder, or pass resume=False to start "
            f'anew in this one. (An entry of "run" that you delete from {path} is not compared.)'
        )


def run_config(
    config: dict[str, Any] | None, model: PyTree, batches: PyTree, key: Key[Array, ""]
) -> dict[str, Any]:
    """What config.json holds: the caller's own, and a description of what `fit` was given.

    Raises:
        TypeError: the caller's own is not JSON.
    """
    try:
        own = json.loads(json.dumps({} if config is None else config))
    except (TypeError, ValueError) as error:
        raise TypeError(f"config must hold only what JSON can hold: {error}") from None
    key_data = np.asarray(jax.random.key_data(key)).ravel().tolist()
    run = {
        "key": f"{jax.random.key_impl(key)} {key_data}",
        "model": _describe(model),
        "batches": _describe(batches),
    }
    return {"config": own, "run": run}


def _describe(tree: PyTree) -> dict[str, Any]:
    """Names, shapes and dtypes, the static rest as text, and a checksum of the values."""
    leaves, structure = jax.tree.flatten(tree)
    others = [leaf for leaf in leaves if not isinstance(leaf, (jax.Array, np.ndarray))]
    names = [getattr(leaf, "__qualname__", repr(leaf)) for leaf in others]
    # Addresses in memory, as functions print them, mean nothing to another process.
    text = re.sub(r" at 0x[0-9a-f]+", "", f"{', '.join(names)} in {structure}")
    if len(text) > _LONG:
        text = f"{text[:_LONG]}... (crc32 {zlib.crc32(text.encode()):08x})"
    values = f"crc32 {checksum_leaves(tree):08x}"
    return {"arrays": describe_leaves(tree), "rest": text, "values": values}


def _flatten(tree: Any, prefix: str = "") -> dict[str, str]:
    """Nested dicts as one dict of dotted names to JSON text."""
    if not (isinstance(tree, dict) and tree):
        return {prefix: json.dumps(tree)} if prefix else {}
    flat = {}
    for name, value in tree.items():
        flat |= _flatten(value, f"{prefix}.{name}" if prefix else str(name))
    return flat


def _difference(name: str, old: dict[str, str], new: dict[str, str]) -> str | None:
    before, now = old.get(name, "(absent)"), new.get(name, "(absent)")
    return None if before == now else f"{name}: {before} -> {now}"
