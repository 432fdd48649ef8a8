"""A chunk of completions with what they earned, as recorded, and what they would earn under another reward.

A reward is given what it has in training: the columns of the task, the prompt, every turn, the tokens, the step.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from rlvr.rescore.asked import Asked
from rlvr.rescore.rows import Chunk, group_keys
from rlvr.traces.columns import Floats, by_name, floats, integers
from rlvr_rewards import Reward, Score, UserError
from rlvr_rewards.row import ABSENT, Completion
from rlvr_rewards.terms import Term, terms_of

_NEVER_CAME = ("request", "reply")
"""The errors of completions that are not whole, since a server or the environment failed: they have no reward."""


@dataclass(frozen=True)
class Earned:
    """What advantages are made of: each completion's total, or its value of each part of the sum by itself.

    Attributes:
        columns: One or more, NaN where there is no value.
        weights: Of the columns.
    """

    columns: tuple[Floats, ...]
    weights: tuple[float, ...] = (1.0,)


@dataclass(frozen=True)
class Side:
    """What one reward says of B completions; numbers are NaN where there is no value.

    Attributes:
        rewards_B: The totals.
        parts: Each part by its name.
        earned: What advantages are made of.
    """

    rewards_B: Floats
    parts: dict[str, Floats]
    earned: Earned


@dataclass(frozen=True)
class Scored:
    """B completions of whole groups of one step.

    Attributes:
        chunk: Their rows.
        group_B, attempt_B, sample_B: As the trace numbers them.
        groups_B: The number of each one's group among the `num_groups` that are here.
        before, after: What is recorded, and what the other reward says.
        recorded_B: The advantage that is recorded, NaN where there is none.
        replaced_B: Whether another group took the place of its own, which then taught nothing.
        scores: All that the other reward says of each.
    """

    chunk: Chunk
    group_B: np.ndarray
    attempt_B: np.ndarray
    sample_B: np.ndarray
    groups_B: np.ndarray
    num_groups: int
    before: Side
    after: Side
    recorded_B: Floats
    replaced_B: np.ndarray
    scores: list[Score]


Rewards = Mapping[str | None, Reward]
"""By the label that traces name an environment with; under `None` that of all others."""


class Scorer:
    """Scores chunks.

    Args:
        rewards: Of each environment.
        recorded: Of each environment the reward that is recorded, where advantages are of each of its parts by itself;
            else `None`.

    Raises:
        UserError: One asks for what traces do not have, or is no sum of parts where advantages are of those.
    """

    def __init__(self, rewards: Rewards, recorded: Rewards | None = None) -> None:
        self._rewards = dict(rewards)
        self._asked = {label: Asked.by(reward) for label, reward in rewards.items()}
        self._recorded = recorded
        self._terms, self._recorded_terms = (
            _labelled_terms(each) if recorded is not None else [] for each in (rewards, recorded or {})
        )
        self.columns = tuple(dict.fromkeys(name for asked in self._asked.values() for name in asked.columns))

    @property
    def waits(self) -> bool:
        """Whether one of its functions brings processes or threads of its own."""
        return any(reward.has_ahead for reward in self._rewards.values())

    def __call__(self, chunk: Chunk) -> Scored:
        """What the completions of a chunk earned and would earn.

        Raises:
            UserError: Every completion fails, since no task has a column that the reward needs.
        """
        table = chunk.table
        group_B, attempt_B = integers(table["group"]), integers(table["attempt"])
        keys, groups_B = np.unique(group_keys(group_B, attempt_B), return_inverse=True)
        labels = _labels(chunk, self._rewards)
        scores = self._scores(chunk, labels, groups_B)
        before_B, errors = floats(table["reward"]), [dict(each or ()) for each in table["errors"].to_pylist()]
        whole_B = np.array([not any(name in each for name in _NEVER_CAME) for each in errors])
        scores = [score if is_whole else Score(None) for score, is_whole in zip(scores, whole_B, strict=True)]
        after_B, parts_after = _numbers(score.reward for score in scores), _parts(scores)
        parts_before = by_name(table["parts"])
        step = max(0, chunk.step - 1)
        own = _labels(chunk, self._recorded) if self._recorded else labels
        return Scored(
            chunk=chunk,
            group_B=group_B,
            attempt_B=attempt_B,
            sample_B=integers(table["sample"]),
            groups_B=groups_B,
            num_groups=len(keys),
            before=Side(
                before_B, parts_before, _earned(self._recorded_terms, before_B, parts_before, errors, own, step)
            ),
            after=Side(
                after_B,
                parts_after,
                _earned(self._terms, after_B, parts_after, [score.errors for score in scores], labels, step),
            ),
            recorded_B=floats(table["advantage"]),
            replaced_B=_replaced(table, before_B, groups_B, len(keys)),
            scores=scores,
        )

    def _scores(self, chunk: Chunk, labels: Sequence[str | None], groups_B: np.ndarray) -> list[Score]:
        found: dict[int, Score] = {}
        for label in dict.fromkeys(labels):
            rows = [row for row, each in enumerate(labels) if each == label]
            table = chunk.table if len(rows) == len(labels) else chunk.table.take(pa.array(rows))
            reward, asked = self._rewards[label], self._asked[label]
            found |= dict(zip(rows, _scored(chunk, table, reward, asked, groups_B[rows]), strict=True))
        return [found[row] for row in range(len(labels))]


def _labels(chunk: Chunk, rewards: Rewards) -> list[str | None]:
    """Of each row the label that its reward goes by."""
    if len(rewards) == 1:
        return [*rewards] * chunk.table.num_rows
    labels = chunk.table["env"].to_pylist()
    for label in dict.fromkeys(labels):
        if label not in rewards:
            raise UserError(f"traces of {chunk.stage} are of {label}, an environment that the run's config lacks")
    return labels


def _scored(chunk: Chunk, table: pa.Table, reward: Reward, asked: Asked, groups_B: np.ndarray) -> list[Score]:
    tasks = _tasks(table)
    turns = _opened(table["turns"])
    names = dict.fromkeys(name for task in tasks for name in task)
    columns: dict[str, list[Any]] = {name: [task.get(name, ABSENT) for task in tasks] for name in names}
    if "messages" in asked.columns:
        columns["prompt"] = _opened(table["messages"])
    if "token_ids" in asked.columns:
        columns["completion_ids"] = list(map(_own_ids, table["token_ids"].to_pylist(), turns))
    completions = _completions(table["completion"].to_pylist(), turns, asked.is_batch)
    scores = reward.score_batch(completions, columns, _shared(chunk), groups=groups_B.tolist())
    if all(score.errors for score in scores):
        asked.refuse_missing(tasks, f"{chunk.stage} ({chunk.split})")
    return scores


def _shared(chunk: Chunk) -> dict[str, Any]:
    """The step under way, from 0, where an update was made of it: a weight that changes in training is that of it."""
    if chunk.table["advantage"].null_count == chunk.table.num_rows:
        return {}
    return {"trainer_state": SimpleNamespace(global_step=max(0, chunk.step - 1))}


def _completions(texts: Sequence[str | None], turns: Sequence[Any], as_messages: bool) -> list[Completion]:
    """What was said: the whole conversation where there were several turns, else the text."""
    found: list[Completion] = []
    for text, said in zip(texts, turns, strict=True):
        if isinstance(said, list) and all(isinstance(turn, dict) for turn in said):
            found.append(said)
        else:
            found.append([{"role": "assistant", "content": text or ""}] if as_messages else text or "")
    return found


def _own_ids(ids: list[int] | None, turns: Any) -> Any:
    """The tokens that the model said; of several turns those of its own."""
    if ids is None or not isinstance(turns, list):
        return ABSENT if ids is None else ids
    spans = [turn.get("tokens") for turn in turns if isinstance(turn, dict) and turn.get("role") == "assistant"]
    return [token for span in spans if span for token in ids[span[0] : span[1]]] if any(spans) else ids


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


def _labelled_terms(rewards: Rewards) -> list[tuple[str | None, Term]]:
    """The terms of the sums that the rewards are, of all environments."""
    return [(label, term) for label, reward in rewards.items() for term in terms_of(reward)]


def _earned(
    terms: Sequence[tuple[str | None, Term]],
    rewards_B: Floats,
    parts: Mapping[str, Floats],
    errors: Sequence[Mapping[str, str]],
    labels: Sequence[str | None],
    step: int,
) -> Earned:
    """The total, or the value of each term, as `rlvr_rewards.terms.Term.value` and `rlvr.engine.objectives` have it."""
    if not terms:
        return Earned((rewards_B,))
    nothing_B = np.full(len(rewards_B), np.nan)
    columns = []
    for label, term in terms:
        failed_B = np.array([term.part in each for each in errors], dtype=bool)
        values_B = np.where(failed_B, 0.0, parts.get(term.part, nothing_B))
        is_of_B = np.array([each == label for each in labels], dtype=bool) & ~np.isnan(rewards_B)
        columns.append(np.where(is_of_B, values_B, np.nan))
    return Earned(tuple(columns), tuple(term.weight(step) for _, term in terms))


def _replaced(table: pa.Table, before_B: Floats, groups_B: np.ndarray, num_groups: int) -> np.ndarray:
    """Completions of groups without variance in whose place others were sampled: none was kept nor has an advantage."""
    counts_B = ~np.isnan(floats(table["advantage"])) | (floats(table["kept"]) != 0)
    stays = np.bincount(groups_B[counts_B], minlength=num_groups) > 0
    has_reward = np.bincount(groups_B[~np.isnan(before_B)], minlength=num_groups) > 0
    return (~stays & has_reward)[groups_B]


def _parts(scores: Sequence[Score]) -> dict[str, Floats]:
    names = dict.fromkeys(name for score in scores for name in score.parts)
    return {name: _numbers(score.parts.get(name) for score in scores) for name in names}


def _numbers(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
