"""Files that are written whole or not at all, and read without running anything."""

from neurode.store.archive import ArchiveDamaged as ArchiveDamaged
from neurode.store.archive import ArchiveError as ArchiveError
from neurode.store.archive import ArchiveMismatch as ArchiveMismatch
from neurode.store.archive import checksum_leaves as checksum_leaves
from neurode.store.archive import describe_leaves as describe_leaves
from neurode.store.archive import load as load
from neurode.store.archive import read_metadata as read_metadata
from neurode.store.archive import save as save
from neurode.store.atomic import SaveError as SaveError
from neurode.store.atomic import remove_leftovers as remove_leftovers
from neurode.store.atomic import saving as saving
from neurode.store.atomic import write_bytes as write_bytes

__all__ = [
    "ArchiveDamaged",
    "ArchiveError",
    "ArchiveMismatch",
    "SaveError",
    "checksum_leaves",
    "describe_leaves",
    "load",
    "read_metadata",
    "remove_leftovers",
    "save",
    "saving",
    "write_bytes",
]
