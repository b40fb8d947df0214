"""MNIST from its four IDX files, checked byte for byte, and the augmentation used on it."""

import gzip
import hashlib
import os
import struct
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from neurode.data.errors import DataError
from neurode.store import saving, write_bytes

# MD5 of the uncompressed content (the .gz files differ between mirrors in their headers).
CHECKSUMS = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_TIMEOUT_SECONDS = 60.0


class MNIST(NamedTuple):
    """The handwritten digits of LeCun, Cortes and Burges.

    Attributes:
        train_images: uint8 [60000, 28, 28], 0 is background.
        train_labels: uint8 [60000], 0 to 9.
        test_images: uint8 [10000, 28, 28].
        test_labels: uint8 [10000].
    """

    train_images: UInt8[np.ndarray, "n 28 28"]
    train_labels: UInt8[np.ndarray, " n"]
    test_images: UInt8[np.ndarray, "m 28 28"]
    test_labels: UInt8[np.ndarray, " m"]


def load_mnist(directory: str | os.PathLike, download: bool = False) -> MNIST:
    """Read the four files `{train,t10k}-{images-idx3,labels-idx1}-ubyte`, plain or `.gz`.

    Args:
        directory: the folder they are in.
        download: fetch the files that are missing from the usual mirrors into the folder.
            Files that are there are never replaced.

    Returns:
        The images and labels, as stored.

    Raises:
        DataError: a file is missing or its content is not MNIST's, or no mirror answered.
        SaveError: a downloaded file cannot be written.
    """
    folder = Path(directory)
    missing = [name for name in CHECKSUMS if _find_file(folder, name) is None]
    if missing and not download:
        state = f"{folder} lacks" if folder.is_dir() else f"there is no folder {folder} with"
        raise DataError(
            f"MNIST: {state} {', '.join(name + '.gz' for name in missing)}; "
            f"pass download=True, or fetch them from {' or '.join(MIRRORS)}"
        )
    for name in missing:
        _download_file(folder, name)
    return MNIST(*(_read_file(folder, name) for name in CHECKSUMS))


def scale_pixels(images: UInt8[Array, "..."]) -> Float[Array, "..."]:
    """Return pixels 0…255 as floats in [0, 1] of the default float type.

    Args:
        images: uint8 array of any shape.
    """
    return jnp.asarray(images).astype(jnp.result_type(float)) / 255


def random_crop(images: Array, key: Array, padding: int = 4) -> Array:
    """Shift each image by up to `padding` pixels each way, zeros coming in at the border.

    The same as torchvision's `RandomCrop(size, padding=padding)`: pad with zeros, then cut out
    a window of the original size at a uniformly drawn place, another for every image.

    Args:
        images: [n, h, w] or [n, h, w, channels], any dtype.
        key: PRNG key of the places.
        padding: greatest shift, in pixels.

    Returns:
        An array of the same shape and dtype.
    """
    n, h, w = images.shape[:3]
    edges = ((0, 0), (padding, padding), (padding, padding), *((0, 0),) * (images.ndim - 3))
    padded = jnp.pad(images, edges)
    corners = jax.random.randint(key, (n, 2), 0, 2 * padding + 1)

    def crop(image, corner):
        start = (corner[0], corner[1], *(0,) * (image.ndim - 2))
        return jax.lax.dynamic_slice(image, start, (h, w, *image.shape[2:]))

    return jax.vmap(crop)(padded, corners)


def _find_file(folder: Path, name: str) -> Path | None:
    """Return the file under one of its customary names, or None."""
    dotted = name.replace("-idx", ".idx")
    for candidate in (f"{name}.gz", name, f"{dotted}.gz", dotted):
        if (folder / candidate).is_file():
            return folder / candidate
    return None


def _read_file(folder: Path, name: str) -> np.ndarray:
    path = _find_file(folder, name)
    assert path is not None  # found or downloaded before
    try:
        content = _unpack(path.read_bytes())
    except OSError as error:
        raise DataError(f"MNIST: cannot read {path}: {error.strerror}") from None
    if content is None:
        raise DataError(f"MNIST: {path} is damaged (it does not unpack); {_replace_advice(path)}")
    found = _digest(content)
    if found != CHECKSUMS[name]:
        raise DataError(
            f"MNIST: {path} is damaged or another data set: its content has MD5 {found}, "
            f"not {CHECKSUMS[name]}; {_replace_advice(path)}"
        )
    return parse_idx(content, str(path))


def _digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _replace_advice(path: Path) -> str:
    return f"remove {path.name} and run again with download=True"


def _unpack(content: bytes) -> bytes | None:
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return None


def parse_idx(content: bytes, source: str = "IDX data") -> np.ndarray:
    """Turn the bytes of an IDX file of unsigned bytes into an array.

    Args:
        content: two zero bytes, type 0x08, the number of axes, their lengths as big-endian
            32-bit integers, then the entries.
        source: what to call it in messages.

    Raises:
        DataError: the header is not IDX's or the number of bytes does not fit it.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08" or len(content) < 4 + 4 * content[3]:
        raise DataError(f"{source} is not an IDX file of unsigned bytes")
    ndim = content[3]
    shape = struct.unpack(f">{ndim}I", content[4 : 4 + 4 * ndim])
    entries = len(content) - 4 - 4 * ndim
    if entries != int(np.prod(shape, dtype=np.int64)):
        raise DataError(f"{source} is truncated: {entries} bytes for the shape {shape}")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * ndim).reshape(shape).copy()


def _download_file(folder: Path, name: str) -> None:
    """Fetch one file from the first mirror that has it whole; nothing partial is left behind."""
    failures = []
    for mirror in MIRRORS:
        url = f"{mirror}{name}.gz"
        try:
            with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as reply:
                packed = reply.read()
        except (OSError, urllib.error.URLError) as error:
            failures.append(f"{url} ({getattr(error, 'reason', None) or error})")
            continue
        content = _unpack(packed)
        if content is None or _digest(content) != CHECKSUMS[name]:
            failures.append(f"{url} (what came back is not the file)")
            continue
        with saving(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / f"{name}.gz", packed)
        return
    raise DataError(f"MNIST: could not download {name}.gz; tried {', '.join(failures)}")
