"""Scoring a batch: from columns to rows, the policy for errors, and TRL's calling convention both ways."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlvr_rewards.ahead import compute_ahead
from rlvr_rewards.errors import UserError
from rlvr_rewards.row import ABSENT, Completion, Row, completion_text, turns_of
from rlvr_rewards.scorable import Scorable
from rlvr_rewards.score import OnError, Score


def make_rows(
    reward: Scorable,
    completions: Sequence[Completion],
    columns: Mapping[str, Sequence[Any]],
    shared: Mapping[str, Any],
) -> list[Row]:
    """One row a completion; what `reward` does not compute in its place is computed already."""
    for name, values in columns.items():
        if len(values) != len(completions):
            raise UserError(f"column {name!r} has {len(values)} values for {len(completions)} completions")
    rows = []
    for index, completion in enumerate(completions):
        task = {name: values[index] for name, values in columns.items() if values[index] is not ABSENT}
        known = {"num_tokens": len(task["completion_ids"])} if "completion_ids" in task else {}
        said = {"completion": completion_text(completion), "task": task}
        rows.append(Row({"turns": turns_of(completion), **shared, **known, **task, **said}, index))
    ahead = compute_ahead(reward, rows, lambda: _trl_arguments(completions, columns, shared))
    for row in rows:
        row.ahead = ahead
    return rows


def _trl_arguments(
    completions: Sequence[Completion], columns: Mapping[str, Sequence[Any]], shared: Mapping[str, Any]
) -> dict[str, Any]:
    named = {
        "prompts" if name == "prompt" else name: [None if value is ABSENT else value for value in values]
        for name, values in columns.items()
    }
    return {"prompts": [""] * len(completions), **named, **shared, "completions": list(completions)}


def groups_of(prompts: Sequence[Any] | None, num_rows: int) -> list[int]:
    """A number for each row's group: neighbours with equal prompts share one; without prompts, all do."""
    numbers = [0] * num_rows
    if prompts is None:
        return numbers
    for index in range(1, num_rows):
        numbers[index] = numbers[index - 1] + (prompts[index] != prompts[index - 1])
    return numbers


def apply_policy(
    policy: OnError, rows: Sequence[Row], totals: Sequence[float | None], groups: Sequence[Any]
) -> list[Score]:
    """The scores of a batch, with errors treated as `policy` says; `groups` counts for `DROP_GROUP` alone."""
    dropped = [bool(row.errors) and policy is not OnError.ZERO for row in rows]
    if policy is OnError.DROP_GROUP:
        bad = {group for group, drop in zip(groups, dropped, strict=True) if drop}
        dropped = [group in bad for group in groups]
    return [
        Score(None if drop else total, row.parts, row.errors)
        for row, total, drop in zip(rows, totals, dropped, strict=True)
    ]


def score_for_trl(reward: Scorable, completions: Sequence[Completion], **kwargs: Any) -> list[float | None]:
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
