"""Looks through every completion of a run: a filter, a text in completions or prompts, sorted by any field.

Only the columns that the question needs are read, and the text only of batches in which the filter left a row; of a
match nothing is kept but where it stands (some 40 bytes), so memory does not grow with the run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import pyarrow as pa

from rlvr.traces.arrow import pc
from rlvr.traces.columns import integers, narrowed
from rlvr.traces.fields import Field, Kind, field_named, nearest
from rlvr.traces.index import TraceIndex
from rlvr.traces.query import Filter
from rlvr.traces.reading import Batch
from rlvr.traces.rows import GroupKey
from rlvr.traces.scan import Progress, scan
from rlvr.traces.search import Search
from rlvr_rewards.errors import UserError

_PLACE = ("group", "attempt", "sample")


@dataclass(frozen=True)
class RowRef:
    """Where a completion is: its group, and its number in it."""

    key: GroupKey
    sample: int


@dataclass(frozen=True)
class Sort:
    """An order of rows: by a field of `rlvr.traces.fields`; rows without a value come last.

    Raises:
        UserError: There is no such field.
    """

    name: str
    descending: bool = False

    def __post_init__(self) -> None:
        if field_named(self.name) is None:
            raise UserError(f"nothing to sort by is called {self.name}{nearest(self.name)}")


@dataclass(frozen=True)
class Found(Sequence[RowRef]):
    """The matches, in order.

    Attributes:
        num_scanned: Rows that were looked at.
        is_whole: Whether all rows were; not where it was cancelled, or stopped at the limit.
    """

    steps: list[tuple[str, str, int]]
    places: np.ndarray = field(repr=False)
    num_scanned: int = 0
    is_whole: bool = True

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> RowRef: ...
    @overload
    def __getitem__(self, index: slice) -> list[RowRef]: ...
    def __getitem__(self, index: int | slice) -> RowRef | list[RowRef]:
        if isinstance(index, slice):
            return [self._ref(place) for place in self.places[index]]
        return self._ref(self.places[index])

    def _ref(self, place: np.ndarray) -> RowRef:
        step, group, attempt, sample = map(int, place)
        return RowRef(GroupKey(*self.steps[step], group, attempt), sample)


@dataclass(frozen=True)
class _Matches:
    """What was found in one batch: for each match the number of its shard, group, attempt and sample."""

    num_rows: int
    places: np.ndarray
    values: pa.Array | None


def find(
    index: TraceIndex,
    filter: Filter | None = None,  # the word that users know
    search: Search | None = None,
    sort: Sort | None = None,
    progress: Progress = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
    limit: int | None = None,
) -> Found:
    """The completions that a filter lets through and a search finds, all of them where neither is given.

    Args:
        sort: By default they come in the order of stages, splits, steps, groups and samples.
        progress: Told the number of pieces looked through, and of all.
        cancelled: Asked between two pieces whether to stop; what was found so far comes back.
        limit: Stop after so many matches, without a sort.
    """
    shards = index.shards()
    question = _Question(filter, search, field_named(sort.name) if sort else None)
    found: list[_Matches] = []
    state = {"done": 0, "total": 0, "matches": 0}

    def report(done: int, total: int) -> None:
        state.update(done=done, total=total)
        progress(done, total)

    def enough() -> bool:
        return cancelled() or (limit is not None and sort is None and state["matches"] >= limit)

    for matches in scan(shards, question.columns, question.matches, report, enough):
        found.append(matches)
        state["matches"] += len(matches.places)
    places = np.concatenate([np.zeros((0, 4), np.int32), *(each.places for each in found)])
    order = _order(found, sort) if sort else np.lexsort(places.T[::-1])[:limit]
    steps = [(shard.stage, shard.split, shard.step) for shard in shards]
    return Found(steps, places[order], sum(each.num_rows for each in found), state["done"] == state["total"])


@dataclass(frozen=True)
class _Question:
    """What is asked of every row."""

    filter: Filter | None
    search: Search | None
    sort_field: Field | None

    @property
    def columns(self) -> list[str]:
        """All columns that it may need."""
        return sorted({*self.first_columns, *(self.search.columns if self.search else ())})

    @property
    def first_columns(self) -> list[str]:
        """Those that it needs of every row."""
        sorted_by = (self.sort_field.column,) if self.sort_field else ()
        return sorted({*_PLACE, *(self.filter.columns if self.filter else ()), *sorted_by})

    def matches(self, batch: Batch, shard_numbers: np.ndarray) -> _Matches:
        """The matches in a batch; its texts are only read where the filter left a row."""
        table = batch.read(self.first_columns)
        mask = pa.array(shard_numbers >= 0)
        if self.filter:
            mask = pc.and_(mask, self.filter.mask(table))
        if self.search and pc.any(mask).as_py():
            texts = batch.read(self.search.columns).filter(mask)
            mask = narrowed(mask, self.search.mask(texts))
        table = table.filter(mask)
        places = np.empty((table.num_rows, 4), np.int32)
        places[:, 0] = shard_numbers[mask.to_numpy(zero_copy_only=False)]
        for place, name in enumerate(_PLACE, start=1):
            places[:, place] = integers(table[name])
        return _Matches(int((shard_numbers >= 0).sum()), places, self.sort_field and self.sort_field.values(table))


def _order(found: Sequence[_Matches], sort: Sort) -> np.ndarray:
    """The order of all matches by the sort's field, equals in the order of their places."""
    arrays = [_sortable(each.values) for each in found if each.values is not None and len(each.values)]
    if not arrays:
        return np.zeros(0, np.int64)
    places = np.concatenate([each.places for each in found])
    rank = np.empty(len(places), np.int64)
    rank[np.lexsort(places.T[::-1])] = np.arange(len(places))
    table = pa.table({"value": pa.chunked_array(arrays), "rank": pa.array(rank)})
    direction = "descending" if sort.descending else "ascending"
    return pc.sort_indices(table, sort_keys=[("value", direction), ("rank", "ascending")]).to_numpy()


def _sortable(array: pa.Array) -> pa.Array:
    return array.cast(pa.int8()) if pa.types.is_boolean(array.type) else array


def sort_names(part_names: Sequence[str]) -> list[str]:
    """What a list of completions is usefully sorted by."""
    numbers = [
        "reward",
        "advantage",
        "length",
        "chars",
        "step",
        "errors",
        "prompt_length",
        "sample_s",
        "reward_s",
        "time",
    ]
    assert all((named := field_named(name)) and named.kind == Kind.NUMBER for name in numbers)
    return [*numbers[:2], *(f"parts.{name}" for name in part_names), "success", *numbers[2:], "finish_reason"]
