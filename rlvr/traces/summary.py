"""What the rows of a step, or of one group in it, come to: the numbers of the tables that `rlvr traces` prints."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

COLUMNS = ("group", "attempt", "task_id", "reward", "success", "parts", "errors", "completion_tokens", "kept")
"""What a summary reads of a shard."""


@dataclass(frozen=True)
class Summary:
    """The means over some completions; `None` where nothing has a value.

    Attributes:
        num_completions: How many there are.
        reward: The mean total, over the completions that have one.
        parts: The mean of each part, over the completions to which it applied.
        success: The share that solved its task.
        zero_variance: The share of groups whose completions all earned the same, and so teach nothing.
        tokens: The mean length.
        errors: The share in which a part failed.
    """

    num_completions: int
    reward: float | None
    parts: dict[str, float | None]
    success: float | None
    zero_variance: float | None
    tokens: float | None
    errors: float | None


def summarise(rows: Sequence[dict[str, Any]]) -> Summary:
    """The summary of rows that have the keys `COLUMNS`."""
    names = dict.fromkeys(name for row in rows for name in row["parts"])
    return Summary(
        num_completions=len(rows),
        reward=_mean(row["reward"] for row in rows),
        parts={name: _mean(row["parts"].get(name) for row in rows) for name in names},
        success=_mean(row["success"] for row in rows),
        zero_variance=_mean(_all_equal(rewards) for rewards in _rewards_of_groups(rows) if len(rewards) > 1),
        tokens=_mean(row["completion_tokens"] for row in rows),
        errors=_mean(bool(row["errors"]) for row in rows),
    )


def by_group(rows: Iterable[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """The rows of each group, groups in order."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    return dict(sorted(groups.items()))


def row_dicts(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries, its maps as dictionaries too."""
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        for name in ("parts", "errors"):
            if name in row:
                row[name] = dict(row[name] or ())
    return rows


def _rewards_of_groups(rows: Iterable[dict[str, Any]]) -> list[list[float]]:
    groups: dict[tuple[int, int], list[float]] = {}
    for row in rows:
        if row["reward"] is not None:
            groups.setdefault((row["group"], row["attempt"] or 0), []).append(row["reward"])
    return list(groups.values())


def _all_equal(values: list[float]) -> bool:
    return min(values) == max(values)


def _mean(values: Iterable[float | bool | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None
