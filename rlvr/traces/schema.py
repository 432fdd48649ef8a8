"""What is kept of every sampled completion: one row each, with columns that are only ever added to.

A step's rows need no other file to be read: prompt, gold, text, tokens, every part of the reward and every error.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

TRACE_VERSION = 1

SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("stage", pa.string()),
        ("split", pa.string()),
        ("env", pa.string()),
        ("step", pa.int32()),
        ("group", pa.int32()),
        ("sample", pa.int32()),
        ("attempt", pa.int32()),
        ("task_id", pa.string()),
        ("task", pa.string()),
        ("messages", pa.string()),
        ("gold", pa.string()),
        ("completion", pa.string()),
        ("turns", pa.string()),
        ("token_ids", pa.list_(pa.int32())),
        ("logprobs", pa.list_(pa.float32())),
        ("entropies", pa.list_(pa.float32())),
        ("finish_reason", pa.string()),
        ("parts", pa.map_(pa.string(), pa.float64())),
        ("errors", pa.map_(pa.string(), pa.string())),
        ("info", pa.string()),
        ("reward", pa.float64()),
        ("success", pa.bool_()),
        ("advantage", pa.float64()),
        ("kept", pa.bool_()),
        ("why_not_kept", pa.string()),
        ("seed", pa.int64()),
        ("policy_version", pa.int32()),
        ("prompt_tokens", pa.int32()),
        ("completion_tokens", pa.int32()),
        ("sample_s", pa.float64()),
        ("reward_s", pa.float64()),
        ("time", pa.float64()),
        ("alternatives", pa.list_(pa.map_(pa.int32(), pa.float32()))),
    ],
    metadata={"trace_version": str(TRACE_VERSION)},
)

ADDED = ("alternatives",)
"""Columns that came later: a file without them says the same as one in which they are null."""


@dataclass
class TraceRow:
    """One sampled completion.

    Attributes:
        step: The optimizer step that it was sampled for, from 1; 0 in an evaluation.
        group: The number of its group within the step; `sample` is its number within the group.
        attempt: How often the group had been sampled before in this step.
        task: The row of the environment; `messages` the prompt.
        turns: Of an episode of several turns each message that followed the prompt, with `tokens`, where its tokens
            begin and end among all; those of a reply hold the chat template's marks around it. The completion is what
            the assistant said, turn after turn, a line break between them.
        logprobs: Of each token, in nats, as the sampler drew it; null of one that the environment said.
        entropies: Of what each token was drawn from, in nats; where recorded.
        alternatives: For each token the likeliest others that it could have been, as (id, log-prob) pairs, likeliest
            first; where recorded.
        reward: The total; `None` where a part failed or none applied.
        success: Whether it solved the task; `None` where that could not be said.
        kept: Whether it took part in the update; `why_not_kept` says why it did not.
        finish_reason: `stop` where the model ended its turn (of several: where the environment ended the episode),
            `length` where the budget of tokens was used up, `turns` where that of turns was, `error` where the
            environment could not reply.
        policy_version: Optimizer steps of its stage behind the weights that it was sampled from; `None` where unknown.
        sample_s, reward_s: Seconds it took to sample, and to score.
    """

    run: str
    stage: str
    split: str
    env: str
    step: int
    group: int
    sample: int
    task_id: str
    task: dict[str, Any]
    messages: Sequence[Any]
    gold: str
    completion: str
    token_ids: Sequence[int]
    logprobs: Sequence[float | None]
    finish_reason: str
    parts: dict[str, float | None]
    errors: dict[str, str]
    reward: float | None
    success: bool | None
    seed: int
    policy_version: int | None
    prompt_tokens: int
    sample_s: float
    reward_s: float
    time: float
    attempt: int = 0
    turns: Sequence[Any] | None = None
    entropies: Sequence[float | None] | None = None
    alternatives: Sequence[Sequence[tuple[int, float]]] | None = None
    info: dict[str, Any] = field(default_factory=dict)
    advantage: float | None = None
    kept: bool = True
    why_not_kept: str | None = None


_ENCODER = json.JSONEncoder(default=str)


def to_table(rows: Sequence[TraceRow]) -> pa.Table:
    """Rows as an Arrow table; columns without a value keep their type."""
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names if name != "completion_tokens"}
    columns["completion_tokens"] = [_num_own_tokens(row) for row in rows]
    for name in ("task", "messages", "turns", "info"):
        columns[name] = _as_json(columns[name])
    for name in ("parts", "errors"):
        columns[name] = [list(value.items()) for value in columns[name]]
    return pa.Table.from_arrays([_array(columns[each.name], each.type) for each in SCHEMA], schema=SCHEMA)


def _as_json(values: Sequence[Any]) -> list[str | None]:
    """Each value as JSON, written once where the rows of a group share it."""
    written = {id(value): _ENCODER.encode(value) for value in {id(value): value for value in values}.values()}
    return [None if value is None else written[id(value)] for value in values]


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([_entry_writable(value) for value in values], kind)


def _num_own_tokens(row: TraceRow) -> int:
    """Tokens that the model said."""
    spans = [turn["tokens"] for turn in row.turns or () if turn["role"] == "assistant" and "tokens" in turn]
    return sum(end - start for start, end in spans) if spans else len(row.token_ids)


def _entry_writable(value: Any) -> Any:
    """Text, or the pairs of a map, as Arrow takes them."""
    if isinstance(value, list):
        return [(writable(name), writable(said) if isinstance(said, str) else said) for name, said in value]
    return writable(value) if isinstance(value, str) else value


def writable(text: str) -> str:
    """Text as Arrow takes it: an unpaired surrogate becomes its escape, such as `\\ud800`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
