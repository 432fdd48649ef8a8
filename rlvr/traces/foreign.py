"""Other tools' completions as the same rows: TRL's parquet, verifiers' results, any JSONL with prompt and completion.

They are read once into shards of ours in the user's cache folder, kept until the file changes, so that everything which
reads traces reads them. What is not there stays unknown; how a row is understood: `rlvr.traces.foreign_row`.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.traces.catalog import user_cache
from rlvr.traces.encoding import ENCODING
from rlvr.traces.foreign_row import Numbering, Origin, columns_of
from rlvr.traces.reading import UNREADABLE, rows_at_once
from rlvr.traces.schema import SCHEMA
from rlvr.traces.shards import Shard
from rlvr.traces.text import visible
from rlvr_rewards.errors import UserError, one_line

CONVERSION_VERSION = 1
_ROWS_AT_ONCE = 1024

Problem = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """Files of one tool that belong together.

    Attributes:
        files: In order.
        origin: Which tool, as the stage and split of the rows.
    """

    files: tuple[Path, ...]
    origin: Origin


def source_of(path: Path) -> Source | None:
    """What a file, or a folder that a tool wrote, holds; `None` where it is none of theirs."""
    if path.is_file():
        if path.suffix == ".jsonl":
            return Source((path,), _jsonl_origin(path))
        if path.suffix == ".parquet":
            is_trl = path.name.startswith("completions_")
            return Source((path,), Origin("trl" if is_trl else path.stem, "train" if is_trl else "rows"))
        return None
    for folder in (path, path / "completions"):
        if files := sorted(folder.glob("completions_*.parquet")):
            return Source(tuple(files), Origin("trl", "train"))
    if (path / "results.jsonl").is_file():
        return Source((path / "results.jsonl",), _jsonl_origin(path / "results.jsonl"))
    return None


def converted(source: Source, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """The folder of shards made from a source; made now where it is not there or the source changed since.

    Raises:
        UserError: Nothing in it has a prompt and a completion.
    """
    name = hashlib.blake2b(str(source.files[0].resolve()).encode(), digest_size=16).hexdigest()
    try:
        state = {"version": CONVERSION_VERSION, "files": [_state(file) for file in source.files]}
        for home in _homes():
            if _read_state(home / name).get("source") == state:
                return home / name
        with _new_folder(source) as new:
            problems = _convert(source, new, progress)
            (new / "source.json").write_text(json.dumps({"source": state, "problems": problems}))
            folder = new.parent / name
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
        return folder
    except OSError as error:
        raise UserError(f"{source.files[0]} cannot be opened: {error.strerror or error}") from error


def _homes() -> list[Path]:
    """Where conversions may stand."""
    return [user_cache() / "foreign", Path(tempfile.gettempdir()) / "rlvr-traces"]


@contextmanager
def _new_folder(source: Source) -> Iterator[Path]:
    """An empty folder in the first of those places that can be written; what is left in it goes with the block."""
    for home in _homes():
        try:
            home.mkdir(parents=True, exist_ok=True)
            new = Path(tempfile.mkdtemp(prefix=".new-", dir=home))
            break
        except OSError:
            continue
    else:
        raise UserError(
            f"{source.files[0]} cannot be opened: neither the cache nor the temporary folder can be written"
        )
    try:
        yield new
    finally:
        shutil.rmtree(new, ignore_errors=True)


def problems_of(folder: Path) -> list[str]:
    """What a conversion had to leave out, a line each."""
    return [str(line) for line in _read_state(folder).get("problems", ())]


def _convert(source: Source, to: Path, progress: Callable[[int, int], None]) -> list[str]:
    """Writes the shards and says what was left out."""
    total, done, problems = sum(file.stat().st_size for file in source.files), 0, dict[str, int]()

    def note(line: str) -> None:
        problems[line] = problems.get(line, 0) + 1

    with _Shards(to, source.origin, note) as shards:
        for file in source.files:
            for row, read in _rows(file, note):
                shards.add(row)
                progress(done + read, total)
            done += file.stat().st_size
    if not shards.num_rows:
        why = f" ({next(iter(problems))})" if problems else ""
        raise UserError(f"{source.files[0]}: no completions to show{why}: each row needs a prompt and a completion")
    return [visible(line if count == 1 else f"{count} × {line}") for line, count in problems.items()]


class _Shards:
    """Writes rows into a shard a step; a step that comes again goes on in the next rank."""

    def __init__(self, folder: Path, origin: Origin, note: Problem) -> None:
        self.folder, self.origin, self.note, self.num_rows = folder, origin, note, 0
        self._numbering = Numbering()
        self._rows: list[dict[str, Any]] = []
        self._step: tuple[str, str, int] | None = None
        self._ranks: dict[tuple[str, str, int], int] = {}
        self._file: pq.ParquetWriter | None = None

    def __enter__(self) -> "_Shards":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def add(self, row: dict[str, Any]) -> None:
        columns = columns_of(row, self.origin, self._numbering, self.note)
        if columns is None:
            return
        step = (columns["stage"], columns["split"], columns["step"])
        if step != self._step:
            self._close()
            self._open(step)
        self._rows.append(columns)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def _open(self, step: tuple[str, str, int]) -> None:
        self._step, rank = step, self._ranks.get(step, -1) + 1
        self._ranks[step] = rank
        path = Shard.of(self.folder, *step, rank).path
        self._file = pq.ParquetWriter(path, SCHEMA, **ENCODING)

    def _flush(self) -> None:
        if self._rows and self._file:
            table = self._table(self._rows)
            self._file.write_table(table, row_group_size=rows_at_once(table))
            self.num_rows += table.num_rows
            self._rows = []

    def _table(self, rows: list[dict[str, Any]]) -> pa.Table:
        """The rows whose values are of the columns' types; each row is tried alone where one of them is not."""
        try:
            return pa.Table.from_pylist(rows, schema=SCHEMA)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            if len(rows) > 1:
                return pa.concat_tables([self._table([row]) for row in rows])
            self.note(f"a row was left out: {one_line(error)[:80]}")
            return SCHEMA.empty_table()

    def _close(self) -> None:
        with ExitStack() as stack:
            if self._file:
                stack.callback(self._file.close)
                self._flush()
            self._file = None


