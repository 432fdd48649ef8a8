"""The tallies of a folder's shards, kept in one file beside them: a run opens without reading a single shard.

    traces/.index.jsonl    a line a shard: name, size, modification time, what it lacks, tally

A cache and nothing more. The writer adds a line for each shard, a reader for those it had to look into; a line whose
size or time is not the file's is passed over, a later line of the same name wins, and the file may be deleted at any
time. Where the folder cannot be written it stands in the user's cache folder.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.traces.tail import Tail
from rlvr.traces.tally import Tally

CATALOG_VERSION = 2
_NAME = ".index.jsonl"


@dataclass(frozen=True)
class Entry:
    """What is known of one file of traces.

    Attributes:
        name, size, mtime_ns: Of the file that it was made from.
        trace_version: Of its schema; `None` where the file does not say.
        missing: Columns of ours that it lacks.
        shards: For each shard in it, in order: step, rank, number of its first row, tally.
    """

    name: str
    size: int
    mtime_ns: int
    trace_version: int | None
    missing: tuple[str, ...]
    shards: tuple[tuple[int, int, int, Tally], ...]

    def is_of(self, stat: os.stat_result) -> bool:
        """Whether the file is still the one that it was made from."""
        return (self.size, self.mtime_ns) == (stat.st_size, stat.st_mtime_ns)

    def line(self) -> str:
        shards = [[step, rank, start, tally.as_json()] for step, rank, start, tally in self.shards]
        return json.dumps({"catalog": CATALOG_VERSION, **vars(self), "shards": shards}) + "\n"


class Catalog:
    """The entries of one folder.

    Args:
        folder: The one with the shards.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self._num_lines = 0
        self._tails = [Tail(_elsewhere(folder)), Tail(folder / _NAME)]

    def load(self) -> None:
        """Reads what was added since; what is no entry of this version is passed over."""
        for tail in self._tails:
            _, lines = tail.read()  # of a file that was tidied, what was read before still holds
            self._num_lines += len(lines)
            for text in lines:
                if entry := _parsed(text):
                    self.entries[entry.name] = entry

    def add(self, entries: Iterable[Entry]) -> None:
        """Adds entries to the file, as far as it can be written; without it they are made again next time."""
        new = {entry.name: entry for entry in entries}
        self.entries.update(new)
        append(self.folder, new.values())

    def tidy(self, names: Iterable[str]) -> None:
        """Writes the file anew where most of its lines are of no use any more."""
        there = set(names)
        self.entries = {name: entry for name, entry in self.entries.items() if name in there}
        if self._num_lines <= 2 * len(self.entries) + 100:
            return
        path = self.folder / _NAME
        hidden = path.with_name(f"{_NAME}.{os.getpid()}.tmp")
        try:
            hidden.write_text("".join(entry.line() for entry in self.entries.values()), encoding="utf-8")
            hidden.replace(path)
        except OSError:
            return
        self._num_lines = len(self.entries)


def append(folder: Path, entries: Iterable[Entry]) -> None:
    """Adds lines to a folder's catalog in one write, so that processes do not mix theirs."""
    text = "".join(entry.line() for entry in entries).encode()
    if not text:
        return
    for path in (folder / _NAME, _elsewhere(folder)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab", buffering=0) as file:
                file.write(text)
        except OSError:
            continue
        return


def user_cache() -> Path:
    """Where this user's programs keep what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rlvr" / "traces"


def _elsewhere(folder: Path) -> Path:
    digest = hashlib.blake2b(str(folder.resolve()).encode(), digest_size=16).hexdigest()
    return user_cache() / f"{digest}.jsonl"


def _parsed(text: bytes) -> Entry | None:
    try:
        line: dict[str, Any] = json.loads(text)
        if line["catalog"] != CATALOG_VERSION:
            return None
        shards = [(int(step), int(rank), int(start), Tally.from_json(t)) for step, rank, start, t in line["shards"]]
        version = None if line["trace_version"] is None else int(line["trace_version"])
        missing = tuple(map(str, line["missing"]))
        return Entry(str(line["name"]), int(line["size"]), int(line["mtime_ns"]), version, missing, tuple(shards))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
