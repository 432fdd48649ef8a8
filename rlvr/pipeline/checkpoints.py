"""A stage's checkpoints: there whole or not at all, known by their checksums, and pruned.

    checkpoints/STAGE/checkpoint-N/            step N; in it `checkpoint.json` (`RECORD`), written last
    checkpoints/STAGE/.unfinished/             what is being written, or removed; whatever lies there is of no use

One is written in `.unfinished` and renamed. The record holds the size and the SHA-256 of each file, what made it, and
how many processes did. Not here: what else is in one (transformers, `continuation`), and when one is written
(`checkpoint_writing`).
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

RECORD = "checkpoint.json"
UNFINISHED = ".unfinished"

Record = dict[str, Any]
"""What a checkpoint says of itself: `files`, each with `bytes` and `sha256`, and what `seal` was given."""


def last_step(folder: Path) -> int:
    """The step of the latest checkpoint that has all of its files, 0 where there is none; reads none of them."""
    return next((step_of(path) for path in checkpoints(folder) if missing(path) is None), 0)


def checkpoints(folder: Path) -> list[Path]:
    """All of a stage, the latest first, whole or not; what has another name, such as one moved away, is none."""
    found = (path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdecimal())
    return sorted(found, key=step_of, reverse=True)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, in a few words; `None` where each file is as it was written.

    Raises:
        OSError: The disk, or its rights, do not let it be read.
    """
    if found := missing(checkpoint):
        return found
    files = read_record(checkpoint)["files"]
    with ThreadPoolExecutor() as pool:
        sums = pool.map(_sha256, [checkpoint / name for name in files])
    changed = [name for name, found in zip(files, sums, strict=True) if found != files[name]["sha256"]]
    return f"{changed[0]} has another checksum than when it was written" if changed else None


def missing(checkpoint: Path) -> str | None:
    """What a checkpoint lacks, by the names and sizes of its files alone; `None` where it lacks nothing."""
    try:
        files = read_record(checkpoint)["files"]
        sizes = {name: int(each["bytes"]) for name, each in files.items() if each["sha256"]}
    except FileNotFoundError:
        return f"it has no {RECORD}"
    except (ValueError, TypeError, KeyError, AttributeError):
        return f"its {RECORD} cannot be read"
    for name, size in sizes.items():
        if not (checkpoint / name).is_file():
            return f"{name} is missing"
        if (found := (checkpoint / name).stat().st_size) != size:
            return f"{name} has {found} bytes of {size}"
    return None


def read_record(checkpoint: Path) -> Record:
    return json.loads((checkpoint / RECORD).read_text(encoding="utf-8"))


def unfinished(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is written."""
    return folder / UNFINISHED / f"checkpoint-{step}"


def publish(folder: Path, step: int, made: Record) -> Path:
    """Gives a written checkpoint its record and its place, also that of an earlier one of the same step."""
    written = unfinished(folder, step)
    files = sorted(path for path in _files(written) if path.name != RECORD)
    with ThreadPoolExecutor() as pool:
        sums = list(pool.map(_sha256, files))
    listed = {
        str(path.relative_to(written)): {"bytes": path.stat().st_size, "sha256": found}
        for path, found in zip(files, sums, strict=True)
    }
    record = {**made, "step": step, "files": listed}
    (written / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
    final = folder / written.name
    if final.exists():
        remove(final)
    return written.replace(final)


def prune(folder: Path, keep: int, spare: Path | None = None) -> None:
    """Removes all but the latest checkpoints.

    Args:
        folder: Of the stage.
        keep: How many stay.
        spare: One that stays beside them.
    """
    for path in checkpoints(folder)[keep:]:
        if path != spare:
            remove(path)


def remove(checkpoint: Path) -> None:
    """Removes a checkpoint, which is gone at once for whoever looks, however this ends."""
    hidden = checkpoint.parent / UNFINISHED / f"removed-{checkpoint.name}"
    hidden.parent.mkdir(exist_ok=True)
    shutil.rmtree(hidden, ignore_errors=True)
    shutil.rmtree(checkpoint.replace(hidden))


def sweep(folder: Path) -> None:
    """Removes what a broken-off writing or removing left."""
    shutil.rmtree(folder / UNFINISHED, ignore_errors=True)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
