"""How a row of another tool is understood: which of its keys are ours, and which completions are siblings.

    prompt       text or messages                         completion   text, or messages that follow
    reward       else `score`, else the sum of the parts (TRL records its rewards, neither total nor weights)
    parts        `metrics`, `rewards`, `parts` or `scores`; in TRL's and verifiers' files every other number, too
    gold         `answer`, else `gold`                    step         else 0
    group        `example_id`, `task_id` or `id`, else the prompt: siblings are what shares it within a step

What is neither of these is `info`. A row that `rlvr traces --export` wrote is taken as it is.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rlvr.traces.fields import content_text
from rlvr.traces.schema import SCHEMA, writable

_MAPS_OF_PARTS = ("metrics", "rewards", "parts", "scores")
_IDS = ("example_id", "task_id", "id", "prompt_id")
_KNOWN = {
    *("prompt", "completion", "response", "reward", "score", "answer", "gold", "step", "global_step", "advantage"),
    *("success", "finish_reason", "is_truncated", "task", "token_ids", "completion_ids", "logprobs", "sample", "seed"),
    *("images", "image", "completion_tokens", "prompt_tokens", "env", "split", "stage", "time", "entropies"),
    *_MAPS_OF_PARTS,
    *_IDS,
}
_OURS = {"stage", "split", "step", "group", "sample", "messages", "completion"}
_NO_PARTS = {"generation_ms", "scoring_ms", "total_ms", "num_turns", "rollout", "group", "attempt"}


@dataclass(frozen=True)
class Origin:
    """Which tool rows are of; it is the stage and split that they get."""

    stage: str
    split: str

    @property
    def has_loose_parts(self) -> bool:
        """Whether rewards stand among the other keys of a row."""
        return self.stage in ("trl", "verifiers")


@dataclass
class Numbering:
    """Gives groups and samples their numbers: rows of a step with the same id are siblings."""

    groups: dict[int, dict[str, int]] = field(default_factory=dict)
    sizes: dict[tuple[int, int], int] = field(default_factory=dict)

    def place(self, step: int, identity: str) -> tuple[int, int]:
        """The group and sample of a row."""
        groups = self.groups.setdefault(step, {})
        group = groups.setdefault(identity, len(groups))
        sample = self.sizes.get((step, group), 0)
        self.sizes[step, group] = sample + 1
        return group, sample


def columns_of(
    row: Mapping[str, Any], origin: Origin, numbering: Numbering, note: Callable[[str], None]
) -> dict[str, Any] | None:
    """A row as the columns of a trace; `None`, with a note, where it has no prompt or no completion."""
    if row.keys() >= _OURS:
        return _ours(row, note)
    prompt = row.get("prompt")
    said = row.get("completion", row.get("response"))
    if prompt is None or said is None:
        note(f"a row without {'a prompt' if prompt is None else 'a completion'} was left out")
        return None
    messages = json.dumps(_messages(prompt), default=str)
    step = _whole(row.get("step", row.get("global_step"))) or 0
    identity = next((f"{name}={row[name]}" for name in _IDS if row.get(name) is not None), messages)
    group, sample = numbering.place(step, identity)
    parts = _parts(row, origin)
    given = row.get("reward", row.get("score"))
    reward = _number(given)
    if given is None and parts:
        reward = sum(value for value in parts.values() if value is not None)
        note("no total reward: it is shown as the plain sum of the parts")
    token_ids = _list_of(row.get("token_ids", row.get("completion_ids")), int)
    count = _whole(row.get("completion_tokens"))
    return {
        "run": origin.stage,
        "stage": origin.stage,
        "split": origin.split,
        "env": _text_or_none(row.get("env", row.get("task") if isinstance(row.get("task"), str) else None)),
        "step": step,
        "group": group,
        "sample": sample,
        "attempt": 0,
        "task_id": writable(str(next((row[name] for name in _IDS if row.get(name) is not None), _short(messages)))),
        "task": json.dumps(row["task"], default=str) if isinstance(row.get("task"), dict) else None,
        "messages": messages,
        "gold": _text_or_none(row.get("answer", row.get("gold"))),
        "completion": writable(_said(said)),
        "turns": json.dumps(said, default=str) if isinstance(said, list) and len(said) > 1 else None,
        "token_ids": token_ids,
        "logprobs": _list_of(row.get("logprobs"), (int, float)),
        "entropies": _list_of(row.get("entropies"), (int, float)),
        "finish_reason": _finish_reason(row),
        "parts": [(writable(name), value) for name, value in parts.items()],
        "errors": [("error", writable(content_text(row["error"])))] if row.get("error") else [],
        "info": json.dumps(_rest(row, parts), default=str),
        "reward": reward,
        "success": row["success"] if isinstance(row.get("success"), bool) else None,
        "advantage": _number(row.get("advantage")),
        "completion_tokens": len(token_ids) if token_ids is not None else count,
        "prompt_tokens": _whole(row.get("prompt_tokens")),
    }


def _ours(row: Mapping[str, Any], note: Callable[[str], None]) -> dict[str, Any] | None:
    """A row that `rlvr traces --export` wrote, back as it was; `None`, with a note, where it does not say its place."""
    columns = {name: row.get(name) for name in SCHEMA.names}
    texts, numbers = ("stage", "split"), ("step", "group", "sample")
    if not all(isinstance(row[n], str) for n in texts) or not all(_whole(row[n]) == row[n] for n in numbers):
        note("a row that does not say its stage, split, step, group and sample was left out")
        return None
    for name in ("task", "messages", "turns", "info"):
        value = columns[name]
        columns[name] = value if value is None or isinstance(value, str) else json.dumps(value, default=str)
    for name in ("parts", "errors"):
        given = columns[name]
        columns[name] = list(given.items()) if isinstance(given, dict) else given
    columns["alternatives"] = _alternatives(columns["alternatives"])
    return columns


def _alternatives(value: Any) -> Any:
    """Lists of pairs as lists of tuples; what is none of these as it is."""
    if not isinstance(value, list):
        return value
    return [[tuple(p) if isinstance(p, list) else p for p in o] if isinstance(o, list) else o for o in value]


def _messages(prompt: Any) -> list[Any]:
    if isinstance(prompt, list):
        return prompt
    return [{"role": "user", "content": content_text(prompt)}]


def _said(completion: Any) -> str:
    """What the model said: text, or its own messages of several."""
    if not isinstance(completion, list):
        return content_text(completion)
    own = [m for m in completion if isinstance(m, dict) and m.get("role", "assistant") == "assistant"]
    return "\n\n".join(content_text(message.get("content")) for message in own)


def _parts(row: Mapping[str, Any], origin: Origin) -> dict[str, float | None]:
    """The named rewards; `None` where one has no value."""
    parts: dict[str, float | None] = {}
    for key in _MAPS_OF_PARTS:
        if isinstance(row.get(key), dict):
            parts |= {str(name): _number(value) for name, value in row[key].items() if _is_number_or_none(value)}
    if origin.has_loose_parts:
        loose = {name: value for name, value in row.items() if name not in _KNOWN and name not in _NO_PARTS}
        parts |= {name: _number(value) for name, value in loose.items() if isinstance(value, float)}
    return parts


def _rest(row: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """What is nothing else."""
    rest = {
        name: value for name, value in row.items() if name not in _KNOWN and name not in parts and value is not None
    }
    inner = rest.pop("info", None)
    return {**rest, **inner} if isinstance(inner, dict) else rest if inner is None else {**rest, "info": inner}


def _finish_reason(row: Mapping[str, Any]) -> str | None:
    if isinstance(row.get("finish_reason"), str):
        return writable(row["finish_reason"])
    if isinstance(row.get("is_truncated"), bool):
        return "length" if row["is_truncated"] else "stop"
    return None


def _text_or_none(value: Any) -> str | None:
    return None if value is None else writable(content_text(value))


def _is_number_or_none(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _number(value: Any) -> float | None:
    if not isinstance(value, bool | int | float) or not math.isfinite(value):
        return None
    return float(value)


def _whole(value: Any) -> int | None:
    """A whole number that fits the columns; also from the text of one."""
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value.strip()[:12])
    number = _number(value)
    return int(number) if number is not None and abs(number) < 2**31 else None


def _list_of(value: Any, kind: Any) -> list[Any] | None:
    return value if isinstance(value, list) and all(isinstance(each, kind) for each in value) else None


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
