"""A completion as it is read back: every column by name, JSON opened, `None` for what a file does not have."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_JSON = ("task", "messages", "turns", "info")


@dataclass(frozen=True, order=True)
class GroupKey:
    """Names one group: the completions of one prompt, sampled together. `attempt` counts how often it was before."""

    stage: str
    split: str
    step: int
    group: int
    attempt: int = 0


@dataclass(frozen=True)
class Row:
    """One sampled completion; the columns are those of `rlvr.traces.schema.TraceRow`.

    What the file does not have is `None`; `task`, `info`, `parts`, `errors` are then empty, `messages` too.
    """

    run: str | None = None
    stage: str = ""
    split: str = ""
    env: str | None = None
    step: int = 0
    group: int = 0
    sample: int = 0
    attempt: int = 0
    task_id: str | None = None
    task: Any = field(default_factory=dict)
    messages: list[Any] = field(default_factory=list)
    gold: str | None = None
    completion: str = ""
    turns: list[Any] | None = None
    token_ids: list[int] | None = None
    logprobs: list[float | None] | None = None
    entropies: list[float | None] | None = None
    finish_reason: str | None = None
    parts: dict[str, float | None] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    info: Any = field(default_factory=dict)
    reward: float | None = None
    success: bool | None = None
    advantage: float | None = None
    kept: bool | None = None
    why_not_kept: str | None = None
    seed: int | None = None
    policy_version: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    sample_s: float | None = None
    reward_s: float | None = None
    time: float | None = None
    alternatives: list[list[tuple[int, float]]] | None = None

    @property
    def episode(self) -> list[dict[str, Any]]:
        """The turns, where what the assistant says in them is the completion; none where a turn is beside it."""
        turns = [turn for turn in self.turns or () if isinstance(turn, dict) and isinstance(turn.get("content"), str)]
        said = "\n".join(turn["content"] for turn in turns if turn.get("role") == "assistant")
        return turns if turns and len(turns) == len(self.turns or ()) and said == self.completion else []

    @property
    def key(self) -> GroupKey:
        """The group it is of."""
        return GroupKey(self.stage, self.split, self.step, self.group, self.attempt)


_EMPTY = {"task": dict, "messages": list, "info": dict, "parts": dict, "errors": dict}
_NEVER_NONE = ("stage", "split", "step", "group", "sample", "attempt", "completion")


def row_of(columns: Mapping[str, Any]) -> Row:
    """A row from the columns of a trace, as `summary.row_dicts` gives them."""
    values: dict[str, Any] = {name: _opened(value) if name in _JSON else value for name, value in columns.items()}
    for name, empty in _EMPTY.items():
        values[name] = empty() if values.get(name) is None else values[name]
    if not isinstance(values["messages"], list):
        values["messages"] = [values["messages"]]
    given: dict[str, Any] = {name: v for name, v in values.items() if v is not None or name not in _NEVER_NONE}
    return Row(**given)


def _opened(text: str | None) -> Any:
    """A JSON value; text that is none stays as it is, so that it can still be read."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):  # nested too deep
        return text
