"""A chunk of completions with what they earned, as recorded, and what they would earn under another reward.

A reward is given what it has in training: the columns of the task, the prompt, the tokens, the step. What a trace row
does not hold (TRL's own logging functions, its environments) is refused before anything is scored.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from rlvr.rescore.rows import Chunk, group_keys
from rlvr.traces.columns import Floats, by_name, floats, integers
from rlvr_rewards import Reward, Score, UserError
from rlvr_rewards.functions import BatchReward
from rlvr_rewards.injection import FROM_TRL, Injected
from rlvr_rewards.row import ABSENT, Completion

_ALWAYS = (
    *("env", "group", "sample", "attempt", "task", "gold", "completion", "turns"),
    *("parts", "reward", "advantage", "kept"),
)
_FROM_TRACE = {"prompt": "messages", "prompts": "messages", "completion_ids": "token_ids", "num_tokens": "token_ids"}
"""What a reward may ask for beside the task's columns, and the column of a trace that holds it."""
_OF_TRAINING = frozenset(FROM_TRL) - {"completion_ids", "trainer_state"}
_OURS = frozenset((*_FROM_TRACE, *FROM_TRL, "completion", "completions", "turns", "task"))


@dataclass(frozen=True)
class Asked:
    """What the functions of a reward ask for by name.

    Attributes:
        required: Without which one fails, with the part that does.
        names: All names, also those that may be absent.
        takes_all: Whether one takes whatever there is.
        is_batch: Whether one has TRL's batch signature, so that it is given completions as messages.
    """

    required: Mapping[str, str]
    names: frozenset[str]
    takes_all: bool
    is_batch: bool

    @classmethod
    def by(cls, reward: Reward) -> "Asked":
        functions = [(node, found) for node in reward.walk() for found in vars(node).values()]
        injected = [(str(node.name or ""), found) for node, found in functions if isinstance(found, Injected)]
        return cls(
            required={name: part for part, found in injected for name in found.required},
            names=frozenset(name for _, found in injected for name in (*found.required, *found.optional)),
            takes_all=any(found.takes_all for _, found in injected),
            is_batch=any(isinstance(node, BatchReward) for node in reward.walk()),
        )

    def check(self) -> None:
        """Raises: UserError: It asks for what only a trainer has."""
        for name in sorted(_OF_TRAINING & self.required.keys()):
            raise UserError(f"the reward {self.required[name]!r} asks for {name}, which training has and traces do not")

    def columns(self) -> tuple[str, ...]:
        """The columns of a trace that it needs."""
        more = {column for name, column in _FROM_TRACE.items() if self.takes_all or name in self.names}
        return (*_ALWAYS, *sorted(more))


@dataclass(frozen=True)
class Scored:
    """B completions of whole groups of one step; numbers are NaN where there is no value.

    Attributes:
        chunk: Their rows.
        group_B, attempt_B, sample_B: As the trace numbers them.
        groups_B: The number of each one's group among the `num_groups` that are here.
        before_B, after_B: The reward that is recorded, and the other one's.
        parts_before, parts_after: The same of each part.
        recorded_B: The advantage that is recorded.
        replaced_B: Whether another group took the place of its own, which then taught nothing.
        scores: All that the other reward says of each.
    """

    chunk: Chunk
    group_B: np.ndarray
    attempt_B: np.ndarray
    sample_B: np.ndarray
    groups_B: np.ndarray
    num_groups: int
    before_B: Floats
    after_B: Floats
    parts_before: dict[str, Floats]
    parts_after: dict[str, Floats]
    recorded_B: Floats
    replaced_B: np.ndarray
    scores: list[Score]