def _rows(file: Path, note: Problem) -> Iterator[tuple[dict[str, Any], int]]:
    """The rows of a file, each with how many bytes of it were read by then."""
    if file.suffix == ".parquet":
        yield from _parquet_rows(file, note)
        return
    read = 0
    with file.open("rb") as lines:
        for line in lines:
            read += len(line)
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                note("a line that is no JSON, such as one cut short, was left out")
                continue
            if isinstance(row, dict):
                yield row, read
            else:
                note("a line that is no JSON object was left out")


def _parquet_rows(file: Path, note: Problem) -> Iterator[tuple[dict[str, Any], int]]:
    size, read = file.stat().st_size, 0
    try:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(_ROWS_AT_ONCE):
                read += batch.num_rows
                for row in batch.to_pylist():
                    yield row, size * read // max(1, opened.metadata.num_rows)
    except UNREADABLE as error:
        note(f"{file.name} was left out: it is damaged or cut short ({one_line(error)[:100]})")


def _jsonl_origin(path: Path) -> Origin:
    """verifiers writes `results.jsonl` with an `example_id` in each line."""
    try:
        with path.open("rb") as file:
            first = json.loads(file.readline(10_000_000))
    except (OSError, ValueError):
        first = {}
    if isinstance(first, dict) and "example_id" in first:
        return Origin("verifiers", "eval")
    return Origin(path.stem or "rows", "rows")


def _state(file: Path) -> list[Any]:
    stat = file.stat()
    return [str(file.resolve()), stat.st_size, stat.st_mtime_ns]


def _read_state(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "source.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
