"""Judgments as training data: pairs that preference optimization reads, and good completions to imitate.

    pairs    {"prompt": [messages], "chosen": [messages], "rejected": [messages]}    the stage `dpo`, TRL's DPOTrainer
    sft      {"messages": [messages]}                                                 the stage `sft`

A pair comes from every picked winner, and from every good and bad completion of one group. A judgment of a completion
that is not there any more, because a continued run sampled it anew, is left out and counted.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from rlvr.traces.fields import content_text
from rlvr.traces.index import TraceIndex
from rlvr.traces.judgments import Judgments, Mark, Place
from rlvr.traces.rows import GroupKey, Row


@dataclass(frozen=True)
class Exported:
    """How many lines were written, and how many judgments are of completions that are not there any more."""

    num_lines: int
    num_gone: int


def write_pairs(index: TraceIndex, judgments: Judgments, to: BinaryIO) -> Exported:
    """A line for each preferred and rejected completion of one prompt."""
    pairs = pairs_of(judgments)
    rows = _rows(index, itertools.chain.from_iterable(pairs))
    lines = [
        {"prompt": _prompt(rows[chosen]), "chosen": _reply(rows[chosen]), "rejected": _reply(rows[rejected])}
        for chosen, rejected in pairs
        if chosen in rows and rejected in rows
    ]
    return Exported(_write(lines, to), len(pairs) - len(lines))


def pairs_of(judgments: Judgments) -> list[tuple[Place, Place]]:
    """Every completion that is preferred, and the one that it is preferred to."""
    pairs = dict.fromkeys((winner.chosen, winner.rejected) for winner in judgments.winners)
    for place_pair in _by_marks(judgments):
        if place_pair not in pairs and place_pair[::-1] not in pairs:  # a picked winner counts before marks
            pairs[place_pair] = None
    return list(pairs)


def good_of(judgments: Judgments) -> list[Place]:
    """Every completion that was marked good."""
    return [place for place, mark in judgments.marks.items() if mark == Mark.GOOD]


def write_sft(index: TraceIndex, judgments: Judgments, to: BinaryIO) -> Exported:
    """A line for each completion that was marked good."""
    good = good_of(judgments)
    rows = _rows(index, good)
    lines = [{"messages": [*_prompt(rows[place]), *_reply(rows[place])]} for place in good if place in rows]
    return Exported(_write(lines, to), len(good) - len(lines))


def _by_marks(judgments: Judgments) -> Iterator[tuple[Place, Place]]:
    """Every good completion before every bad one of its group."""
    groups: dict[GroupKey, dict[Mark, list[Place]]] = {}
    for place, mark in judgments.marks.items():
        groups.setdefault(place.key, {}).setdefault(mark, []).append(place)
    for marked in groups.values():
        yield from itertools.product(marked.get(Mark.GOOD, ()), marked.get(Mark.BAD, ()))


def _rows(index: TraceIndex, places: Iterable[Place]) -> dict[Place, Row]:
    """The rows of places that are still there with the same text."""
    keys = sorted({place.key for place in places})
    return {Place.of(row): row for key in keys for row in index.rows(key)}


def _prompt(row: Row) -> list[dict[str, str]]:
    return [_message(message, "user") for message in row.messages]


def _reply(row: Row) -> list[dict[str, str]]:
    """What the model said: its one completion, or all turns after the prompt."""
    if row.turns and all(isinstance(turn, dict) and "role" in turn for turn in row.turns):
        return [_message(turn, "assistant") for turn in row.turns]
    return [{"role": "assistant", "content": row.completion}]


def _message(message: Any, role: str) -> dict[str, str]:
    if not isinstance(message, dict):
        return {"role": role, "content": content_text(message)}
    return {"role": str(message.get("role", role)), "content": content_text(message.get("content"))}


def _write(lines: Iterable[dict[str, Any]], to: BinaryIO) -> int:
    count = 0
    for line in lines:
        to.write((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace"))
        count += 1
    return count
