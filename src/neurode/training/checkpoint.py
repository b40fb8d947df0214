"""Checkpoints: the newest and the one before it, each written whole or not at all."""

import os
import warnings
from pathlib import Path
from typing import NamedTuple

from neurode.store import ArchiveDamaged, load, save, saving
from neurode.training.state import TrainState

NEWEST = "checkpoint.safetensors"
PREVIOUS = "checkpoint.previous.safetensors"


class Checkpoint(NamedTuple):
    """A state, and how many seconds of training it took to get there."""

    state: TrainState
    seconds: float


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes the newest checkpoint; what was the newest becomes the previous one.

    Raises:
        SaveError: it could not be written; the checkpoints of before still load.
    """
    metadata = {"step": int(checkpoint.state.step), "seconds": checkpoint.seconds}
    save(folder / NEWEST, checkpoint.state, metadata, keep=folder / PREVIOUS)


def load_checkpoint(folder: Path, like: TrainState) -> Checkpoint | None:
    """The newest checkpoint that is whole, or None if there never was one.

    A damaged newest one costs a warning and the steps since the previous one.

    Raises:
        ArchiveDamaged: there are checkpoints, and none of them is whole.
        ArchiveError: a checkpoint is whole but of another model, program or version.
    """
    damaged: list[ArchiveDamaged] = []
    for path in _existing(folder):
        try:
            state, metadata = load(path, like)
        except ArchiveDamaged as error:
            damaged.append(error)
            continue
        if damaged:
            step = metadata["step"]
            message = f"{damaged[0]}; going on from the previous checkpoint, step {step}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            with saving(folder / NEWEST):
                # Or else the next save would put the damaged one in the place of the sound one.
                os.replace(path, folder / NEWEST)
        return Checkpoint(state, float(metadata["seconds"]))
    if damaged:
        raise ArchiveDamaged(
            f"{damaged[0]}; no other checkpoint is there to go on from. Pass resume=False to "
            "start anew"
        )
    return None


def has_checkpoint(folder: Path) -> bool:
    """Whether the folder holds any checkpoint, whole or not."""
    return bool(_existing(folder))


def remove_checkpoints(folder: Path) -> None:
    """Deletes them all."""
    for path in _existing(folder):
        path.unlink()


def _existing(folder: Path) -> list[Path]:
    return [path for path in (folder / NEWEST, folder / PREVIOUS) if path.exists()]
