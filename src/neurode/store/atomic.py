"""Write a file whole or not at all, and say in one line why it could not be written."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TEMPORARY_SUFFIX = ".part"

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space or choose another folder",
    errno.EDQUOT: "your disk quota is used up: free some space or choose another folder",
    errno.EFBIG: "the file is larger than this file system or your limit allows",
    errno.EACCES: "no permission to write there: choose another folder",
    errno.EPERM: "no permission to write there: choose another folder",
    errno.EROFS: "that file system is read-only: choose another folder",
    errno.ENOENT: "that folder does not exist: create it first",
    errno.ENOTDIR: "a part of that path is a file, not a folder: choose another path",
    errno.EISDIR: "that is a folder: give the name of a file",
}


class SaveError(OSError):
    """A file could not be written; `str` of it is one line with the reason and the remedy."""

    def __str__(self) -> str:
        return str(self.strerror)


@contextmanager
def saving(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns any `OSError` raised inside into a `SaveError` that names `path`."""
    try:
        yield
    except SaveError:
        raise
    except OSError as error:
        reason = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
        message = f"could not write {os.fspath(path)}: {reason}"
        raise SaveError(error.errno, message, os.fspath(path)) from error


def write_bytes(
    path: str | os.PathLike[str], data: bytes, *, keep: str | os.PathLike[str] | None = None
) -> None:
    """Replaces the file at `path` by one that holds `data`, or leaves it as it was.

    The bytes go to a temporary file in the same folder, are forced to disk, and only then take
    the name `path`. A reader sees the old file or the new one, never a part, also after a power
    cut. A symbolic link is followed, so the file it points to is the one replaced.

    Args:
        path: the file to write. Its folder must exist.
        data: what it shall hold.
        keep: in the same folder, the name under which the file being replaced is kept. Between
            the two renames `path` is missing for an instant and only `keep` exists.

    Raises:
        SaveError: the file could not be written (full disk, no permission, ...). What was at
            `path` is still there, or under `keep`.
    """
    target = Path(os.path.realpath(path))
    temporary = _temporary_name(target)
    with saving(path):
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if keep is not None and target.exists():
                os.replace(target, keep)
            os.replace(temporary, target)
            _sync_folder(target.parent)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def remove_leftovers(path: str | os.PathLike[str]) -> None:
    """Deletes the temporary files that a killed process left beside `path`.

    Only call it while no other process can be writing `path` (under a lock, say).
    """
    target = Path(os.path.realpath(path))
    with suppress(OSError):
        for entry in list(target.parent.iterdir()):
            ours = entry.name.startswith(f".{target.name}.") and entry.suffix == _TEMPORARY_SUFFIX
            if ours:
                entry.unlink(missing_ok=True)


def _temporary_name(target: Path) -> Path:
    # A name of its own for each write: two processes never share a temporary file.
    return target.with_name(f".{target.name}.{secrets.token_hex(6)}{_TEMPORARY_SUFFIX}")


def _sync_folder(folder: Path) -> None:
    # A rename is durable once its folder is. Some systems cannot sync a folder; nothing is lost
    # there but durability across a power cut.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
