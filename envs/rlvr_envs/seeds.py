"""Every random choice, derived by hash: never seed + i, so that no two streams overlap or correlate."""

import json
import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from random import Random
from typing import Any

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
_STRICT = json.JSONEncoder(allow_nan=False)


def canonical_json(value: Any) -> str:
    """One text for equal values: sorted keys, no spaces, ASCII.

    >>> canonical_json({"b": [1, 2], "a": "é"})
    '{"a":"\\\\u00e9","b":[1,2]}'
    """
    return _CANONICAL.encode(value)


def is_json(value: Any) -> bool:
    """Whether a value can be written as JSON proper, which knows neither NaN nor infinity.

    >>> is_json({"a": [1, None]}), is_json({1, 2}), is_json(float("nan"))
    (True, False, False)
    """
    if type(value) in (str, float):  # what most are, told without writing it
        return type(value) is str or math.isfinite(value)
    try:
        _STRICT.encode(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def kind_of(value: Any) -> str:
    """What a value that is not JSON is, for a message: `a set`, `nan`.

    >>> kind_of({1, 2}), kind_of(float("nan")), kind_of([object()])
    ('a set', 'nan', 'a list')
    """
    name = repr(value) if isinstance(value, float) else type(value).__name__
    article = "" if isinstance(value, float) else "an " if name[0] in "aeiouAEIOU" else "a "
    return article + name


def derive_seed(run_seed: int, **labels: Any) -> int:
    """A seed in [0, 2**63) for one choice, named by labels: stage, split, step, task_id, attempt, turn, sample, …

    >>> derive_seed(0, stage="grpo", step=1) == derive_seed(0, step=1, stage="grpo")
    True
    >>> derive_seed(0, step=1) == derive_seed(1, step=0)
    False
    """
    return _seed_of(canonical_json({"seed": run_seed, **labels}))


def derive_seeds(run_seed: int, name: str, values: Iterable[int], **labels: Any) -> list[int]:
    """`derive_seed` for each value of one more label, whose other text is made once.

    >>> derive_seeds(0, "sample", [0, 7], step=1) == [derive_seed(0, step=1, sample=sample) for sample in (0, 7)]
    True
    """
    labels |= {"seed": run_seed}
    before = [_CANONICAL.encode({key: labels[key]})[1:-1] for key in sorted(labels) if key < name]
    after = [_CANONICAL.encode({key: labels[key]})[1:-1] for key in sorted(labels) if key > name]
    texts = ("{" + ",".join([*before, f'"{name}":{value}', *after]) + "}" for value in values)
    return [_seed_of(text) for text in texts]


def derive_random(run_seed: int, **labels: Any) -> Random:
    """A generator of its own for one choice; see `derive_seed`."""
    return Random(derive_seed(run_seed, **labels))


def _seed_of(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def content_id(content: Mapping[str, Any] | Any) -> str:
    """16 hexadecimal digits that name a content.

    >>> content_id({"a": 1})
    '1f8c00645b7df6ce'
    """
    return blake2b(canonical_json(content).encode(), digest_size=8).hexdigest()
