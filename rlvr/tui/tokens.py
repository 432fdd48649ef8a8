"""The text of each token of a completion, from the run's tokenizer.json, read as JSON without a library of models.

Byte-level vocabularies (GPT-2's alphabet) and those with `▁` for a blank are understood. Where the tokens do not
spell the completion, nothing is shown rather than something wrong.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlvr.traces.rows import Row

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_MOST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Vocabulary:
    """What each id spells, in bytes, and which ids are special."""

    spelled: dict[int, bytes]
    special: frozenset[int]

    def spans(self, token_ids: Sequence[int], text: str) -> list[tuple[int, int]] | None:
        """For each token the characters of the text that it wrote, as start and end.

        A special token that the text leaves out, and the later parts of a character, are empty spans. `None` where the
        tokens do not spell the text.
        """
        data, at, ends = text.encode("utf-8", "surrogatepass"), 0, []
        for token in token_ids:
            piece = self.spelled.get(token)
            if piece is not None and data.startswith(piece, at):
                at += len(piece)
            elif token not in self.special and not (piece and at == 0 and data.startswith(piece.lstrip(b" "))):
                return None
            elif token not in self.special and piece:
                at += len(piece.lstrip(b" "))
            ends.append(at)
        return _characters(data, ends) if at == len(data) else None


def token_spans(found: Vocabulary, row: Row) -> list[tuple[int, int]] | None:
    """For each token of a completion the characters of it that it wrote, none of them for what the environment said.

    `None` where the tokens do not spell the text.
    """
    ids = row.token_ids or []
    if not row.episode:
        return found.spans(ids, row.completion)
    spans: list[tuple[int, int]] = []
    at = 0
    for turn in row.episode:
        first, end = turn.get("tokens") or (0, 0)
        if turn["role"] != "assistant":
            spans += [(at, at)] * (end - first)
            continue
        own = found.spans(ids[first:end], turn["content"])
        if own is None:
            return None
        spans += [(at + start, at + stop) for start, stop in own]
        at += len(turn["content"]) + 1  # the line break between two turns
    return spans if len(spans) == len(ids) else None


def vocabulary(run: Path | None, stage: str) -> Vocabulary | None:
    """The vocabulary of a run, of the stage's model where that was saved; `None` where there is none to read."""
    if run is None:
        return None
    found = [run / "models" / name / "tokenizer.json" for name in (stage, "base")]
    found += sorted((run / "models").glob("*/tokenizer.json")) if (run / "models").is_dir() else []
    return next((made for path in found if path.is_file() and (made := _read(path))), None)


@lru_cache(4)
def _read(path: Path) -> Vocabulary | None:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        return _made(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _made(content: dict[str, Any]) -> Vocabulary:
    vocab = content["model"]["vocab"]
    names = {int(number): str(name) for name, number in vocab.items()}
    is_byte_level = '"ByteLevel"' in json.dumps(content.get("decoder"))
    spell = _byte_level if is_byte_level else _with_blanks
    spelled = {number: spell(name) for number, name in names.items()}
    added = content.get("added_tokens") or []
    spelled |= {int(token["id"]): str(token["content"]).encode() for token in added}
    return Vocabulary(spelled, frozenset(int(token["id"]) for token in added if token.get("special")))


def _byte_level(name: str) -> bytes:
    table = _gpt2_bytes()
    return b"".join(bytes([table[sign]]) if sign in table else sign.encode() for sign in name)


def _with_blanks(name: str) -> bytes:
    match = _BYTE.fullmatch(name)
    return bytes([int(match[1], 16)]) if match else name.replace("▁", " ").encode()


@lru_cache(1)
def _gpt2_bytes() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes stand for themselves, the others for characters from 256 on, in order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {chr(byte): byte for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    return table | {chr(256 + place): byte for place, byte in enumerate(others)}


def _characters(data: bytes, ends: Sequence[int]) -> list[tuple[int, int]]:
    """Ends in bytes as spans of characters: a character belongs to the token that began it."""
    starts = [index for index, byte in enumerate(data) if byte & 0xC0 != 0x80]
    spans, character, before = [], 0, 0
    for end in ends:
        while character < len(starts) and starts[character] < end:
            character += 1
        spans.append((before, character))
        before = character
    return spans
