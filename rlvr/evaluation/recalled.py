"""What an earlier evaluation measured, read back from its traces: for a paired difference across two evaluations."""

import json
from pathlib import Path
from typing import Any

from rlvr.evaluation.metrics import is_number
from rlvr.evaluation.statistics import Estimate, paired_difference
from rlvr.traces.store import read_shards, shards

_COLUMNS = ("task_id", "group", "reward", "success", "parts", "errors", "info")

Policy = tuple[str, str]
"""The name of a policy, and the split that it was evaluated on."""


def recalled_difference(traces: Path, ours: Policy, theirs: Policy, metric: str, seed: int) -> Estimate | None:
    """How much better one policy did than another on the same tasks; `None` where their traces do not say.

    Args:
        traces: The run's folder of traces.
        ours, theirs: The policies; positive where the first is better.
        metric: `success`, `score`, `parts.NAME`, or a number of the environment's info.
        seed: Of the run.
    """
    found = [_values(traces, policy, metric) for policy in (ours, theirs)]
    if not all(found) or [*found[0]] != [*found[1]]:
        return None
    values = [list(each.values()) for each in found]
    if not any(a and b for a, b in zip(*values, strict=True)):
        return None
    return paired_difference(values[0], values[1], seed)


def _values(traces: Path, policy: Policy, metric: str) -> dict[tuple[int, str], list[float]]:
    """The values of the samples of each task, by the task's number and id."""
    found: dict[tuple[int, str], list[float]] = {}
    for _, table in read_shards(shards(traces, *policy), lambda line: None, _COLUMNS):
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
