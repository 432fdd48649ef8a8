"""Packs: many small shards in one file, written whole under a hidden name, then renamed.

Which shards become a pack is decided elsewhere (`rlvr.traces.compact`).
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.traces.encoding import ENCODING
from rlvr.traces.reading import read_columns, rows_at_once
from rlvr.traces.schema import SCHEMA
from rlvr.traces.shards import CONTENTS, Shard, pack_path, shards_in_pack

_BUFFERED_BYTES = 32_000_000


def write_pack(folder: Path, found: Sequence[Shard], generation: int) -> list[Shard]:
    """Writes shards of one stage and split into a pack, checks it, and gives the shards as they stand in it.

    What it was made from stays where it is.

    Raises:
        OSError, pyarrow.ArrowException: A shard cannot be read, or the pack cannot be written; there is then no pack.
    """
    stage, split = found[0].stage, found[0].split
    steps = [shard.step for shard in found]
    path = pack_path(folder, stage, split, min(steps), max(steps), generation)
    hidden = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        contents = _write(hidden, found)
        _flush(hidden)
        written = pq.read_metadata(hidden)
        if written.num_rows != (contents[-1][3] if contents else 0):
            raise OSError(f"{path.name} has {written.num_rows} rows and not those that were written")
        hidden.replace(path)
        _flush(folder)
    finally:
        hidden.unlink(missing_ok=True)
    return shards_in_pack(path)


def cut_pack(path: Path, last_step: int) -> None:
    """Removes the steps after `last_step` from a pack, and the pack where none is left."""
    inside = shards_in_pack(path)
    if kept := [shard for shard in inside if shard.step <= last_step]:
        write_pack(path.parent, kept, inside[0].generation + 1)
    path.unlink(missing_ok=True)


def _write(hidden: Path, found: Sequence[Shard]) -> list[tuple[int, int, int, int]]:
    """Writes the rows, many steps to a row group, and says where each shard's are."""
    contents: list[tuple[int, int, int, int]] = []
    with pq.ParquetWriter(hidden, SCHEMA, **ENCODING) as file:
        for tables in _in_buffers(found, contents):
            joined = pa.concat_tables(tables)
            file.write_table(joined, row_group_size=rows_at_once(joined))
        file.add_key_value_metadata({CONTENTS.decode(): json.dumps(contents)})
    return contents


def _in_buffers(found: Sequence[Shard], contents: list[tuple[int, int, int, int]]) -> Iterator[list[pa.Table]]:
    """The tables of the shards, some megabytes at a time; fills `contents` on the way."""
    buffered: list[pa.Table] = []
    start = size = 0
    for shard in found:
        table = read_columns(shard, SCHEMA.names)
        contents.append((shard.step, shard.rank, start, start + table.num_rows))
        start += table.num_rows
        buffered.append(table)
        size += table.nbytes
        if size > _BUFFERED_BYTES:
            yield buffered
            buffered, size = [], 0
    if buffered:
        yield buffered


def _flush(path: Path) -> None:
    """Waits until a file or a folder's names are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
