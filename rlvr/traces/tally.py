"""Sums over the rows of a shard, kept beside it so that a table of steps needs no row: they add up over shards.

A tally is a line of JSON in the catalog (`rlvr.traces.catalog`); `StepSummary` is what it comes to.
"""

import itertools
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from rlvr.traces.arrow import pc
from rlvr.traces.columns import Floats, by_name, floats, integers, num_entries, number

COLUMNS = (
    "group",
    "attempt",
    "reward",
    "success",
    "parts",
    "errors",
    "completion_tokens",
    "finish_reason",
    "kept",
    "entropies",
)
"""What a tally reads of a shard."""

Sum = tuple[float, int]
"""The sum of the values that are there, and how many those are."""


@dataclass(frozen=True)
class Tally:
    """What adds up over the rows of a step.

    Attributes:
        num_rows: How many completions.
        num_groups: How many groups, a group sampled again counting as another.
        comparable: How many of these groups have at least two rewards; `equal`: of those, how many earned all the same.
        first_group, last_group: The lowest and highest group number; -1 where there is no row.
        lowest, highest: Reward; `None` where no row has one.
        reward, success, length, clipped, errors, kept, entropy: Sums with counts; of shares each row is 0 or 1.
        parts: The same for each part by name.
    """

    num_rows: int = 0
    num_groups: int = 0
    comparable: int = 0
    equal: int = 0
    first_group: int = -1
    last_group: int = -1
    lowest: float | None = None
    highest: float | None = None
    reward: Sum = (0.0, 0)
    success: Sum = (0.0, 0)
    length: Sum = (0.0, 0)
    clipped: Sum = (0.0, 0)
    errors: Sum = (0.0, 0)
    kept: Sum = (0.0, 0)
    entropy: Sum = (0.0, 0)
    parts: dict[str, Sum] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Tally":
        """Raises: TypeError, ValueError, KeyError: It is no tally of this version."""
        sums: dict[str, Any] = {name: _sum(value[name]) for name in _SUMS}
        sums |= {name: int(value[name]) for name in _COUNTS}
        sums |= {name: None if value[name] is None else float(value[name]) for name in _EXTREMES}
        return cls(**sums, parts={str(name): _sum(each) for name, each in value["parts"].items()})


_SUMS = ("reward", "success", "length", "clipped", "errors", "kept", "entropy")
_EXTREMES = ("lowest", "highest")
_COUNTS = ("num_rows", "num_groups", "comparable", "equal", "first_group", "last_group")


@dataclass(frozen=True)
class StepSummary:
    """A step of one stage and split; means over its completions, `None` where nothing has a value.

    Attributes:
        num_rows: Completions; `None` while its shards were not looked into yet, and then so is everything below.
        reward: Mean total, over the completions that have one; `lowest` and `highest` of them.
        parts: Mean of each part, over the completions to which it applied.
        success: Share that solved its task.
        zero_variance: Share of groups, of those with two rewards or more, whose completions all earned the same.
        clipped: Share cut short by the token budget.
        length: Mean length in tokens.
        errors: Share in which a part failed.
        kept: Share that took part in the update.
        entropy: Mean entropy of a token in nats, where entropies are recorded.
    """

    stage: str
    split: str
    step: int
    num_rows: int | None = None
    num_groups: int | None = None
    reward: float | None = None
    lowest: float | None = None
    highest: float | None = None
    success: float | None = None
    parts: dict[str, float | None] = field(default_factory=dict)
    zero_variance: float | None = None
    clipped: float | None = None
    length: float | None = None
    errors: float | None = None
    kept: float | None = None
    entropy: float | None = None


