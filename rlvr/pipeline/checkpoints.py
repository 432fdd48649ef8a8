"""A stage's checkpoints: which one is whole, and which step it is of."""

import shutil
from pathlib import Path

COMPLETE = "complete"
"""A file in a checkpoint that is written last: a checkpoint without it was cut short, and is not used."""


def last_checkpoint(folder: Path) -> Path | None:
    """The latest whole checkpoint; those that were cut short are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=step_of) if folder.is_dir() else []
    for path in found:
        if not is_whole(path):
            shutil.rmtree(path)
    return next((path for path in reversed(found) if is_whole(path)), None)


def last_step(folder: Path) -> int:
    """The step of the latest whole checkpoint, 0 where there is none; removes nothing."""
    return max((step_of(path) for path in folder.glob("checkpoint-*") if is_whole(path)), default=0)


def is_whole(checkpoint: Path) -> bool:
    return (checkpoint / COMPLETE).exists()


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
