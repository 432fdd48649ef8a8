"""Plain values as JSON and back: all that ever passes between a sandbox and us.

Plain are None, booleans, numbers, text, and lists, tuples, sets and dicts of such; subclasses arrive as their base. An
object of a class of its own cannot cross, so a value that claims to equal everything has no way out.
"""

import json
import math
from typing import Any

MAX_DEPTH = 100


class NotPlainError(Exception):
    """A value that is not plain, or a text that does not describe one; the message says which."""


def to_json(value: Any) -> str:
    """One line of ASCII for a plain value.

    >>> to_json({"a": (1, 2.5), "b": [None, True]})
    '{"dict": [["a", {"tuple": [1, 2.5]}], ["b", [null, true]]]}'
    >>> to_json(object())
    Traceback (most recent call last):
      ...
    rlvr_rewards.sandbox.inside.plain.NotPlainError: a value of type object is not plain

    Raises:
        NotPlainError: It is not plain, deeper than 100, or holds a whole number of more than 4,300 digits.
    """
    try:
        return json.dumps(_tree(value, 0))
    except ValueError as error:  # Python refuses to write whole numbers that are too long
        raise NotPlainError(str(error)) from None


def from_json(text: str | bytes) -> Any:
    """The plain value of a line of `to_json`; hostile text is refused in time linear in its length.

    >>> from_json('{"dict": [["a", {"tuple": [1, 2.5]}]]}')
    {'a': (1, 2.5)}

    Raises:
        NotPlainError: The text is no such line.
    """
    try:
        return _value(json.loads(text), 0, hashed=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise NotPlainError(f"no plain value: {type(error).__name__}") from None


def _tree(value: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise NotPlainError(f"a value is nested deeper than {MAX_DEPTH}")
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        number = float.__float__(value)
        return number if math.isfinite(number) else {"float": repr(number)}
    if isinstance(value, list):
        return [_tree(item, depth + 1) for item in list.__iter__(value)]
    if isinstance(value, tuple):
        return {"tuple": [_tree(item, depth + 1) for item in tuple.__iter__(value)]}
    if isinstance(value, set | frozenset):
        return {"set": [_tree(item, depth + 1) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_tree(key, depth + 1), _tree(item, depth + 1)] for key, item in dict.items(value)]}
    raise NotPlainError(f"a value of type {type(value).__name__[:80]} is not plain")


def _value(tree: Any, depth: int, hashed: bool) -> Any:
    if depth > MAX_DEPTH:
        raise NotPlainError(f"a value is nested deeper than {MAX_DEPTH}")
    if isinstance(tree, list):
        return [_value(item, depth + 1, hashed) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if len(tree) != 1:
        raise NotPlainError("no plain value: a mark of a kind was expected")
    ((kind, items),) = tree.items()
    if kind == "float" and items in ("nan", "inf", "-inf"):
        return float(items)
    if not isinstance(items, list):
        raise NotPlainError(f"no plain value: {kind[:20]!r} holds no list")
    if kind == "tuple":
        return tuple(_value(item, depth + 1, hashed) for item in items)
    if kind == "set":
        members = (_value(item, depth + 1, hashed=True) for item in items)
        return frozenset(members) if hashed else set(members)
    if kind == "dict":
        return {_value(key, depth + 1, hashed=True): _value(item, depth + 1, hashed) for key, item in items}
    raise NotPlainError(f"no plain value: unknown kind {kind[:20]!r}")
