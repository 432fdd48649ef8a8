"""Looks at every completion of a run once, in several threads, with progress and a way to stop.

The unit of work is a file, or a part of a large one, so that a run of many small shards and a step of half a million
rows both keep every core busy, and memory holds a few batches at a time.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from rlvr.traces.reading import UNREADABLE, Batch, batches, open_batches
from rlvr.traces.shards import Shard

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Told how much is done, of how much."""

_THREADS = min(4, os.cpu_count() or 1)
_BYTES_AT_ONCE, _FILES_AT_ONCE = 4_000_000, 32


@dataclass(frozen=True)
class _Piece:
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


def _looked_at(work: Sequence[_Piece], columns: Sequence[str], look: Callable[[Batch, np.ndarray], T]) -> list[T]:
    if len(work) > 1:
        return _looked_at_together(work, columns, look)
    found: list[T] = []
    with contextlib.suppress(*UNREADABLE):  # gone since it was listed, or damaged
        for batch in batches(work[0].path, columns, work[0].part, work[0].num_parts):
            found.append(look(batch, work[0].shard_numbers(batch)))
    return found


def _looked_at_together(
    work: Sequence[_Piece], columns: Sequence[str], look: Callable[[Batch, np.ndarray], T]
) -> list[T]:
    """Small files as one batch: looking at each would take longer than reading it."""
    with contextlib.ExitStack() as stack:
        found: list[tuple[Batch, np.ndarray]] = []
        for piece in work:
            with contextlib.suppress(*UNREADABLE):
                found += [
                    (batch, piece.shard_numbers(batch)) for batch in stack.enter_context(open_batches(piece.path))
                ]

        def read(names: Sequence[str]) -> pa.Table:
            return pa.concat_tables([batch.read(names) for batch, _ in found]).combine_chunks()

        if not found:
            return []
        try:
            num_rows = sum(batch.num_rows for batch, _ in found)
            return [look(Batch(0, num_rows, read), np.concatenate([numbers for _, numbers in found]))]
        except UNREADABLE:
            return [result for piece in work for result in _looked_at([piece], columns, look)]


def _work(shards: Sequence[Shard]) -> Iterator[list[_Piece]]:
    """What is looked at in one go: parts of a large file, or several small ones."""
    numbered = sorted(enumerate(shards), key=lambda each: (str(each[1].path), each[1].start))
    by_file = {path: list(same) for path, same in groupby(numbered, key=lambda each: each[1].path)}
    together: list[_Piece] = []
    size_together = 0
    for path in dict.fromkeys(shard.path for shard in shards):
        numbers, found = zip(*by_file[path], strict=True)
        starts = np.array([shard.start for shard in found])
        stops = np.array([np.iinfo(np.int64).max if shard.stop is None else shard.stop for shard in found])
        size = _size(path)
        if together and (size_together + size > _BYTES_AT_ONCE or len(together) == _FILES_AT_ONCE):
            yield together
            together, size_together = [], 0
        if size <= _BYTES_AT_ONCE:
            together.append(_Piece(path, 0, 1, starts, stops, np.array(numbers)))
            size_together += size
        else:
            num_parts = 1 + size // (4 * _BYTES_AT_ONCE)
            yield from ([_Piece(path, part, num_parts, starts, stops, np.array(numbers))] for part in range(num_parts))
    if together:
        yield together


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
