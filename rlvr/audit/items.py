"""An answer that is made of items: a JSON object or array, or a line of words with commas. For mutations of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.audit.case import Case
from rlvr_rewards.json_text import NotJSONError, read_json

STRANGER = "zebra"
"""An item that no answer has."""


@dataclass(frozen=True)
class Items:
    """The items of an answer, and how they are written.

    Attributes:
        found: Values of an array, pairs of an object, words between commas.
        kind: `list`, `dict`, or `str` for words.
    """

    found: tuple[Any, ...]
    kind: type

    def write(self, items: Sequence[Any], indent: int | None = None) -> str:
        """Other items, written as these are."""
        if self.kind is str:
            return ", ".join(items)
        return json.dumps(dict(items) if self.kind is dict else list(items), indent=indent, ensure_ascii=False)

    @property
    def stranger(self) -> Any:
        """An item of this kind that is not among them."""
        return (STRANGER, STRANGER) if self.kind is dict else STRANGER


def items_of(case: Case) -> Items | None:
    """The items of the answer of a case; `None` where it is a number, a schedule, or one thing."""
    if case.number is not None or case.day:
        return None
    try:
        value = read_json(case.answer)
    except NotJSONError:
        words = [word.strip() for word in case.answer.split(",")]
        return Items(tuple(words), str) if len(words) > 1 and all(words) and "\n" not in case.answer else None
    if isinstance(value, dict | list) and value:
        return Items(tuple(value.items() if isinstance(value, dict) else value), type(value))
    return None
