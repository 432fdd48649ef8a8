"""What a person thinks of completions, kept beside the run and never in the trace: marks, notes, winners of a pair.

    judgments.jsonl    a line a judgment, only ever added to; the last one of a completion or pair counts

A line names the completion by its place and by a digest of its text, so that a judgment of a completion which a
continued run sampled anew is not taken for one of the new text. Saved filters stand in `filters.json` beside it.
Exports: `rlvr.traces.preferences`.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rlvr.traces.rows import GroupKey, Row
from rlvr_rewards.errors import UserError

NAME = "judgments.jsonl"
FILTERS_NAME = "filters.json"


class Mark(StrEnum):
    """What a completion is to a person."""

    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True, order=True)
class Place:
    """Names one completion: its group, its number in it, and a digest of its text."""

    key: GroupKey
    sample: int
    digest: str

    @classmethod
    def of(cls, row: Row) -> "Place":
        return cls(row.key, row.sample, hashlib.blake2b(row.completion.encode(), digest_size=8).hexdigest())


@dataclass(frozen=True)
class Winner:
    """One sibling preferred to another."""

    chosen: Place
    rejected: Place


class Judgments:
    """The judgments of one run; `load` reads them, every other method writes one line or reads what was loaded.

    Args:
        home: The folder that the file stands in.
        prefix: Before the file's name, where the folder holds several files of traces.
    """

    def __init__(self, home: Path, prefix: str = "") -> None:
        self.path, self.filters_path = home / f"{prefix}{NAME}", home / f"{prefix}{FILTERS_NAME}"
        self.marks: dict[Place, Mark] = {}
        self.notes: dict[Place, str] = {}
        self.winners: list[Winner] = []
        self.num_unread = 0
        self.load()

    def load(self) -> None:
        """Reads the file anew; lines that are no judgment, such as one cut short, are counted in `num_unread`."""
        self.marks, self.notes, self.winners, self.num_unread = {}, {}, [], 0
        try:
            text = self.path.read_bytes()
        except OSError:
            return
        for line in text.splitlines():
            if line.strip():
                self._take(line)

    def mark(self, row: Row, mark: Mark | None) -> None:
        """Marks a completion; `None` takes the mark back.

        Raises:
            UserError: The folder cannot be written; the line says so.
        """
        self._add({"kind": "mark", **_as_json(Place.of(row)), "value": mark})

    def note(self, row: Row, text: str) -> None:
        """Writes a note to a completion; an empty one takes it back.

        Raises:
            UserError: The folder cannot be written.
        """
        self._add({"kind": "note", **_as_json(Place.of(row)), "value": text.strip() or None})

    def prefer(self, chosen: Row, rejected: Row) -> None:
        """Says which of two siblings is better; a later word on the same two replaces it.

        Raises:
            UserError: They are no siblings, or the folder cannot be written.
        """
        if chosen.key != rejected.key or chosen.sample == rejected.sample:
            raise UserError("a winner is picked between two different completions of one group")
        pair = {"chosen": _as_json(Place.of(chosen)), "rejected": _as_json(Place.of(rejected))}
        self._add({"kind": "winner", **pair, "value": True})

    def no_preference(self, one: Row, other: Row) -> None:
        """Takes back which of two siblings is better.

        Raises:
            UserError: The folder cannot be written.
        """
        pair = {"chosen": _as_json(Place.of(one)), "rejected": _as_json(Place.of(other))}
        self._add({"kind": "winner", **pair, "value": None})

    def mark_of(self, row: Row) -> Mark | None:
        return self.marks.get(Place.of(row))

    def note_of(self, row: Row) -> str:
        """The note to a completion; empty where there is none."""
        return self.notes.get(Place.of(row), "")

    def winners_of(self, key: GroupKey) -> list[Winner]:
        """Which siblings of a group are preferred to which."""
        return [winner for winner in self.winners if winner.chosen.key == key]

    def filters(self) -> dict[str, str]:
        """The saved filter lines by name."""
        try:
            found = json.loads(self.filters_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(name): str(text) for name, text in found.items()} if isinstance(found, dict) else {}

    def save_filter(self, name: str, text: str | None) -> None:
        """Saves a filter line under a name; `None` removes it.

        Raises:
            UserError: The folder cannot be written.
        """
        kept = {key: value for key, value in self.filters().items() if key != name}
        kept |= {} if text is None else {name: text}
        hidden = self.filters_path.with_name(f".{self.filters_path.name}.{os.getpid()}.tmp")
        with self._named_in_errors():
            try:
                hidden.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
                hidden.replace(self.filters_path)
            finally:
                hidden.unlink(missing_ok=True)

    def _add(self, line: dict[str, Any]) -> None:
        """Adds a line at the end, whole and on the disk, also where the last one was cut short."""
        text = json.dumps({**line, "time": round(time.time(), 3)}, ensure_ascii=False).encode("utf-8", "replace")
        with self._named_in_errors(), self.path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                text = text if file.read(1) == b"\n" else b"\n" + text
            file.write(text + b"\n")
            os.fsync(file.fileno())
        self._take(text.strip())

    def _take(self, text: bytes) -> None:
        try:
            line = json.loads(text)
            kind, value = line["kind"], line["value"]
            if kind == "mark":
                _set(self.marks, _place(line), None if value is None else Mark(value))
            elif kind == "note":
                _set(self.notes, _place(line), value)
            elif kind == "winner":
                self._set_winner(Winner(_place(line["chosen"]), _place(line["rejected"])), value)
            else:
                self.num_unread += 1
        except (ValueError, KeyError, TypeError):
            self.num_unread += 1

    def _set_winner(self, winner: Winner, value: Any) -> None:
        pair = {winner.chosen, winner.rejected}
        self.winners = [each for each in self.winners if {each.chosen, each.rejected} != pair]
        if value:
            self.winners.append(winner)

    @contextlib.contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(f"{self.path.parent} cannot be written ({error.strerror}): nothing was kept") from error


def _set(values: dict[Place, Any], place: Place, value: Any) -> None:
    if value is None:
        values.pop(place, None)
    else:
        values[place] = value


def _as_json(place: Place) -> dict[str, Any]:
    return {**vars(place.key), "sample": place.sample, "digest": place.digest}


def _place(line: dict[str, Any]) -> Place:
    key = GroupKey(str(line["stage"]), str(line["split"]), *(int(line[name]) for name in ("step", "group", "attempt")))
    return Place(key, int(line["sample"]), str(line["digest"]))
