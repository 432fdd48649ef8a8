"""The catalog's entry of a file that nobody looked into before, made by reading it; and of a pack, from its parts."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.traces.catalog import Entry
from rlvr.traces.reading import as_schema, read_batches
from rlvr.traces.schema import ADDED, SCHEMA
from rlvr.traces.shards import Shard, parsed, shards_in_pack
from rlvr.traces.tally import COLUMNS, Tally, tally_of


def entry_of(path: Path) -> Entry:
    """What a file holds, read from it.

    Raises:
        OSError, pyarrow.ArrowException: It cannot be read.
    """
    stat, alone = path.stat(), parsed(path)
    with pq.ParquetFile(path) as file:
        names, metadata = set(file.schema_arrow.names), file.schema_arrow.metadata or {}
        columns = [name for name in COLUMNS if name != "entropies" or _has_values(file, name)]
        num_rows = file.metadata.num_rows
    shards = [alone] if alone else shards_in_pack(path)
    ends = [num_rows if shard.stop is None else shard.stop for shard in shards]
    tallies = list(_tallies(path, columns, ends))
    version = metadata.get(b"trace_version", b"").decode("ascii", "replace")
    missing = tuple(name for name in SCHEMA.names if name not in names and name not in ADDED)
    return entry(path, stat, int(version) if version.isdecimal() else None, missing, shards, tallies)


def entry(
    path: Path,
    stat: os.stat_result,
    trace_version: int | None,
    missing: tuple[str, ...],
    shards: Sequence[Shard],
    tallies: Sequence[Tally],
) -> Entry:
    """The entry of a file whose shards' tallies are known."""
    places = tuple((s.step, s.rank, s.start, tally) for s, tally in zip(shards, tallies, strict=True))
    return Entry(path.name, stat.st_size, stat.st_mtime_ns, trace_version, missing, places)


def _tallies(path: Path, columns: Sequence[str], ends: Sequence[int]) -> Iterator[Tally]:
    """The tally of each shard of a file, read once from front to back."""
    waiting, start = list(ends), 0
    pieces: list[pa.Table] = []
    for first, table in read_batches(path, columns):
        while waiting and waiting[0] <= first + table.num_rows:
            pieces.append(table.slice(start - first, waiting[0] - start))
            yield _tally(pieces)
            start, pieces = waiting.pop(0), []
        if start < first + table.num_rows:
            pieces.append(table.slice(start - first))
            start = first + table.num_rows
    for _ in waiting:  # shards without a row, at the end
        yield _tally(pieces)
        pieces = []


def _tally(pieces: Sequence[pa.Table]) -> Tally:
    return tally_of(as_schema(pa.concat_tables(pieces), COLUMNS)) if pieces else Tally()


def _has_values(file: pq.ParquetFile, column: str) -> bool:
    """Whether a list column has an element anywhere, from the file's statistics; yes where they do not say."""
    columns = [file.schema.column(number).path for number in range(len(file.schema))]
    number = next((number for number, path in enumerate(columns) if path.split(".")[0] == column), None)
    if number is None:
        return False
    for index in range(file.num_row_groups):
        statistics = file.metadata.row_group(index).column(number).statistics
        if statistics is None or statistics.num_values:
            return True
    return False
