"""Scoring a batch: from columns to rows, the policy for errors, and TRL's calling convention both ways."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlvr_rewards.algebra import Reward
from rlvr_rewards.functions import BatchReward
from rlvr_rewards.row import Completion, Row, completion_text
from rlvr_rewards.score import OnError, Score


def make_rows(
    reward: Reward,
    completions: Sequence[Completion],
    columns: Mapping[str, Sequence[Any]],
    shared: Mapping[str, Any],
) -> list[Row]:
    """One row a completion, with the batch functions of `reward` already computed."""
    batch_values = {
        id(leaf): leaf.compute_batch(_trl_arguments(completions, columns, shared), len(completions))
        for leaf in reward.walk()
        if isinstance(leaf, BatchReward)
    }
    rows = []
    for index, completion in enumerate(completions):
        task = {name: values[index] for name, values in columns.items()}
        values = {"task": task, **shared, **task, "completion": completion_text(completion)}
        rows.append(Row(values, index, batch_values))
    return rows


def _trl_arguments(
    completions: Sequence[Completion], columns: Mapping[str, Sequence[Any]], shared: Mapping[str, Any]
) -> dict[str, Any]:
    named = {"prompts" if name == "prompt" else name: list(values) for name, values in columns.items()}
    return {"prompts": [""] * len(completions), **named, **shared, "completions": list(completions)}


def apply_policy(
    policy: OnError, rows: Sequence[Row], totals: Sequence[float | None], groups: Sequence[Any] | None
) -> list[Score]:
    """The scores of a batch, with errors treated as `policy` says."""
    failed = [bool(row.errors) for row in rows]
    if policy is OnError.DROP_GROUP:
        dropped = _spread_over_groups(failed, groups)
    elif policy is OnError.DROP_COMPLETION:
        dropped = failed
    else:
        dropped = [False] * len(rows)
    return [
        Score(None if drop else total, row.parts, row.errors)
        for row, total, drop in zip(rows, totals, dropped, strict=True)
    ]


def _spread_over_groups(failed: Sequence[bool], groups: Sequence[Any] | None) -> list[bool]:
    if groups is None:  # nothing tells the groups apart: all completions are one
        return [any(failed)] * len(failed)
    numbers = [0] * len(failed)
    for index in range(1, len(failed)):
        numbers[index] = numbers[index - 1] + (groups[index] != groups[index - 1])
    bad = {number for number, is_failed in zip(numbers, failed, strict=True) if is_failed}
    return [number in bad for number in numbers]


def score_for_trl(reward: Reward, completions: Sequence[Completion], **kwargs: Any) -> list[float | None]:
    """TRL's call: `f(prompts=, completions=, completion_ids=, **columns, trainer_state=, log_extra=, log_metric=)`.

    Lists of one value a completion are columns; the rest is shared by all rows. Where TRL offers `log_metric`, the mean
    of each part and the share of completions with errors are logged, so that a part that is always zero is seen.
    """
    columns, shared = {}, {}
    for name, value in kwargs.items():
        is_column = isinstance(value, list) and len(value) == len(completions)
        (columns if is_column else shared)["prompt" if name == "prompts" else name] = value
    scores = reward.score_batch(completions, columns, shared)
    if log_metric := kwargs.get("log_metric"):
        for name, value in part_means(scores).items():
            log_metric(f"parts/{name}", value)
        log_metric("reward_errors", sum(bool(score.errors) for score in scores) / max(1, len(scores)))
    return [score.reward for score in scores]


def part_means(scores: Sequence[Score]) -> dict[str, float]:
    """The mean of each part over the completions to which it applied; a part that applied to none is left out."""
    values: dict[str, list[float]] = {}
    for score in scores:
        for name, value in score.parts.items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return {name: sum(found) / len(found) for name, found in values.items()}
