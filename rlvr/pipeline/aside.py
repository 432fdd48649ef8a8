"""What a stage made under other settings: moved aside before it runs again, and put back when it is wanted again.

    replaced/<stage>.<number>/      a small run folder: entry.json, and at its own path whatever the stage had made

A stage keeps what it makes under its own name (`models/NAME`, `gguf/NAME`, `logs/NAME.log`), so that all of it is
found, also of a stage that was broken off. Traces, metrics and results are found by the policies that they are of.

Files are renamed, never copied, in an order that a kill leaves to be gone on with: the entry is in the manifest until
all else is aside, and in `replaced/` until all else is back. A run that is complete removes `replaced/`.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.pipeline.inputs import Entry
from rlvr.pipeline.metrics import read_lines, replace_lines
from rlvr.replacing import write_json
from rlvr.traces.store import shards

if TYPE_CHECKING:
    from rlvr.pipeline.folder import RunFolder

REPLACED = "replaced"


@dataclass(frozen=True)
class Aside:
    """What a stage made once, and its entry of the manifest then."""

    path: Path
    entry: Entry


def asides(folder: Path, stage: str) -> list[Aside]:
    """What a stage made under other settings, the latest first."""
    found = [(int(path.suffix[1:]), path) for path in _folders(folder, stage)]
    return [
        Aside(path, json.loads((path / "entry.json").read_text(encoding="utf-8")))
        for _, path in sorted(found, reverse=True)
    ]


def move_aside(stage: str, folder: "RunFolder") -> Path:
    """Moves what a stage made out of the way, its entry last; goes on where a kill broke that off."""
    entry = folder.entry(stage)
    assert entry is not None, "only a stage with an entry has made anything"
    aside = _unfinished(folder, entry) or _new(folder.path, stage)
    aside.mkdir(parents=True, exist_ok=True)
    write_json(aside / "entry.json", entry)
    for path in _made(folder.path, entry):
        _move(path, folder.path, aside)
    if lines := read_lines(folder.path / "metrics.jsonl", stage):
        replace_lines(aside / "metrics.jsonl", stage, lines)
        replace_lines(folder.path / "metrics.jsonl", stage, [])
    if rows := folder.results_of(_policies(entry)):
        write_json(aside / "results.json", rows)
        folder.forget_results(rows)
    folder.forget_stage(stage)
    return aside


def put_back(aside: Aside, folder: "RunFolder") -> None:
    """Moves what is aside to where it was, its entry last; what stands there now goes aside first."""
    name = aside.entry["name"]
    if folder.entry(name):
        move_aside(name, folder)
    for path in _made(aside.path, aside.entry):
        _move(path, aside.path, folder.path)
    replace_lines(folder.path / "metrics.jsonl", name, read_lines(aside.path / "metrics.jsonl", name))
    results = aside.path / "results.json"
    if results.exists():
        folder.record_results(json.loads(results.read_text(encoding="utf-8")))
    folder.record_stage(aside.entry)
    shutil.rmtree(aside.path)


def discard(folder: Path) -> None:
    """Removes all that is aside: the run is complete without it."""
    shutil.rmtree(folder / REPLACED, ignore_errors=True)


def _made(folder: Path, entry: Entry) -> Iterator[Path]:
    """Every file or folder that a stage made and that is there: what bears its name, in any folder but these two."""
    for kept in sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in ("traces", REPLACED)):
        yield from sorted([*kept.glob(entry["name"]), *kept.glob(f"{entry['name']}.*")])
    for policy, split in _policies(entry):
        yield from sorted({shard.path for shard in shards(folder / "traces", policy, split)})


def _policies(entry: Entry) -> list[tuple[str, str]]:
    return [(policy, split) for policy, split in entry["traced"]]


def _move(path: Path, from_folder: Path, to_folder: Path) -> None:
    target = to_folder / path.relative_to(from_folder)
    target.parent.mkdir(parents=True, exist_ok=True)
    path.replace(target)


def _new(folder: Path, stage: str) -> Path:
    numbers = [int(path.suffix[1:]) for path in _folders(folder, stage)]
    return folder / REPLACED / f"{stage}.{max(numbers, default=0) + 1}"


def _unfinished(folder: "RunFolder", entry: Entry) -> Path | None:
    """Where moving this very entry aside was broken off."""
    return next((aside.path for aside in asides(folder.path, entry["name"]) if aside.entry == entry), None)


def _folders(folder: Path, stage: str) -> list[Path]:
    found = (folder / REPLACED).glob(f"{stage}.*")
    return [path for path in found if path.suffix[1:].isdecimal() and (path / "entry.json").is_file()]
