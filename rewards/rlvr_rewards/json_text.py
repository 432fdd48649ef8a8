"""Reading JSON that a model wrote: strictly, never deep enough to exhaust the stack, in linear time.

Not JSON here: two equal keys in one object (which one is meant?), `NaN` and `Infinity`, numbers too large for a float,
more than 64 levels, more than 1,000,000 characters, and whatever else RFC 8259 refuses.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

MAX_CHARACTERS = 1_000_000
MAX_DEPTH = 64
_FENCE = "```"
Path = tuple[Any, ...]


class NotJSONError(ValueError):
    """The text is not JSON as it is understood here."""


def read_json(text: str) -> Any:
    """The value that a text writes; whole numbers are integers however they are written (`1.0` is 1).

    >>> read_json('{"a": [1.0, true, null]}')
    {'a': [1, True, None]}

    Raises:
        NotJSONError: It is not JSON; see the module for what is not.
    """
    if len(text) > MAX_CHARACTERS:
        raise NotJSONError(f"{len(text)} characters, more than {MAX_CHARACTERS}")
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise NotJSONError(str(error)[:200]) from None
    if _is_deeper(value, MAX_DEPTH):
        raise NotJSONError(f"more than {MAX_DEPTH} levels")
    return value


def gold_json(gold: Any) -> Any:
    """The gold answer as a JSON value: text is read as JSON, any other value is taken as it is.

    Raises:
        ValueError: It is `None`, or not JSON. A gold that cannot be read is a fault of the data, never a wrong answer.
    """
    try:
        if gold is not None:
            return read_json(gold if isinstance(gold, str) else json.dumps(gold))
        why = "there is none"
    except (ValueError, TypeError, RecursionError) as error:
        why = str(error)[:200]
    raise ValueError(f"the gold answer {str(gold)[:80]!r} is not JSON: {why}")


def canonical(value: Any) -> str:
    """Text that two values share where they are the same: the order of keys does not count, that of a list does.

    >>> canonical({"b": 1, "a": True}) == canonical({"a": True, "b": 1}), canonical(True) == canonical(1)
    (True, False)
    """
    return json.dumps(value, sort_keys=True)


def leaves(value: Any, ordered: bool = True) -> Iterator[tuple[Path, str]]:
    """Each plain value inside as JSON text, with the path to it; an empty list or object is a leaf too.

    >>> list(leaves({"a": [1, {}]}))
    [((((), 'a'), 0), '1'), ((((), 'a'), 1), '{}')]

    A path is a pair of the path above and a key or an index: joined to texts, long keys would be copied for each leaf.

    Args:
        value: What `read_json` gave.
        ordered: Whether the path says which item of a list it was.
    """
    waiting: list[tuple[Path, Any]] = [((), value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [((path, key), inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list) and value:
            waiting += [((path, index if ordered else None), value[index]) for index in reversed(range(len(value)))]
        else:
            yield path, json.dumps(value)


def unfenced(text: str) -> str:
    r"""What the one fenced block of a text holds, without the language named on its first line; without one, the text.

    >>> unfenced('Here it is:\n```json\n{"a": 1}\n```')
    '{"a": 1}'
    """
    pieces = text.split(_FENCE, 3)
    if len(pieces) != 3:
        return text
    first, newline, rest = pieces[1].partition("\n")
    return (rest if newline and first.strip().lower() in ("", "json") else pieces[1]).strip()


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth + 1):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: dict[str, Any] | list[Any]) -> Any:
    return value.values() if isinstance(value, dict) else value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotJSONError("two equal keys in one object")
    return found


def _float(text: str) -> int | float:
    number = float(text)
    if not math.isfinite(number):
        raise NotJSONError(f"the number {text[:20]} is too large")
    return int(number) if number.is_integer() else number


def _refuse_constant(name: str) -> Any:
    raise NotJSONError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_refuse_constant)
