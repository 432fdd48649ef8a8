"""The groups of one step as columns: half a million rows sort in a blink, and a group becomes an object when shown.

spread        √(mean((r − mean(r))²)) over the rewards r of the group, what GRPO divides by (arXiv 2402.03300)
disagreement  (1 − ρ) / 2 for the two parts of the lowest Pearson correlation ρ among those that vary in the group:
              0 where all parts rank the siblings alike, 1 where one pays for what another charges for
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import pyarrow as pa

from rlvr.traces.arrow import pc
from rlvr.traces.columns import Floats, by_name, floats, integers, means, num_entries, number, whole
from rlvr.traces.rows import GroupKey

COLUMNS = (
    "env",
    "group",
    "sample",
    "attempt",
    "task_id",
    "completion_tokens",
    "finish_reason",
    "parts",
    "errors",
    "reward",
    "success",
    "kept",
)
"""What a table of groups reads of a step."""

SORTS = ("group", "spread", "mean", "best", "worst", "length", "disagreement", "success", "clipped", "errors", "size")
"""What groups sort by, and `parts.NAME` for each part."""

_TINY = 1e-12


@dataclass(frozen=True)
class GroupSummary:
    """One group; means over its completions, `None` where nothing has a value.

    Attributes:
        rewards: Of each sibling in the order of `samples`; `None` where it has none.
        samples: The siblings' numbers.
        mean, spread, best, worst: Of the rewards.
        length: Mean length in tokens.
        clipped: Share cut short by the token budget; `errors`: in which a part failed; `kept`: used in the update.
        disagreement: From 0 to 1, how far two parts rank the siblings differently; `None` where fewer than two vary.
    """

    key: GroupKey
    env: str | None
    task_id: str | None
    samples: tuple[int, ...]
    rewards: tuple[float | None, ...]
    mean: float | None
    spread: float | None
    best: float | None
    worst: float | None
    success: float | None
    length: float | None
    clipped: float | None
    errors: float | None
    kept: float | None
    disagreement: float | None
    parts: dict[str, float | None]


class Groups(Sequence[GroupSummary]):
    """The groups of a step, by number; `sorted_by` gives them in another order.

    Args:
        stage, split, step: Which step.
        table: Its rows, with the columns `COLUMNS`.
    """

    def __init__(self, stage: str, split: str, step: int, table: pa.Table) -> None:
        self.stage, self.split, self.step = stage, split, step
        group, attempt, sample = (integers(table[name]) for name in ("group", "attempt", "sample"))
        self.rows_in_order = np.lexsort((sample, attempt, group))
        keys = ((group << 20) + attempt)[self.rows_in_order]
        self._starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, np.int64)
        self._ends = np.r_[self._starts[1:], len(keys)].astype(np.int64)
        self._group, self._attempt = group[self._first_rows()], attempt[self._first_rows()]
        self._sample = sample[self.rows_in_order].astype(np.int32)
        self._rewards = floats(table["reward"])[self.rows_in_order]
        self._names = {name: whole(table[name]).take(pa.array(self._first_rows())) for name in ("env", "task_id")}
        self._columns, self.parts = self._measured(table)
        self._order = np.arange(len(self._starts))

    def __len__(self) -> int:
        return len(self._order)

    @overload
    def __getitem__(self, index: int) -> GroupSummary: ...
    @overload
    def __getitem__(self, index: slice) -> list[GroupSummary]: ...
    def __getitem__(self, index: int | slice) -> GroupSummary | list[GroupSummary]:
        if isinstance(index, slice):
            return [self._summary(int(place)) for place in self._order[index]]
        return self._summary(int(self._order[index]))

    def sorted_by(self, name: str, descending: bool = False) -> "Groups":
        """The same groups in another order: one of `SORTS`, or `parts.NAME`. Those without a value come last.

        Raises:
            KeyError: There is no such name.
        """
        values = self._sort_values(name)
        other = object.__new__(Groups)
        other.__dict__.update(self.__dict__)
        other._order = np.argsort(-values if descending else values, kind="stable")  # NaN sorts last either way
        return other

    def position(self, group: int, attempt: int = 0) -> int | None:
        """Where a group stands in this order; `None` where it is not there."""
        found = np.flatnonzero((self._group[self._order] == group) & (self._attempt[self._order] == attempt))
        return int(found[0]) if len(found) else None

    def row_numbers(self, position: int) -> list[int]:
        """The numbers of a group's rows in the table, siblings in order."""
        place = self._order[position]
        return self.rows_in_order[self._starts[place] : self._ends[place]].tolist()

    def with_task(self, task_id: str) -> list[GroupSummary]:
        """The groups of one task, in this order."""
        matches = floats(pc.equal(self._names["task_id"], task_id)) == 1
        return [self._summary(int(place)) for place in self._order if matches[place]]

    def _first_rows(self) -> np.ndarray:
        return self.rows_in_order[self._starts]

    def _sort_values(self, name: str) -> Floats:
        if name.startswith("parts."):
            return self.parts[name.removeprefix("parts.")]
        if name == "group":
            return (self._group * (1 << 20) + self._attempt).astype(np.float64)
        return self._columns[name]

    def _measured(self, table: pa.Table) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Every number of every group, and the mean of every part."""
        count = len(self._starts)
        groups = np.repeat(np.arange(count), self._ends - self._starts)

        def mean_of(values: Floats) -> Floats:
            return means(values[self.rows_in_order], groups, count)

        parts = {name: values[self.rows_in_order] for name, values in by_name(table["parts"]).items()}
        rewards = self._rewards
        mean = means(rewards, groups, count)
        columns = {
            "size": (self._ends - self._starts).astype(np.float64),
            "mean": mean,
            "spread": np.sqrt(means((rewards - mean[groups]) ** 2, groups, count)) if count else mean,
            "best": np.fmax.reduceat(rewards, self._starts) if count else mean,
            "worst": np.fmin.reduceat(rewards, self._starts) if count else mean,
            "success": mean_of(floats(table["success"])),
            "length": mean_of(floats(table["completion_tokens"])),
            "clipped": mean_of(floats(pc.equal(table["finish_reason"], "length"))),
            "errors": mean_of((num_entries(table["errors"]) > 0).astype(np.float64)),
            "kept": mean_of(floats(table["kept"])),
            "disagreement": _disagreement(list(parts.values()), groups, count),
        }
        return columns, {name: means(values, groups, count) for name, values in parts.items()}

    def _summary(self, place: int) -> GroupSummary:
        rows = slice(self._starts[place], self._ends[place])
        values = {name: number(column[place]) for name, column in self._columns.items() if name != "size"}
        return GroupSummary(
            key=GroupKey(self.stage, self.split, self.step, int(self._group[place]), int(self._attempt[place])),
            env=self._names["env"][place].as_py(),
            task_id=self._names["task_id"][place].as_py(),
            samples=tuple(self._sample[rows].tolist()),
            rewards=tuple(map(number, self._rewards[rows])),
            parts={name: number(column[place]) for name, column in self.parts.items()},
            **values,
        )


def _disagreement(parts: Sequence[Floats], groups: np.ndarray, count: int) -> Floats:
    """Of each group, see above; NaN where fewer than two parts vary."""
    worst = np.full(count, np.nan)
    for a, b in itertools.combinations(parts, 2):
        both = ~(np.isnan(a) | np.isnan(b))
        a, b = np.where(both, a, np.nan), np.where(both, b, np.nan)
        a, b = a - means(a, groups, count)[groups], b - means(b, groups, count)[groups]
        varies = np.sqrt(means(a * a, groups, count) * means(b * b, groups, count))
        correlation = np.divide(
            means(a * b, groups, count), varies, out=np.full(count, np.nan), where=np.nan_to_num(varies) > _TINY
        )
        worst = np.fmax(worst, np.clip((1 - correlation) / 2, 0, 1))
    return worst
