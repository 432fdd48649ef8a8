"""Looks at every completion of a run once, in several threads, with progress and a way to stop.

The unit of work is a file, or a part of a large one, so that a run of many small shards and a step of half a million
rows both keep every core busy, and memory holds a few batches at a time.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np

from rlvr.traces.reading import UNREADABLE, Batch, batches
from rlvr.traces.shards import Shard

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Told how much is done, of how much."""

_THREADS = min(4, os.cpu_count() or 1)
_PART_BYTES = 32_000_000


@dataclass(frozen=True)
class _Work:
    """A file or a part of it, and which of its rows belong to which shard."""

    path: Path
    part: int
    num_parts: int
    starts: np.ndarray
    stops: np.ndarray
    numbers: np.ndarray

    def shard_numbers(self, batch: Batch) -> np.ndarray:
        """For each row of a batch the number of its shard; -1 where it is of none that counts."""
        rows = np.arange(batch.first, batch.first + batch.num_rows)
        place = np.searchsorted(self.starts, rows, side="right") - 1
        inside = (place >= 0) & (rows < self.stops[place])
        return np.where(inside, self.numbers[place], -1).astype(np.int32)


def scan(
    shards: Sequence[Shard],
    columns: Sequence[str],
    look: Callable[[Batch, np.ndarray], T],
    progress: Progress = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[T]:
    """What `look` says of every batch of rows, in the order of files; it ends early where it is cancelled.

    Files that cannot be read are passed over: the index says so.

    Args:
        columns: All that `look` may read of a batch.
        look: Called from several threads, with a batch and for each row the number of its shard (-1: leave it out).
        progress: Told the number of pieces looked at, and of all.
        cancelled: Asked between two pieces whether to stop.
    """
    work = list(_work(shards))
    waiting: deque[Future[list[T]]] = deque()
    with ThreadPoolExecutor(_THREADS, "scan") as pool:
        try:
            for done in range(len(work)):
                while len(waiting) < 2 * _THREADS and done + len(waiting) < len(work):
                    waiting.append(pool.submit(_looked_at, work[done + len(waiting)], columns, look))
                yield from waiting.popleft().result()
                progress(done + 1, len(work))
                if cancelled():
                    return
        finally:
            for future in waiting:
                future.cancel()


def _looked_at(work: _Work, columns: Sequence[str], look: Callable[[Batch, np.ndarray], T]) -> list[T]:
    found: list[T] = []
    try:
        for batch in batches(work.path, columns, work.part, work.num_parts):
            found.append(look(batch, work.shard_numbers(batch)))
    except UNREADABLE:
        pass  # gone since it was listed, or damaged
    return found


def _work(shards: Sequence[Shard]) -> Iterator[_Work]:
    numbered = sorted(enumerate(shards), key=lambda each: (str(each[1].path), each[1].start))
    by_file = {path: list(same) for path, same in groupby(numbered, key=lambda each: each[1].path)}
    for path in dict.fromkeys(shard.path for shard in shards):
        numbers, found = zip(*by_file[path], strict=True)
        starts = np.array([shard.start for shard in found])
        stops = np.array([np.iinfo(np.int64).max if shard.stop is None else shard.stop for shard in found])
        num_parts = 1 + _size(path) // _PART_BYTES
        for part in range(num_parts):
            yield _Work(path, part, num_parts, starts, stops, np.array(numbers))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
