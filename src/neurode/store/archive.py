"""Pytrees of arrays as one safetensors file with a validated JSON block; loading runs no code.

The file is plain safetensors: one tensor per leaf, named by its place in the tree, and under
`__metadata__["neurode"]` a JSON block with the format's version, the package's version, every
leaf's kind, dtype, shape and checksum, and the caller's own metadata. What safetensors' NumPy
layer lacks is stored as a view: complex numbers as pairs of reals, bfloat16 and other small
floats as unsigned integers, typed PRNG keys as their key data.
"""

import importlib.metadata
import json
import os
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import PyTree

from neurode.store.atomic import write_bytes

FORMAT = "neurode-archive"
FORMAT_VERSION = 1
_BLOCK = "neurode"
_NATIVE = {"bool", "float16", "float32", "float64"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
_SHOWN = 12


class ArchiveError(ValueError):
    """A file is not an archive that can be loaded here; the message says which and why."""


class ArchiveDamaged(ArchiveError):
    """The file is empty, truncated, or not what was once written."""


class ArchiveMismatch(ArchiveError):
    """The file is sound, but holds other names, shapes or dtypes than were asked for."""


class _Contents(NamedTuple):
    tensors: dict[str, np.ndarray]
    leaves: dict[str, dict[str, Any]]
    metadata: dict[str, Any]


def save(
    path: str | os.PathLike[str],
    tree: PyTree,
    metadata: dict[str, Any] | None = None,
    *,
    keep: str | os.PathLike[str] | None = None,
) -> None:
    """Writes the arrays and numbers of `tree` to one file, whole or not at all.

    Args:
        path: the file, by custom `*.safetensors`.
        tree: any pytree. JAX and NumPy arrays of every dtype, typed PRNG keys and Python numbers
            are stored; other leaves (functions, strings) are not, and come from `like` on load.
        metadata: anything JSON can hold.
        keep: see `write_bytes`.

    Raises:
        SaveError: the file could not be written.
        TypeError: `metadata` is not JSON, or a leaf holds text, dates, objects or an integer
            beyond 64 bits.
    """
    tensors, leaves = {}, {}
    for name, leaf in _named_leaves(tree).items():
        entry = _describe(leaf)
        if entry is not None:
            tensors[name] = _encode(name, leaf)
            leaves[name] = entry | {"crc32": _crc(tensors[name])}
    block = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "package_version": _package_version(),
        "leaves": leaves,
        "metadata": {} if metadata is None else metadata,
    }
    try:
        block = json.loads(json.dumps(block))  # as it will be read, so that checksums agree
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata must hold only what JSON can hold: {error}") from None
    text = json.dumps(block | {"crc32": _checksum(block)})
    write_bytes(path, safetensors.numpy.save(tensors, {_BLOCK: text}), keep=keep)


