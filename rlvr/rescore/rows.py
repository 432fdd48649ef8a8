"""The completions of a run in order, whole groups at a time, a bounded number of them in memory.

The unit of work is some steps that stand in files of a bounded size. A step that is large is cut between groups where
the completions of each group stand next to each other, as every file that we write has them; where they are scattered
(another tool's file), and where a group's advantages depend on its whole step, it is held as a whole.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa

from rlvr.traces.columns import integers
from rlvr.traces.reading import UNREADABLE, batches
from rlvr.traces.shards import Shard
from rlvr_rewards.errors import one_line

MOST_ROWS = 2048
"""Completions that are held at once, where a step has more and can be cut."""
_BYTES_AT_ONCE, _STEPS_AT_ONCE = 4_000_000, 32


@dataclass(frozen=True)
class Piece:
    """Neighbouring rows of one shard; `first` is the number of the first of them in it."""

    shard: Shard
    first: int
    table: pa.Table


@dataclass(frozen=True)
class Chunk:
    """All completions of some groups of a step.

    Attributes:
        stage, split, step: Which step.
        table: The rows.
        shards: Those that they stand in; `shard_B` is the place of each row's among them, `row_B` its number in it.
    """

    stage: str
    split: str
    step: int
    table: pa.Table
    shards: list[Shard]
    shard_B: np.ndarray
    row_B: np.ndarray

    @classmethod
    def of(cls, pieces: Sequence[Piece]) -> "Chunk":
        shards = list(dict.fromkeys(piece.shard for piece in pieces))
        sizes = [piece.table.num_rows for piece in pieces]
        return cls(
            *step_of(shards[0]),
            pa.concat_tables([piece.table for piece in pieces]).combine_chunks(),
            shards,
            np.repeat([shards.index(piece.shard) for piece in pieces], sizes),
            np.concatenate([np.arange(piece.first, piece.first + piece.table.num_rows) for piece in pieces]),
        )


def step_of(shard: Shard) -> tuple[str, str, int]:
    return shard.stage, shard.split, shard.step


def work_of(shards: Sequence[Shard]) -> Iterator[list[Shard]]:
    """The shards in portions that are worth a process's while, the shards of a step together."""
    portion: list[Shard] = []
    size = steps = 0
    for _, of_step in groupby(shards, key=step_of):
        found = list(of_step)
        portion += found
        size += sum(_share_of_file(shard) for shard in found)
        steps += 1
        if size > _BYTES_AT_ONCE or steps >= _STEPS_AT_ONCE:
            yield portion
            portion, size, steps = [], 0, 0
    if portion:
        yield portion


def _share_of_file(shard: Shard) -> int:
    """About how many bytes a shard takes; of a pack, in which a completion takes some hundreds, by its rows."""
    if shard.stop is not None:
        return 500 * (shard.stop - shard.start)
    try:
        return shard.path.stat().st_size
    except OSError:
        return 0


def chunks(
    shards: Sequence[Shard],
    columns: Sequence[str],
    is_whole: Callable[[Shard], bool],
    on_bad: Callable[[str], None],
) -> Iterator[Chunk]:
    """The rows of some shards, step by step, in chunks of whole groups.

    Args:
        shards: In order.
        columns: Those that are read; `group` and `attempt` must be among them.
        is_whole: Whether the step of a shard must not be cut.
        on_bad: Told of a file that is damaged or gone, in one line; its rows are passed over.
    """
    for _, found in groupby(_pieces(shards, columns, on_bad), key=lambda piece: step_of(piece.shard)):
        held: list[Piece] = []
        cuttable: bool | None = None
        for piece in found:
            held.append(piece)
            if sum(each.table.num_rows for each in held) <= MOST_ROWS or cuttable is False:
                continue
            if cuttable is None:
                of_step = [shard for shard in shards if step_of(shard) == step_of(piece.shard)]
                cuttable = not is_whole(piece.shard) and _groups_stand_together(of_step)
            if cuttable:
                whole, held = _before_last_group(held)
                if whole:
                    yield Chunk.of(whole)
        if held:
            yield Chunk.of(held)


def _pieces(shards: Sequence[Shard], columns: Sequence[str], on_bad: Callable[[str], None]) -> Iterator[Piece]:
    """The rows of the shards in order; each file is opened once, and what several steps share in it is read once."""
    for path, same in groupby(shards, key=lambda shard: shard.path):
        of_file = list(same)
        try:
            for batch in batches(path, columns):
                end = batch.first + batch.num_rows
                inside = [shard for shard in of_file if shard.start < end and batch.first < _stop(shard, end)]
                if not inside:
                    continue
                table = batch.read(columns)
                for shard in inside:
                    low, high = max(shard.start, batch.first), min(_stop(shard, end), end)
                    yield Piece(shard, low - shard.start, table.slice(low - batch.first, high - low))
        except UNREADABLE as error:
            on_bad(f"skipped {path.name}: it is damaged, cut short or gone ({one_line(error)[:100]})")


def _stop(shard: Shard, end: int) -> int:
    return end if shard.stop is None else shard.stop


def _keys(table: pa.Table) -> np.ndarray:
    return group_keys(integers(table["group"]), integers(table["attempt"]))


def group_keys(group_B: np.ndarray, attempt_B: np.ndarray) -> np.ndarray:
    """One number for each group of a step; a group that was sampled again in the same place is another."""
    return (group_B.astype(np.int64) << 20) + attempt_B


def _groups_stand_together(shards: Sequence[Shard]) -> bool:
    """Whether no group of a step comes again once another began."""
    runs: list[np.ndarray] = []
    for piece in _pieces(shards, ("group", "attempt"), lambda line: None):
        keys = _keys(piece.table)
        starts = np.r_[True, np.diff(keys) != 0]
        if runs and keys[0] == runs[-1][-1]:
            starts[0] = False
        if starts.any():
            runs.append(keys[starts])
    every = np.concatenate(runs) if runs else np.zeros(0, np.int64)
    return len(np.unique(every)) == len(every)


def _before_last_group(held: Sequence[Piece]) -> tuple[list[Piece], list[Piece]]:
    """The pieces cut where their last group begins."""
    last = _keys(held[-1].table)[-1]
    for place in range(len(held) - 1, -1, -1):
        piece = held[place]
        others = np.flatnonzero(_keys(piece.table) != last)
        if len(others):
            cut = int(others[-1]) + 1
            before = [*held[:place], Piece(piece.shard, piece.first, piece.table.slice(0, cut))]
            rest = Piece(piece.shard, piece.first + cut, piece.table.slice(cut))
            return before, [rest, *held[place + 1 :]] if rest.table.num_rows else list(held[place + 1 :])
    return [], list(held)
