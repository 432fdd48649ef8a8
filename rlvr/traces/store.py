"""Traces on disk: one parquet shard a step and rank, whole or absent, dropped when a run goes back to a checkpoint.

    traces/<stage>.<split>.step00000012.rank0000.parquet

A shard is written under a dot-prefixed name and renamed, so a leftover of a crash is never read. A reader gets exactly
the columns of `SCHEMA`: those that a later version added are left out, those that an earlier one lacks are null.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.traces.schema import SCHEMA, TraceRow, to_table
from rlvr_rewards.errors import UserError, one_line

_NAME = re.compile(r"(?P<stage>[^.].*)\.(?P<split>[^.]+)\.step(?P<step>\d{8,})\.rank(?P<rank>\d{4,})\.parquet")


@dataclass(frozen=True, order=True)
class Shard:
    """One file of traces, and whose completions it holds; shards sort by stage, split, step and rank.

    Attributes:
        start, stop: Which rows of the file are its own; all of them where `stop` is `None`.
    """

    stage: str
    split: str
    step: int
    rank: int
    path: Path
    start: int = 0
    stop: int | None = None

    @classmethod
    def of(cls, folder: Path, stage: str, split: str, step: int, rank: int = 0) -> "Shard":
        """Where the shard of a step stands, whether or not it was written."""
        first = re.sub(r"^\.", "%2E", quote(stage, safe=" "))  # a name that starts with a dot would be a hidden file
        second = quote(split, safe=" ").replace(".", "%2E")
        name = f"{first}.{second}.step{step:08d}.rank{rank:04d}.parquet"
        return cls(stage, split, step, rank, folder / name)


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
        try:
            with self._named_in_errors():
                file = pq.ParquetWriter(hidden, SCHEMA, compression="zstd")
            try:
                yield lambda rows: self._add(file, rows)
            finally:
                with self._named_in_errors():
                    file.close()
            hidden.replace(path)
        finally:
            hidden.unlink(missing_ok=True)

    def drop_after(self, step: int) -> int:
        """Removes this stage's shards after a step, and says how many there were."""
        dropped = [found for found in shards(self.folder, self.stage, self.split) if found.step > step]
        for shard in dropped:
            shard.path.unlink()
        return len(dropped)

    def _add(self, file: pq.ParquetWriter, rows: Sequence[TraceRow]) -> None:
        with self._named_in_errors():
            file.write_table(to_table(rows))

    @contextmanager
    def _named_in_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or one_line(error)
            raise UserError(f"traces cannot be written into {self.folder}: {reason}") from error


def shards(folder: Path, stage: str | None = None, split: str | None = None, step: int | None = None) -> list[Shard]:
    """The shards of a folder, in order; only those of a stage, a split or a step where one is given."""
    found = [shard for path in folder.glob("*.parquet") if (shard := parsed(path))]
    wanted = ((stage, "stage"), (split, "split"), (step, "step"))
    return sorted(s for s in found if all(value in (None, getattr(s, name)) for value, name in wanted))


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """One shard as an Arrow table: all columns of `SCHEMA`, or those named.

    Raises:
        OSError, pyarrow.ArrowException: It cannot be read; `read_shards` passes over such a file.
    """
    with pq.ParquetFile(path) as file:
        fields = [SCHEMA.field(name) for name in columns or SCHEMA.names]
        there = set(file.schema_arrow.names)
        table = file.read(columns=[field.name for field in fields if field.name in there])
        arrays = [
            table[field.name].cast(field.type) if field.name in there else pa.nulls(table.num_rows, field.type)
            for field in fields
        ]
    return pa.table(arrays, schema=pa.schema(fields, metadata=SCHEMA.metadata))


def read_shards(
    found: Iterable[Shard], on_bad: Callable[[str], None], columns: Sequence[str] | None = None
) -> Iterator[tuple[Shard, pa.Table]]:
    """Each shard with its rows; one that a crash cut short is passed over, and `on_bad` is told of it in one line."""
    for shard in found:
        try:
            table = read_shard(shard.path, columns)
        except (OSError, pa.ArrowException) as error:
            on_bad(f"skipped {shard.path.name}: it is damaged or cut short ({one_line(error)[:100]})")
        else:
            yield shard, table


def parsed(path: Path) -> Shard | None:
    """The shard that a file is, by its name; `None` for any other file."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    return Shard(unquote(match["stage"]), unquote(match["split"]), int(match["step"]), int(match["rank"]), path)
