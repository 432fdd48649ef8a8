"""JSON Schema over what a model wrote, by the package jsonschema, made safe against the text.

The schema is the task's, the value is the model's, and three things in jsonschema let a value take time without bound:

1. `pattern`, `patternProperties` and `additionalProperties` search with Python's `re`: here RE2 searches.
2. `uniqueItems` compares every pair where items cannot be sorted: here their canonical texts are compared.
3. A schema that refers to itself in several branches of one `anyOf` doubles its work with each level of the value:
   a value that leads through more than 20,000 references is not allowed.

Nothing is fetched: jsonschema would ask the network for a `$ref` that it does not know.
"""

import json
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from rlvr_rewards.errors import one_line
from rlvr_rewards.json_text import canonical
from rlvr_rewards.optional import optional_module
from rlvr_rewards.patterns import compiled, readable

MAX_REFERENCES = 20_000
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_DATA = ("const", "enum", "default", "examples")
_left: ContextVar[list[int]] = ContextVar("_left")


class TooManyReferencesError(Exception):
    """A value leads a schema in circles."""


def schema_text(schema: Any) -> str:
    """A schema, given as an object or as its text, as one text.

    Raises:
        ValueError: It is neither an object nor `true` or `false`.
    """
    try:
        value = json.loads(schema) if isinstance(schema, str) else schema
        if isinstance(value, dict | bool):
            return json.dumps(value, sort_keys=True)
        why = "it is no object"
    except (ValueError, TypeError, RecursionError) as error:
        why = one_line(error)
    raise ValueError(f"the schema {str(schema)[:80]!r} cannot be read: {why}")


def allows(schema: str, value: Any) -> bool:
    """Whether a schema, as `schema_text` gives it, allows a value.

    >>> allows('{"type": "array", "uniqueItems": true}', [1, 2]), allows('{"uniqueItems": true}', [{}, {}])
    (True, False)

    Raises:
        ValueError: The schema is none, or refers to what is not there.
    """
    validator = _validator(schema)
    token = _left.set([MAX_REFERENCES])
    try:
        return bool(validator.is_valid(value))
    except TooManyReferencesError:
        return False
    except RecursionError:
        raise ValueError(f"the schema {schema[:80]!r} refers to itself without end") from None
    except optional_module("referencing.exceptions", "jsonschema").Unresolvable as error:
        raise ValueError(f"the schema refers to what is not there: {one_line(error)}") from None
    finally:
        _left.reset(token)


@lru_cache(maxsize=512)
def _validator(text: str) -> Any:
    jsonschema = optional_module("jsonschema", "jsonschema")
    registry = optional_module("referencing", "jsonschema").Registry()
    schema = json.loads(text)
    kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise ValueError(f"the schema {text[:80]!r} is none: {error.message[:200]}") from None
    _prepare(schema, text)
    counted = {name: _counted(kind.VALIDATORS[name]) for name in _REFERENCES if name in kind.VALIDATORS}
    ours = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties,
        "uniqueItems": _unique_items,
    }
    return jsonschema.validators.extend(kind, {**ours, **counted})(schema, registry=registry)


def _prepare(schema: Any, text: str) -> None:
    """Reads every pattern once, and takes `$schema` out: jsonschema would go on with its own keywords from there."""
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("$schema"), str):
                del node["$schema"]
            by_pattern = node.get("patternProperties")
            if isinstance(by_pattern, dict):
                if "unevaluatedProperties" in node:
                    raise ValueError(f"the schema {text[:80]!r}: write additionalProperties beside patternProperties")
                for pattern in by_pattern:
                    compiled(pattern)
            if isinstance(node.get("pattern"), str):
                compiled(node["pattern"])
        if isinstance(node, dict | list):
            waiting += [node[key] for key in node if key not in _DATA] if isinstance(node, dict) else node


def _counted(follow: Any) -> Any:
    """A keyword that follows a reference, and counts that it did."""

    def keyword(validator: Any, reference: Any, instance: Any, schema: Any) -> Iterator[Any]:
        left = _left.get()
        left[0] -= 1
        if left[0] < 0:
            raise TooManyReferencesError
        yield from follow(validator, reference, instance, schema) or ()

    return keyword


def _error(message: str) -> Any:
    return optional_module("jsonschema", "jsonschema").ValidationError(message)


def _searched(pattern: str, text: str) -> bool:
    return compiled(pattern).search(readable(text)) is not None


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, str) and not _searched(pattern, instance):
        yield _error("does not match the pattern")


def _pattern_properties(validator: Any, by_pattern: dict[str, Any], instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, dict):
        for pattern, inner in by_pattern.items():
            for key, value in instance.items():
                if _searched(pattern, key):
                    yield from validator.descend(value, inner, path=key, schema_path=pattern)


def _additional_properties(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, value in instance.items():
        if key in known or any(_searched(pattern, key) for pattern in patterns):
            continue
        if isinstance(rule, dict):
            yield from validator.descend(value, rule, path=key)
        elif not rule:
            yield _error("a property that the schema does not name")


def _unique_items(validator: Any, rule: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if rule and isinstance(instance, list) and len(set(map(canonical, instance))) != len(instance):
        yield _error("two equal items")
