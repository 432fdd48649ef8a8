"""Traces on disk: one parquet shard a step and rank, whole or absent, dropped when a run goes back to a checkpoint.

    traces/<stage>.<split>.step00000012.rank0000.parquet

A shard is written under a dot-prefixed name and renamed, so a leftover of a crash is never read; its tally goes into
the catalog beside it. A reader gets exactly the columns of `SCHEMA`: those that a later version added are left out,
those that an earlier one lacks are null.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.traces.catalog import Entry, append
from rlvr.traces.encoding import ENCODING
from rlvr.traces.packs import cut_pack
from rlvr.traces.reading import UNREADABLE, as_schema, read_columns, rows_at_once
from rlvr.traces.schema import SCHEMA, TRACE_VERSION, TraceRow, to_table
from rlvr.traces.shards import Shard, counted_once, is_pack, parsed, shards_in_pack
from rlvr.traces.tally import Tally, added, overlap, tally_of
from rlvr_rewards.errors import UserError, one_line

__all__ = ["Shard", "TraceWriter", "read_shard", "read_shards", "shards"]


class TraceWriter:
    """Writes the rows of one stage.

    Args:
        folder: The run's `traces/`.
        stage: The name of the stage.
        split: The split that the tasks are of.
        rank: Of this process.
    """

    def __init__(self, folder: Path, stage: str, split: str, rank: int = 0) -> None:
        self.folder, self.stage, self.split, self.rank = folder, stage, split, rank
        with self._named_in_errors():
            folder.mkdir(parents=True, exist_ok=True)

    def write(self, step: int, rows: Sequence[TraceRow]) -> None:
        """Writes all rows of a step, replacing those of an earlier try at it."""
        with self.open_step(step) as add:
            add(rows)

    @contextmanager
    def open_step(self, step: int) -> Iterator[Callable[[Sequence[TraceRow]], None]]:
        """A function that adds rows to a step, as often as one likes.

        The shard appears when the block ends without an error, and replaces that of an earlier try.

        Raises:
            UserError: It cannot be written; the disk is full, for one.
        """
        path = Shard.of(self.folder, self.stage, self.split, step, self.rank).path
        hidden = path.with_name(f".{path.name}")
        tallies: list[Tally] = []
        try:
            with self._named_in_errors():
                file = pq.ParquetWriter(hidden, SCHEMA, **ENCODING)
            try:
                yield lambda rows: tallies.append(self._add(file, rows))
            finally:
                with self._named_in_errors():
                    file.close()
            hidden.replace(path)
        finally:
            hidden.unlink(missing_ok=True)
        self._catalogue(path, step, tallies)

    def drop_after(self, step: int) -> int:
        """Removes this stage's shards after a step, and says how many there were."""
        dropped = [found for found in shards(self.folder, self.stage, self.split) if found.step > step]
        for shard in dropped:
            if not shard.generation:
                shard.path.unlink(missing_ok=True)
        for path in {shard.path for shard in dropped if shard.generation}:
            cut_pack(path, step)
        return len(dropped)

    def _add(self, file: pq.ParquetWriter, rows: Sequence[TraceRow]) -> Tally:
        with self._named_in_errors():
            table = to_table(rows)
            file.write_table(table, row_group_size=rows_at_once(table))
        return tally_of(table)

    def _catalogue(self, path: Path, step: int, tallies: Sequence[Tally]) -> None:
        """Spares readers a look into the shard; without it they look."""
        if overlap(tallies):
            return  # a group that was added in two parts: what is equal in it shows in the rows together alone
        try:
            stat = path.stat()
        except OSError:
            return
        content = ((step, self.rank, 0, added(tallies)),)
        append(self.folder, [Entry(path.name, stat.st_size, stat.st_mtime_ns, TRACE_VERSION, (), content)])

    @contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or one_line(error)
            raise UserError(f"traces cannot be written into {self.folder}: {reason}") from error


def shards(folder: Path, stage: str | None = None, split: str | None = None, step: int | None = None) -> list[Shard]:
    """The shards of a folder, in order, packed or not; only those of a stage, a split or a step where one is given."""
    paths = list(folder.glob("*.parquet"))
    alone = (shard for path in paths if (shard := parsed(path)))
    in_packs = itertools.chain.from_iterable(_readable_pack(path) for path in paths if is_pack(path))
    wanted = ((stage, "stage"), (split, "split"), (step, "step"))
    found = counted_once(itertools.chain(alone, in_packs))
    return [s for s in found if all(value in (None, getattr(s, name)) for value, name in wanted)]


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """One file as an Arrow table: all columns of `SCHEMA`, or those named.

    Raises:
        OSError, pyarrow.ArrowException: It cannot be read; `read_shards` passes over such a file.
    """
    return as_schema(read_columns(Shard("", "", 0, 0, path), columns or SCHEMA.names), columns)


def read_shards(
    found: Iterable[Shard], on_bad: Callable[[str], None], columns: Sequence[str] | None = None
) -> Iterator[tuple[Shard, pa.Table]]:
    """Each shard with its rows; one that a crash cut short is passed over, and `on_bad` is told of it in one line."""
    for shard in found:
        try:
            table = as_schema(read_columns(shard, columns or SCHEMA.names), columns)
        except UNREADABLE as error:
            on_bad(f"skipped {shard.path.name}: it is damaged or cut short ({one_line(error)[:100]})")
        else:
            yield shard, table


def _readable_pack(path: Path) -> list[Shard]:
    try:
        return shards_in_pack(path)
    except UNREADABLE:
        return []
