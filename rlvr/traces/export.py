"""Traces as one file that other tools read: JSON lines, or parquet with the same columns."""

import json
from collections.abc import Iterable
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.traces.encoding import ENCODING
from rlvr.traces.schema import SCHEMA
from rlvr.traces.summary import row_dicts

_JSON_COLUMNS = ("task", "messages", "turns", "info")


def write_jsonl(tables: Iterable[pa.Table], to: BinaryIO) -> int:
    """A line a row, with task, messages, turns and info as JSON values and not as text; returns how many."""
    num_rows = 0
    for found in tables:
        for row in row_dicts(found):
            to.write((json.dumps(_opened(row), ensure_ascii=False) + "\n").encode())
            num_rows += 1
    return num_rows


def write_parquet(tables: Iterable[pa.Table], to: BinaryIO) -> int:
    """The rows as they are stored; returns how many."""
    num_rows = 0
    with pq.ParquetWriter(to, SCHEMA, **ENCODING) as file:
        for found in tables:
            file.write_table(found)
            num_rows += found.num_rows
    return num_rows


def _opened(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: json.loads(value) if name in _JSON_COLUMNS and value is not None else value for name, value in row.items()
    }


FORMATS = {".jsonl": write_jsonl, ".parquet": write_parquet}
"""How to write a file, by how its name ends."""
