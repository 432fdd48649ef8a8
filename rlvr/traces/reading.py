"""Shards read in part: some columns of all rows, or all columns of some rows, always with the types of `SCHEMA`.

A shard may be gone when it is read, because a run went back to a checkpoint, or be cut short: such a read raises
`OSError` or `pyarrow.ArrowException`, which `UNREADABLE` names.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.traces.schema import SCHEMA
from rlvr.traces.shards import Shard

UNREADABLE = (OSError, pa.ArrowException)
_ROW_GROUP_BYTES, _FEWEST_ROWS, _MOST_ROWS = 8_000_000, 64, 4096
_BATCH_ROWS = 16_384
_MOST_ROWS_AT_ONCE = 65_536
"""A row group with more rows is read in batches, so that memory stays within bounds."""


def rows_at_once(table: pa.Table) -> int:
    """How many rows of this kind a row group should have: few enough that reading a group of siblings is quick."""
    bytes_per_row = table.nbytes / max(1, table.num_rows)
    return int(min(_MOST_ROWS, max(_FEWEST_ROWS, _ROW_GROUP_BYTES / max(1.0, bytes_per_row))))


def as_schema(table: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """The table with exactly the named columns of `SCHEMA`, by default all; what it lacks is null."""
    fields = [SCHEMA.field(name) for name in columns or SCHEMA.names]
    there = set(table.column_names)
    arrays = [
        _cast(table[field.name], field.type) if field.name in there else pa.nulls(table.num_rows, field.type)
        for field in fields
    ]
    return pa.table(arrays, schema=pa.schema(fields, metadata=SCHEMA.metadata))


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)


def read_columns(shard: Shard, columns: Sequence[str]) -> pa.Table:
    """All rows of a shard, some columns."""
    found = list(read_tables(shard, columns))
    return pa.concat_tables(found) if found else as_schema(pa.table({}), columns)


def read_tables(shard: Shard, columns: Sequence[str]) -> Iterator[pa.Table]:
    """All rows of a shard, some columns, a bounded number of rows at a time."""
    with pq.ParquetFile(shard.path) as file:
        yield from _batches(file, columns, shard.start, shard.stop)


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, pa.Table]]:
    """The rows of a file a bounded number at a time, each table with the number of its first row."""
    with pq.ParquetFile(path) as file:
        start = 0
        for table in _batches(file, columns):
            yield start, table
            start += table.num_rows


@dataclass(frozen=True)
class Batch:
    """A bounded number of rows of a file, of which columns are read as they are asked for.

    Attributes:
        first: The number of its first row in the file.
    """

    first: int
    num_rows: int
    read: Callable[[Sequence[str]], pa.Table]


def batches(path: Path, columns: Sequence[str], part: int = 0, num_parts: int = 1) -> Iterator[Batch]:
    """The rows of a file a bounded number at a time, or those of one part of it; a batch holds while it is the last.

    Args:
        columns: All that may be asked for.
        part, num_parts: Which of so many parts, cut between row groups.
    """
    with pq.ParquetFile(path) as file:
        counts = [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)]
        low, high = len(counts) * part // num_parts, len(counts) * (part + 1) // num_parts
        first = sum(counts[:low])
        for index in range(low, high):
            if counts[index] <= _MOST_ROWS_AT_ONCE:
                yield Batch(first, counts[index], _Reader(file, index, counts[index]))
            else:
                for offset, table in _of_row_group(file, index, counts[index], columns):
                    yield Batch(first + offset, table.num_rows, table.select)
            first += counts[index]


@contextmanager
def open_batches(path: Path) -> Iterator[list[Batch]]:
    """The row groups of a small file as batches, which hold until the block ends."""
    with pq.ParquetFile(path) as file:
        found, first = [], 0
        for index in range(file.num_row_groups):
            count = file.metadata.row_group(index).num_rows
            found.append(Batch(first, count, _Reader(file, index, count)))
            first += count
        yield found


@dataclass(frozen=True)
class _Reader:
    """Reads columns of one row group."""

    file: pq.ParquetFile
    index: int
    count: int

    def __call__(self, columns: Sequence[str]) -> pa.Table:
        return next(table for _, table in _of_row_group(self.file, self.index, self.count, columns))


def read_rows(shard: Shard, numbers: Sequence[int]) -> pa.Table:
    """Some rows of a shard, all columns, in the order of `numbers`; only the row groups that hold them are read.

    Args:
        numbers: Counted from the shard's first row.
    """
    wanted = np.asarray(numbers, dtype=np.int64) + shard.start
    in_file_order = np.sort(wanted)
    with pq.ParquetFile(shard.path) as file:
        found = [
            table.take(pa.array(in_file_order[_within(in_file_order, first, table.num_rows)] - first))
            for first, table in _touched(file, in_file_order)
        ]
    if not found:
        return as_schema(pa.table({}))
    return pa.concat_tables(found).take(pa.array(np.argsort(np.argsort(wanted, kind="stable"), kind="stable")))


def _within(numbers: np.ndarray, first: int, count: int) -> np.ndarray:
    return (numbers >= first) & (numbers < first + count)


def _touched(file: pq.ParquetFile, wanted: np.ndarray) -> Iterator[tuple[int, pa.Table]]:
    """Tables that hold the wanted rows, each with the number of its first row."""
    first = 0
    for index in range(file.num_row_groups):
        count = file.metadata.row_group(index).num_rows
        inside = wanted[_within(wanted, first, count)]
        if len(inside):
            for start, table in _of_row_group(file, index, count, SCHEMA.names):
                if start > inside[-1] - first:
                    break
                if _within(inside, first + start, table.num_rows).any():
                    yield first + start, table
        first += count


def _batches(
    file: pq.ParquetFile, columns: Sequence[str], start: int = 0, stop: int | None = None
) -> Iterator[pa.Table]:
    """The rows from `start` to `stop`, in tables of a bounded size."""
    first = 0
    for index in range(file.num_row_groups):
        count = file.metadata.row_group(index).num_rows
        end = first + count if stop is None else min(stop, first + count)
        if end > max(start, first):
            for offset, table in _of_row_group(file, index, count, columns):
                low, high = max(start - first - offset, 0), min(end - first - offset, table.num_rows)
                if high > low:
                    yield table.slice(low, high - low)
        first += count


def _of_row_group(
    file: pq.ParquetFile, index: int, count: int, columns: Sequence[str]
) -> Iterator[tuple[int, pa.Table]]:
    """A row group at once, or in batches where it is large; each with its offset in the row group."""
    if count <= _MOST_ROWS_AT_ONCE:
        table = file.read_row_group(index, list(columns), use_threads=False)  # passes over names that are not there
        yield 0, as_schema(table if table.num_columns else pa.table({"": pa.nulls(count)}), columns)
        return
    there = set(file.schema_arrow.names)
    names = [name for name in columns if name in there]
    if not names:
        yield 0, as_schema(pa.table({"": pa.nulls(count)}), columns)
    else:
        offset = 0
        for batch in file.iter_batches(_BATCH_ROWS, [index], names, use_threads=False):
            yield offset, as_schema(pa.Table.from_batches([batch]), columns)
            offset += batch.num_rows
