"""The completions of one step before anything is sampled: whose they are, and the seed of each."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from rlvr.engine.rollout import Origin, Rollout
from rlvr_envs.seeds import derive_seeds


def new_rollout(
    inputs: Sequence[Mapping[str, Any]],
    groups: Sequence[int],
    origin: Origin,
    step: int,
    attempt: int = 0,
    before: Sequence[str] = (),
) -> Rollout:
    """Completions to be, before anything is sampled.

    Args:
        inputs: Rows of the dataset, each with `task` (JSON text) and `task_id`.
        groups: The number of each row's group in the batch of all processes; the rows of a group stand together.
        origin: The run and stage.
        step: The optimizer step that they are sampled for.
        attempt: How many groups were sampled before in their place.
        before: The task ids of the groups before these in the batch, which other processes sample.
    """
    task_ids = [example["task_id"] for example in inputs]
    seen: Counter[int] = Counter()
    samples: list[int] = []
    for group in groups:
        samples.append(seen[group])
        seen[group] += 1
    # Which tasks other processes sample anew is not known here: there the place tells equal tasks apart.
    occurrences = {group: group for group in groups} if attempt else _occurrences(groups, task_ids, before)
    rows = groupby(zip(groups, task_ids, samples, strict=True), key=itemgetter(0, 1))
    seeds = [
        seed
        for (group, task_id), of_group in rows
        for seed in derive_seeds(
            origin.seed,
            "sample",
            [sample for _, _, sample in of_group],
            stage=origin.stage,
            split="train",
            step=step,
            task_id=task_id,
            occurrence=occurrences[group],
            attempt=attempt,
            turn=0,
        )
    ]
    by_text = {text: json.loads(text) for text in dict.fromkeys(example["task"] for example in inputs)}
    tasks = [by_text[example["task"]] for example in inputs]
    return Rollout(origin, step, tasks, task_ids, list(groups), samples, [attempt] * len(tasks), seeds)


def _occurrences(groups: Sequence[int], task_ids: Sequence[str], before: Sequence[str]) -> dict[int, int]:
    """For each group, how many groups before it in this batch are of the same task."""
    seen = Counter(before)
    found: dict[int, int] = {}
    for group, task_id in zip(groups, task_ids, strict=True):
        if group not in found:
            found[group] = seen[task_id]
            seen[task_id] += 1
    return found