def summary_of(stage: str, split: str, step: int, tally: Tally | None) -> StepSummary:
    """What a step's tally comes to."""
    if tally is None:
        return StepSummary(stage, split, step)
    return StepSummary(
        stage,
        split,
        step,
        num_rows=tally.num_rows,
        num_groups=tally.num_groups,
        parts={name: _mean(each) for name, each in tally.parts.items()},
        zero_variance=tally.equal / tally.comparable if tally.comparable else None,
        **{name: _mean(getattr(tally, name)) for name in _SUMS},
        **{name: getattr(tally, name) for name in _EXTREMES},
    )


def tally_of(table: pa.Table) -> Tally:
    """The tally of rows that have the columns `COLUMNS`."""
    if not table.num_rows:
        return Tally()
    group, rewards = integers(table["group"]), floats(table["reward"])
    keys = (group << 20) + integers(table["attempt"])
    comparable, equal = _equal_groups(keys, rewards)
    return Tally(
        num_rows=table.num_rows,
        num_groups=len(np.unique(keys)),
        comparable=comparable,
        equal=equal,
        first_group=int(group.min()),
        last_group=int(group.max()),
        lowest=number(np.fmin.reduce(rewards)),
        highest=number(np.fmax.reduce(rewards)),
        reward=_summed(rewards),
        success=_summed(floats(table["success"])),
        length=_summed(floats(table["completion_tokens"])),
        clipped=_summed(floats(pc.equal(table["finish_reason"], "length"))),
        errors=_summed((num_entries(table["errors"]) > 0).astype(np.float64)),
        kept=_summed(floats(table["kept"])),
        entropy=_summed(floats(pc.list_flatten(table["entropies"]))),
        parts={name: _summed(values) for name, values in by_name(table["parts"]).items()},
    )


def added(tallies: Iterable[Tally]) -> Tally:
    """The tally of all rows together. Groups that stand in several of them count once for each: see `overlap`."""
    tallies = [tally for tally in tallies if tally.num_rows]
    if len(tallies) < 2:
        return tallies[0] if tallies else Tally()
    names = dict.fromkeys(name for tally in tallies for name in tally.parts)
    sums: dict[str, Any] = {name: sum(getattr(tally, name) for tally in tallies) for name in _COUNTS[:4]}
    sums |= {name: _added(getattr(tally, name) for tally in tallies) for name in _SUMS}
    return Tally(
        **sums,
        first_group=min(tally.first_group for tally in tallies),
        last_group=max(tally.last_group for tally in tallies),
        lowest=min((tally.lowest for tally in tallies if tally.lowest is not None), default=None),
        highest=max((tally.highest for tally in tallies if tally.highest is not None), default=None),
        parts={name: _added(tally.parts.get(name, (0.0, 0)) for tally in tallies) for name in names},
    )


def overlap(tallies: Iterable[Tally]) -> bool:
    """Whether a group may have rows in two of them, so that they must be made from the rows together."""
    spans = sorted((tally.first_group, tally.last_group) for tally in tallies if tally.num_rows)
    return any(before[1] >= after[0] for before, after in itertools.pairwise(spans))


def _equal_groups(keys: np.ndarray, rewards: Floats) -> tuple[int, int]:
    """How many groups have two rewards or more, and in how many of those all are the same."""
    known = ~np.isnan(rewards)
    if not known.any():
        return 0, 0
    order = np.argsort(keys[known], kind="stable")
    keys, rewards = keys[known][order], rewards[known][order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    sizes = np.diff(np.r_[starts, len(keys)])
    same = np.minimum.reduceat(rewards, starts) == np.maximum.reduceat(rewards, starts)
    return int((sizes > 1).sum()), int((same & (sizes > 1)).sum())


def _summed(values: Floats) -> Sum:
    known = values[~np.isnan(values)]
    return float(known.sum()), len(known)


def _added(sums: Iterable[Sum]) -> Sum:
    sums = list(sums)
    return sum(total for total, _ in sums), sum(count for _, count in sums)


def _sum(value: Any) -> Sum:
    total, count = value
    return float(total), int(count)


def _mean(summed: Sum) -> float | None:
    total, count = summed
    return total / count if count else None