class Scorer:
    """Scores chunks with a reward, or with that of each of several environments.

    Args:
        rewards: By the label that traces name their environment with; under `None` that of all others.

    Raises:
        UserError: One asks for what traces do not have.
    """

    def __init__(self, rewards: Mapping[str | None, Reward]) -> None:
        self._rewards = dict(rewards)
        self._asked = {label: Asked.by(reward) for label, reward in rewards.items()}
        for asked in self._asked.values():
            asked.check()
        self.columns = tuple(dict.fromkeys(name for asked in self._asked.values() for name in asked.columns()))

    @property
    def waits(self) -> bool:
        """Whether one of its functions brings processes or threads of its own."""
        return any(getattr(node, "is_ahead", False) for reward in self._rewards.values() for node in reward.walk())

    def __call__(self, chunk: Chunk) -> Scored:
        """What the completions of a chunk earned and would earn.

        Raises:
            UserError: No task of it has a column that the reward needs.
        """
        table = chunk.table
        group_B, attempt_B = integers(table["group"]), integers(table["attempt"])
        keys, groups_B = np.unique(group_keys(group_B, attempt_B), return_inverse=True)
        scores = self._scores(chunk, groups_B)
        before_B = floats(table["reward"])
        return Scored(
            chunk=chunk,
            group_B=group_B,
            attempt_B=attempt_B,
            sample_B=integers(table["sample"]),
            groups_B=groups_B,
            num_groups=len(keys),
            before_B=before_B,
            after_B=_numbers(score.reward for score in scores),
            parts_before=by_name(table["parts"]),
            parts_after={
                name: _numbers(score.parts.get(name) for score in scores)
                for name in dict.fromkeys(name for score in scores for name in score.parts)
            },
            recorded_B=floats(table["advantage"]),
            replaced_B=_replaced(table, before_B, groups_B, len(keys)),
            scores=scores,
        )

    def _scores(self, chunk: Chunk, groups_B: np.ndarray) -> list[Score]:
        labels = chunk.table["env"].to_pylist() if len(self._rewards) > 1 else [None] * chunk.table.num_rows
        found: dict[int, Score] = {}
        for label in dict.fromkeys(labels):
            known = label if label in self._rewards else next((key for key in self._rewards if key is None), label)
            if known not in self._rewards:
                raise UserError(f"traces of {chunk.stage} are of {label}, an environment that the run's config lacks")
            rows = [row for row, each in enumerate(labels) if each == label]
            table = chunk.table if len(rows) == len(labels) else chunk.table.take(pa.array(rows))
            scores = self._scored(chunk, table, self._rewards[known], self._asked[known], groups_B[rows])
            found |= dict(zip(rows, scores, strict=True))
        return [found[row] for row in range(len(labels))]

    def _scored(self, chunk: Chunk, table: pa.Table, reward: Reward, asked: Asked, groups_B: np.ndarray) -> list[Score]:
        tasks = _tasks(table)
        _refuse_missing(asked, tasks, chunk)
        names = dict.fromkeys(name for task in tasks for name in task)
        columns: dict[str, list[Any]] = {name: [task.get(name, ABSENT) for task in tasks] for name in names}
        if "messages" in asked.columns():
            columns["prompt"] = _opened(table["messages"])
        if "token_ids" in asked.columns():
            columns["completion_ids"] = [ABSENT if ids is None else ids for ids in table["token_ids"].to_pylist()]
        completions = _completions(table, asked.is_batch)
        return reward.score_batch(completions, columns, _shared(chunk), groups=groups_B.tolist())


def _shared(chunk: Chunk) -> dict[str, Any]:
    """The step under way, from 0, where an update was made of it: a weight that changes in training is that of it."""
    if chunk.table["advantage"].null_count == chunk.table.num_rows:
        return {}
    return {"trainer_state": SimpleNamespace(global_step=max(0, chunk.step - 1))}


def _completions(table: pa.Table, as_messages: bool) -> list[Completion]:
    """What was said: the whole conversation where there were several turns, else the text."""
    found: list[Completion] = []
    for text, turns in zip(table["completion"].to_pylist(), _opened(table["turns"]), strict=True):
        if isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns):
            found.append(turns)
        else:
            found.append([{"role": "assistant", "content": text or ""}] if as_messages else text or "")
    return found


def _tasks(table: pa.Table) -> list[dict[str, Any]]:
    """The task of each row; where another tool kept none, its gold answer as the column `answer`."""
    golds = table["gold"].to_pylist()
    tasks = _opened(table["task"])
    return [
        task if isinstance(task, dict) else {} if gold is None else {"answer": gold}
        for task, gold in zip(tasks, golds, strict=True)
    ]


def _opened(texts: pa.ChunkedArray) -> list[Any]:
    """JSON of each row, every different text read once: siblings share their task."""
    encoded = texts.combine_chunks().dictionary_encode()
    values = [json.loads(text) for text in encoded.dictionary.to_pylist()]
    return [None if index is None else values[index] for index in encoded.indices.to_pylist()]


def _refuse_missing(asked: Asked, tasks: Sequence[Mapping[str, Any]], chunk: Chunk) -> None:
    """A column that no task has would be an error of every completion."""
    has = {name for task in tasks for name in task}
    for name, part in asked.required.items():
        if name not in has and name not in _OURS:
            columns = ", ".join(sorted(has)) or "none"
            raise UserError(
                f"the reward {part!r} needs the column {name!r}, which no task of {chunk.stage} ({chunk.split}) has: "
                f"they have {columns}; --stage and --split choose others"
            )


def _replaced(table: pa.Table, before_B: Floats, groups_B: np.ndarray, num_groups: int) -> np.ndarray:
    """Completions of groups without variance in whose place others were sampled: none was kept nor has an advantage."""
    counts_B = ~np.isnan(floats(table["advantage"])) | (floats(table["kept"]) != 0)
    stays = np.bincount(groups_B[counts_B], minlength=num_groups) > 0
    has_reward = np.bincount(groups_B[~np.isnan(before_B)], minlength=num_groups) > 0
    return (~stays & has_reward)[groups_B]


def _numbers(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