def load(path: str | os.PathLike[str], like: PyTree) -> tuple[PyTree, dict[str, Any]]:
    """Reads a file written by `save` into the shape of `like`.

    Args:
        path: the file.
        like: a pytree with the structure, shapes and dtypes to expect; its values are not used.
            A JAX array or `jax.ShapeDtypeStruct` gives a JAX array, a NumPy array a NumPy array,
            a Python number a Python number. Other leaves are returned as they stand here.

    Returns:
        The tree, and the metadata that was saved with it.

    Raises:
        ArchiveDamaged: the file is empty, truncated or altered.
        ArchiveMismatch: its names, shapes or dtypes are not those of `like`; all are listed.
        ArchiveError: another program's file, or one of a newer version.
        OSError: the file could not be read.
    """
    contents = _read(path)
    named = _named_leaves(like)
    expected = {name: _describe(leaf) for name, leaf in named.items()}
    wanted = {name: entry for name, entry in expected.items() if entry is not None}
    _compare(path, contents.leaves, wanted)
    values = [
        leaf if expected[name] is None else _decode(path, name, leaf, contents)
        for name, leaf in named.items()
    ]
    return jax.tree.unflatten(jax.tree.structure(like), values), contents.metadata


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The metadata saved with an archive, checked as in `load`; raises the same errors."""
    return _read(path).metadata


def describe_leaves(tree: PyTree) -> dict[str, str]:
    """Name -> "float32[3,2]" for every leaf of `tree` that `save` would store."""
    described = {name: _describe(leaf) for name, leaf in _named_leaves(tree).items()}
    return {name: _spell(entry) for name, entry in described.items() if entry is not None}


def checksum_leaves(tree: PyTree) -> int:
    """A CRC-32 over the values of every leaf of `tree` that `save` would store."""
    checksum = 0
    for name, leaf in _named_leaves(tree).items():
        if _describe(leaf) is not None:
            checksum = _crc(_encode(name, leaf), checksum)
    return checksum


def _crc(stored: np.ndarray, start: int = 0) -> int:
    return zlib.crc32(stored.reshape(-1).view(np.uint8).data, start)


def _named_leaves(tree: PyTree) -> dict[str, Any]:
    paths = jax.tree_util.tree_flatten_with_path(tree)[0]
    named = {jax.tree_util.keystr(path) or "value": leaf for path, leaf in paths}
    if len(named) != len(paths):
        raise ValueError("two leaves of the tree have the same name: rename one of its nodes")
    return named


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _describe(leaf: Any) -> dict[str, Any] | None:
    """Kind, dtype and shape of a leaf, or None if it is not one that is stored."""
    if isinstance(leaf, (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)):
        kind = "key" if _is_key(leaf) else "array"
        dtype = str(leaf.dtype) if kind == "key" else np.dtype(leaf.dtype).name
        entry = {"kind": kind, "dtype": dtype, "shape": list(leaf.shape)}
        if kind == "key" and isinstance(leaf, jax.Array):
            entry["impl"] = str(jax.random.key_impl(leaf))
        return entry
    if isinstance(leaf, (bool, int, float, complex)):
        return {"kind": "number", "dtype": type(leaf).__name__, "shape": []}
    return None


def _spell(entry: dict[str, Any]) -> str:
    if entry["kind"] == "number":
        return f"a Python {entry['dtype']}"
    return f"{entry['dtype']}[{','.join(map(str, entry['shape']))}]"


def _encode(name: str, leaf: Any) -> np.ndarray:
    is_key = isinstance(leaf, jax.Array) and _is_key(leaf)
    value = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
    if not (jnp.issubdtype(value.dtype, np.number) or value.dtype == np.bool_):
        raise TypeError(f"{name} cannot be stored: {leaf!r} is no number of a NumPy dtype")
    value = value.astype(value.dtype.newbyteorder("="), order="C", copy=False)
    return value if value.dtype.name in _NATIVE else _as_view(value)


def _as_view(value: np.ndarray) -> np.ndarray:
    if value.dtype.kind == "c":
        return value[..., None].view(f"f{value.dtype.itemsize // 2}")
    return value[..., None].view(np.uint8)


def _decode(path: Any, name: str, leaf: Any, contents: _Contents) -> Any:
    stored, entry = contents.tensors.get(name), contents.leaves[name]
    if stored is None or _crc(stored) != entry.get("crc32"):
        raise _damaged(path, f"the values of {name} are not those that were saved")
    if entry["kind"] == "number":
        return type(leaf)(stored.item() if stored.shape == () else stored.view(complex).item())
    if entry["kind"] == "key":
        return jax.random.wrap_key_data(jnp.asarray(stored), impl=entry["impl"])
    dtype = np.dtype(leaf.dtype).newbyteorder("=")
    value = stored if stored.dtype == dtype else stored.view(dtype)[..., 0]
    if isinstance(leaf, (np.ndarray, np.generic)):
        return value[()].copy() if isinstance(leaf, np.generic) else value.copy()
    # A 64-bit leaf stays one where 64 bits are off by default: the scope ends with this line.
    with jax.enable_x64(True):
        return jnp.array(value, dtype=dtype)


def _compare(path: Any, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    differences = []
    for name in [*wanted, *(name for name in found if name not in wanted)]:
        have, want = (
            _spell(entries[name]) if name in entries else "nothing of that name"
            for entries in (found, wanted)
        )
        if have != want:
            differences.append(f"  {name}: the file has {have}, expected {want}")
    if differences:
        more = len(differences) - _SHOWN
        lines = differences[:_SHOWN] + ([f"  and {more} more"] if more > 0 else [])
        raise ArchiveMismatch(
            f"{os.fspath(path)} does not fit what it is loaded into:\n" + "\n".join(lines)
        )


def _damaged(path: Any, why: str) -> ArchiveDamaged:
    return ArchiveDamaged(f"{os.fspath(path)} is damaged or truncated: {why}")


def _read(path: str | os.PathLike[str]) -> _Contents:
    """The checked contents of the file, whatever their names and shapes."""
    data = Path(path).read_bytes()
    block = _read_block(path, data)
    if block.pop("crc32", None) != _checksum(block):
        raise _damaged(path, "its JSON block is not the one that was saved")
    try:
        tensors = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    return _Contents(tensors, block["leaves"], block["metadata"])


def _read_block(path: str | os.PathLike[str], data: bytes) -> dict[str, Any]:
    """The JSON block, once it is clear that the file is ours and of a version we know."""
    if not data:
        raise _damaged(path, "it is empty")
    size = int.from_bytes(data[:8], "little")
    if size > len(data) - 8 and FORMAT.encode() in data:
        raise _damaged(path, "it ends inside its header")
    try:
        block = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][_BLOCK])
        is_ours, version = block["format"] == FORMAT, int(block["format_version"])
    except (ValueError, KeyError, TypeError, RecursionError):
        if FORMAT.encode() in data[: 8 + size]:
            raise _damaged(path, "its header cannot be read") from None
        is_ours, version, block = False, 0, {}
    if not is_ours:
        raise ArchiveError(f"{os.fspath(path)} is not a file that neurode wrote")
    if version > FORMAT_VERSION:
        raise ArchiveError(
            f"{os.fspath(path)} was written by neurode {block.get('package_version', '?')} in "
            f"format {version}; this neurode reads up to format {FORMAT_VERSION}: upgrade neurode"
        )
    return block


def _checksum(block: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(block, sort_keys=True).encode())


def _package_version() -> str:
    try:
        return importlib.metadata.version("neurode")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
