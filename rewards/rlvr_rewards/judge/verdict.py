"""Reading a verdict, strictly: the one JSON object that was asked for, else what the last `<verdict>` tag holds.

What a judge says before its verdict, it may have said of the text; so nothing else counts, nothing is guessed, and a
last tag that cannot be read is no verdict, whatever stood in an earlier one. What is thought aloud does not count.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_OPEN, _CLOSE = "<verdict>", "</verdict>"
_LONGEST = 2000
_NUMBER = re.compile(r"[0-9]{1,3}")
_WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True)
class Whole:
    """A whole number from 0 to `top`."""

    top: int = 10

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "enum": list(range(self.top + 1))}

    @property
    def how(self) -> str:
        """What stands in the tag, for the judge to read."""
        return f"a whole number from 0 to {self.top}"

    def of_json(self, value: Any) -> int | None:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return value if is_whole and 0 <= value <= self.top else None

    def of_text(self, text: str) -> int | None:
        return self.of_json(int(text)) if _NUMBER.fullmatch(text) else None


@dataclass(frozen=True)
class OneOf:
    """One of some words, in any case."""

    words: Sequence[str]

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}

    @property
    def how(self) -> str:
        return f"{', '.join(self.words[:-1])} or {self.words[-1]}"

    def of_json(self, value: Any) -> str | None:
        return self.of_text(value) if isinstance(value, str) else None

    def of_text(self, text: str) -> str | None:
        return next((word for word in self.words if word.lower() == text.lower()), None)


@dataclass(frozen=True)
class EachOf:
    """Yes or no to each of some items, in order."""

    num_items: int

    @property
    def schema(self) -> dict[str, Any]:
        return _object({str(number): {"type": "boolean"} for number in range(1, self.num_items + 1)})

    @property
    def how(self) -> str:
        return f"{self.num_items} words, yes or no, one for each item in order, such as {self._example}"

    @property
    def _example(self) -> str:
        return " ".join(("yes", "no")[number % 2] for number in range(self.num_items))

    def of_json(self, value: Any) -> tuple[bool, ...] | None:
        wanted = [str(number) for number in range(1, self.num_items + 1)]
        if not isinstance(value, dict) or sorted(value) != sorted(wanted):
            return None
        found = tuple(value[name] for name in wanted)
        return found if all(isinstance(each, bool) for each in found) else None

    def of_text(self, text: str) -> tuple[bool, ...] | None:
        found = [_WORDS.get(word) for word in text.lower().replace(",", " ").split()]
        known = tuple(each for each in found if each is not None)
        return known if len(found) == len(known) == self.num_items else None


Form = Whole | OneOf | EachOf


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def reply_schema(form: Form, explained: bool) -> dict[str, Any]:
    """The JSON schema of a reply: the verdict, after its reason where one is wanted."""
    return _object({**({"reason": {"type": "string"}} if explained else {}), "verdict": form.schema})


def instruction(form: Form, explained: bool, structured: bool) -> str:
    """What a judge is told of the form of its reply."""
    first = "First give your reason in at most five sentences. " if explained else ""
    if structured:
        keys = '"reason" and "verdict"' if explained else '"verdict" alone'
        return f"{first}Answer with one JSON object with the key{'s' * explained} {keys}."
    alone = "Then end" if explained else "Answer"
    return f"{first}{alone} with your verdict in tags, {_OPEN}…{_CLOSE}, which hold {form.how} and nothing else."


def read_verdict(text: str, form: Form) -> Any:
    """The verdict of a reply; `None` where it holds none that can be read.

    >>> read_verdict("It says <verdict>10</verdict>, wrongly. <verdict>2</verdict>", Whole())
    2
    >>> read_verdict("<verdict>10</verdict> no: <verdict>none</verdict>", Whole())
    >>> read_verdict('{"reason": "right", "verdict": 9}', Whole())
    9
    """
    said = text.rpartition("</think>")[2].strip()
    if said.startswith("{"):
        return _of_object(said, form)
    before, tag, inner = said.rpartition(_CLOSE)[0].rpartition(_OPEN)
    if not tag or len(inner) > _LONGEST or said.rpartition(_OPEN)[0] != before:
        return None
    return form.of_text(inner.strip())


def _of_object(text: str, form: Form) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not {"verdict"} <= found.keys() <= {"verdict", "reason"}:
        return None
    return form.of_json(found["verdict"])
