"""Rows of a set, one at a time, each with the words that name it in an error: file and line, or split and number.

Files are read as they stand, not through `datasets`: it would copy them into its cache, and guess a type for a column,
so that the answer `7` of a CSV became a number and rows of uneven shape got each other's keys.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.data.sources import SUFFIXES, DataSource
from rlvr_envs.hub import offline_unless_reachable
from rlvr_envs.jsonl import read_jsonl
from rlvr_rewards.errors import UserError, one_line


@dataclass(frozen=True)
class Row:
    """One row, and where it stands, such as `demos.jsonl line 3`."""

    where: str
    columns: dict[str, Any]

    def error(self, says: str) -> UserError:
        """What is wrong with it, as a mistake of the user's."""
        return UserError(f"{self.where}: {says}")


def read_rows(source: DataSource) -> Iterator[Row]:
    """The rows of a set, its columns under our names.

    Raises:
        UserError: It cannot be read, or holds no row; or a column that `columns` names is missing.
    """
    file = source.file
    rows = _hub_rows(source) if file is None else _file_rows(file)
    found = False
    for row in rows:
        found = True
        yield Row(row.where, _renamed(row, source.columns))
    if not found:
        raise UserError(f"data {source.path}: it holds no row")


def _renamed(row: Row, columns: dict[str, str]) -> dict[str, Any]:
    for theirs in columns.values():
        if theirs not in row.columns:
            raise row.error(f"there is no column {theirs!r}, which columns names: it has {', '.join(row.columns)}")
    taken = set(columns.values())
    kept = {name: value for name, value in row.columns.items() if name not in taken and name not in columns}
    return kept | {ours: row.columns[theirs] for ours, theirs in columns.items()}


def _file_rows(path: Path) -> Iterator[Row]:
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)
        if not files:
            raise UserError(f"data {path}: the folder holds no {', '.join(SUFFIXES)}")
        for file in files:
            yield from _file_rows(file)
        return
    reader = {".jsonl": _jsonl, ".json": _json, ".parquet": _parquet, ".csv": _csv}.get(path.suffix)
    if reader is None:
        raise UserError(f"data {path}: {path.suffix or 'no ending'}: write it as {', '.join(SUFFIXES)}")
    try:
        yield from reader(path)
    except OSError as error:
        raise UserError(f"data {path}: cannot be read: {error.strerror or error}") from None


def _jsonl(path: Path) -> Iterator[Row]:
    yield from (Row(f"{path} line {number}", columns) for number, columns in read_jsonl(path))


def _json(path: Path) -> Iterator[Row]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        hint = ": one object a line is a .jsonl" if "Extra data" in str(error) else ""
        raise UserError(f"data {path}: not JSON: {error}{hint}") from None
    if not isinstance(rows, list) or any(not isinstance(row, dict) for row in rows):
        raise UserError(f"data {path}: a list of objects is needed, such as [{{…}}, {{…}}]")
    yield from (Row(f"{path} row {number}", row) for number, row in enumerate(rows, start=1))


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise UserError(f"data {path}: parquet needs pyarrow: pip install 'rlvr[train]'") from None
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for columns in batch.to_pylist():
                    number += 1
                    yield Row(f"{path} row {number}", columns)
    except pa.ArrowException as error:
        raise UserError(f"data {path}: not a whole parquet file ({one_line(error)[:100]})") from None


def _csv(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            for columns in reader:
                where = f"{path} line {reader.line_num}"
                if None in columns or None in columns.values():
                    raise UserError(f"{where}: it has not as many fields as the first line has names")
                yield Row(where, dict(columns))
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path} line {reader.line_num}: not CSV in UTF-8: {error}") from None


def _hub_rows(source: DataSource) -> Iterator[Row]:
    try:
        from datasets import load_dataset
    except ImportError:
        raise UserError(f"data {source.path}: the hub needs datasets: pip install 'rlvr[hub]'") from None
    try:
        with offline_unless_reachable():
            table = load_dataset(source.path, source.subset, split=source.split, revision=source.revision)
    except Exception as error:  # the hub's client raises many kinds, from its own and from its HTTP library
        raise UserError(
            f"data {source.path}: not to be had from the hub, and no such file here: {one_line(error)}"
        ) from error
    name = f"{source.path} {source.split}"
    yield from (Row(f"{name} row {number}", dict(columns)) for number, columns in enumerate(table, start=1))
