"""Looks through every completion of a run: a filter, a text in completions or prompts, sorted by any field.

Shards are read a few at a time by several threads, and only the columns that the question needs; of a match nothing is
kept but where it stands (some 40 bytes), so memory does not grow with the run. Text columns are only read of a shard in
which the filter left a row.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import overload

import numpy as np
import pyarrow as pa

from rlvr.traces.arrow import pc
from rlvr.traces.columns import integers
from rlvr.traces.fields import Kind, field_named, nearest
from rlvr.traces.index import TraceIndex
from rlvr.traces.query import Filter
from rlvr.traces.reading import UNREADABLE, read_columns
from rlvr.traces.rows import GroupKey
from rlvr.traces.search import Search
from rlvr.traces.shards import Shard
from rlvr_rewards.errors import UserError

_PLACE = ("group", "attempt", "sample")
_THREADS = min(4, os.cpu_count() or 1)


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
    """What was found in one shard."""

    num_rows: int
    places: np.ndarray
    values: pa.Array | None


def find(
    index: TraceIndex,
    filter: Filter | None = None,  # the word that users know
    search: Search | None = None,
    sort: Sort | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
    limit: int | None = None,
) -> Found:
    """The completions that a filter lets through and a search finds, all of them where neither is given.

    Args:
        sort: By default they come in the order of stages, splits, steps, groups and samples.
        progress: Told the number of shards looked through, and of all.
        cancelled: Asked between two shards whether to stop; what was found so far comes back.
        limit: Stop after so many matches, without a sort.
    """
    shards = index.shards()
    steps = list(dict.fromkeys((shard.stage, shard.split, shard.step) for shard in shards))
    number_of = {key: number for number, key in enumerate(steps)}
    found: list[_Matches] = []
    num_matches, is_whole = 0, True
    for done, matches in enumerate(_in_order(shards, filter, search, sort), start=1):
        shard = shards[done - 1]
        if matches:
            matches.places[:, 0] = number_of[shard.stage, shard.split, shard.step]
            found.append(matches)
            num_matches += len(matches.places)
        progress(done, len(shards))
        if done < len(shards) and (cancelled() or (limit is not None and sort is None and num_matches >= limit)):
            is_whole = False
            break
    places = np.concatenate([np.zeros((0, 4), np.int32), *(each.places for each in found)])
    order = _order(found, sort) if sort else slice(limit)
    return Found(steps, places[order], sum(each.num_rows for each in found), is_whole)


def _in_order(
    shards: Sequence[Shard], filter: Filter | None, search: Search | None, sort: Sort | None
) -> Iterator[_Matches | None]:
    """The matches of each shard in turn; `None` for one that cannot be read."""
    waiting: deque[Future[_Matches | None]] = deque()
    with ThreadPoolExecutor(_THREADS, "find") as pool:
        try:
            for shard in shards:
                waiting.append(pool.submit(_matches, shard, filter, search, sort))
                if len(waiting) > 2 * _THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _matches(shard: Shard, filter: Filter | None, search: Search | None, sort: Sort | None) -> _Matches | None:
    try:
        return _matches_of(shard, filter, search, sort)
    except UNREADABLE:
        return None  # gone since, or damaged: the index says so


def _matches_of(shard: Shard, filter: Filter | None, search: Search | None, sort: Sort | None) -> _Matches:
    sort_field = field_named(sort.name) if sort else None
    columns = {*_PLACE, *(filter.columns if filter else ()), *((sort_field.column,) if sort_field else ())}
    table = read_columns(shard, sorted(columns))
    num_rows = table.num_rows
    mask = filter.mask(table) if filter else pa.array(np.ones(num_rows, bool))
    if search and pc.any(mask).as_py():
        mask = pc.and_(mask, search.mask(read_columns(shard, search.columns)))
    table = table.filter(mask)
    places = np.zeros((table.num_rows, 4), np.int32)
    for place, name in enumerate(_PLACE, start=1):
        places[:, place] = integers(table[name])
    places_order = np.lexsort((places[:, 3], places[:, 2], places[:, 1]))
    values = sort_field.values(table).take(pa.array(places_order)) if sort_field else None
    return _Matches(num_rows, places[places_order], values)


def _order(found: Sequence[_Matches], sort: Sort) -> np.ndarray:
    arrays = [each.values for each in found if each.values is not None and len(each.values)]
    if not arrays:
        return np.zeros(0, np.int64)
    values = pa.chunked_array([_sortable(array) for array in arrays])
    direction = "descending" if sort.descending else "ascending"
    # a last key keeps equals in their order: sort_indices is not stable
    table = pa.table({"value": values, "place": pa.array(np.arange(len(values)))})
    return pc.sort_indices(table, sort_keys=[("value", direction), ("place", "ascending")]).to_numpy()


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
