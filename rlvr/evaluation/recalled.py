"""What an earlier evaluation measured, read back from its traces: for a paired difference across two evaluations."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.evaluation.metrics import is_number
from rlvr.evaluation.statistics import Estimate, paired_difference
from rlvr.traces.store import read_shards, shards

_COLUMNS = ("task_id", "group", "reward", "success", "parts", "errors", "info")


@dataclass(frozen=True)
class Recalled:
    """An evaluation of a policy: the run's folder of traces, the policy's name, and the split that it was given."""

    traces: Path
    policy: str
    split: str


def recalled_difference(ours: Recalled, theirs: Recalled, metric: str, seed: int) -> Estimate | None:
    """How much better one policy did than another on the same tasks; `None` where their traces do not say.

    Args:
        ours, theirs: The evaluations; positive where the first is better.
        metric: `success`, `score`, `parts.NAME`, or a number of the environment's info.
        seed: Of the run.
    """
    found = [_values(each, metric) for each in (ours, theirs)]
    if not all(found) or [*found[0]] != [*found[1]]:
        return None
    values = [list(each.values()) for each in found]
    if not any(a and b for a, b in zip(*values, strict=True)):
        return None
    return paired_difference(values[0], values[1], seed)


def _values(evaluation: Recalled, metric: str) -> dict[tuple[int, str], list[float]]:
    """The values of the samples of each task, by the task's number and id."""
    found: dict[tuple[int, str], list[float]] = {}
    found_shards = shards(evaluation.traces, evaluation.policy, evaluation.split)
    for _, table in read_shards(found_shards, lambda line: None, _COLUMNS):
        for row in table.to_pylist():
            values = found.setdefault((row["group"], row["task_id"]), [])
            value = _value(row, metric)
            if value is not None:
                values.append(value)
    return dict(sorted(found.items()))


def _value(row: dict[str, Any], metric: str) -> float | None:
    parts, errors = dict(row["parts"] or ()), dict(row["errors"] or ())
    if metric == "success":
        return float(bool(row["success"]))
    if metric == "score":
        return 0.0 if row["reward"] is None and errors else row["reward"]
    if metric.startswith("parts."):
        name = metric.removeprefix("parts.")
        return 0.0 if name in errors else parts.get(name)
    value = json.loads(row["info"] or "{}").get(metric)
    return float(value) if is_number(value) else None
