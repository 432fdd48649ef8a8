"""Many small shards made into few packs: `rlvr traces RUN --compact`.

A pack is written, checked and renamed into its place before the first of the files that went into it is removed, and a
step that stands in both counts once (`rlvr.traces.shards`): killed at any point, nothing is lost and nothing doubled,
and the same command again finishes the work. The run's lock is held meanwhile, so no run writes into the folder.
"""

import contextlib
import fcntl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq

from rlvr.traces.catalog import Catalog, Entry, append
from rlvr.traces.entries import entry, entry_of
from rlvr.traces.packs import write_pack
from rlvr.traces.reading import UNREADABLE
from rlvr.traces.schema import SCHEMA, TRACE_VERSION
from rlvr.traces.shards import Shard, counted_once, is_pack, parsed, shards_in_pack
from rlvr.traces.tally import Tally
from rlvr_rewards.errors import UserError, one_line

PACK_ROWS, PACK_BYTES = 100_000, 100_000_000
"""A pack is full once it holds so many rows, or so many bytes were put into it."""


@dataclass(frozen=True)
class Compaction:
    """What came of it.

    Attributes:
        files_before, files_after: Files of traces in the folder.
        left_out: Why files were left as they are, a line each.
        is_whole: Whether all was done; not where it was cancelled.
    """

    files_before: int
    files_after: int
    left_out: tuple[str, ...] = ()
    is_whole: bool = True


@dataclass(frozen=True)
class _File:
    """A file of traces: the shards in it that count, and what it is known to hold."""

    path: Path
    shards: tuple[Shard, ...]
    entry: Entry
    is_all: bool


def compact(
    traces: Path,
    run: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Compaction:
    """Makes packs of the small shards of a folder.

    Args:
        traces: The folder with the shards.
        run: The run's folder, whose lock is held meanwhile.
        progress: Told the number of files taken up, and of all.
        cancelled: Asked between two packs whether to stop; what was done stays done.

    Raises:
        UserError: A run writes into it, or the folder cannot be written.
    """
    with _locked(run), _named_in_errors(traces):
        for leftover in traces.glob(".*.pack????.parquet.*.tmp"):
            leftover.unlink(missing_ok=True)
        files, left_out, before = _files(traces)
        chosen = [batch for batch in _batches(files) if len(batch) > 1]
        total, done = sum(map(len, chosen)), 0
        for batch in chosen:
            if cancelled():
                break
            _pack(traces, batch)
            done += len(batch)
            progress(done, total)
        _remove_superseded(traces)
        after = sum(1 for _ in traces.glob("[!.]*.parquet"))
        return Compaction(before, after, tuple(left_out), done == total)


def _files(traces: Path) -> tuple[list[_File], list[str], int]:
    """The files that can go into packs, why others cannot, and how many there are in all."""
    inside: dict[Path, list[Shard]] = {}
    left_out = []
    for path in sorted(traces.glob("[!.]*.parquet")):
        try:
            if found := [shard] if (shard := parsed(path)) else shards_in_pack(path) if is_pack(path) else []:
                inside[path] = found
        except UNREADABLE as error:
            left_out.append(_why(path, error))
    counting: dict[Path, list[Shard]] = {}
    for shard in counted_once(shard for found in inside.values() for shard in found):
        counting.setdefault(shard.path, []).append(shard)
    files, catalog = [], Catalog(traces)
    catalog.load()
    for path, found in counting.items():
        try:
            if later := set(pq.read_schema(path).names) - set(SCHEMA.names):
                left_out.append(f"{path.name}: a newer rlvr wrote it, with {', '.join(sorted(later))}")
                continue
            known = catalog.entries.get(path.name)
            held = known if known and known.is_of(path.stat()) else entry_of(path)
            files.append(_File(path, tuple(found), held, len(found) == len(inside[path])))
        except UNREADABLE as error:
            left_out.append(_why(path, error))
    return files, left_out, len(inside) + len(left_out)


def _batches(files: Sequence[_File]) -> Iterator[list[_File]]:
    """What goes into a pack together: files of one stage and split, neighbours in step, until it is full."""

    def of(file: _File) -> tuple[str, str]:
        return file.shards[0].stage, file.shards[0].split

    for _, same in groupby(sorted(files, key=lambda file: file.shards[0]), key=of):
        batch: list[_File] = []
        rows = size = 0
        for file in same:
            file_rows, file_size = sum(tally.num_rows for *_, tally in file.entry.shards), file.entry.size
            if file_rows >= PACK_ROWS // 2 or file_size >= PACK_BYTES // 2:
                continue  # large enough on its own
            if batch and (rows + file_rows > PACK_ROWS or size + file_size > PACK_BYTES):
                yield batch
                batch, rows, size = [], 0, 0
            batch.append(file)
            rows, size = rows + file_rows, size + file_size
        if batch:
            yield batch


def _pack(traces: Path, batch: Sequence[_File]) -> None:
    """Writes a pack, then removes what went into it."""
    found = sorted(shard for file in batch for shard in file.shards)
    made = write_pack(traces, found, 1 + max(shard.generation for shard in found))
    tallies = {(s.step, s.rank): tally for file in batch for s, tally in _tallied(file)}
    path = made[0].path
    append(
        traces, [entry(path, path.stat(), TRACE_VERSION, (), made, [tallies[shard.step, shard.rank] for shard in made])]
    )
    for file in batch:
        if file.is_all or not is_pack(file.path):
            file.path.unlink(missing_ok=True)


def _tallied(file: _File) -> Iterator[tuple[Shard, Tally]]:
    known = {(step, rank): tally for step, rank, _, tally in file.entry.shards}
    return ((shard, known[shard.step, shard.rank]) for shard in file.shards)


def _remove_superseded(traces: Path) -> None:
    """Removes packs all of whose steps stand elsewhere by now."""
    inside: dict[Path, list[Shard]] = {}
    for path in traces.glob("[!.]*.parquet"):
        with contextlib.suppress(*UNREADABLE):
            inside[path] = [shard] if (shard := parsed(path)) else shards_in_pack(path) if is_pack(path) else []
    counting = {shard.path for shard in counted_once(shard for found in inside.values() for shard in found)}
    for path in inside:
        if is_pack(path) and path not in counting:
            path.unlink(missing_ok=True)


def _why(path: Path, error: BaseException) -> str:
    return f"{path.name}: it is damaged or cut short ({one_line(error)[:100]})"


@contextlib.contextmanager
def _locked(run: Path | None) -> Iterator[None]:
    """Holds the run's lock, as a run does."""
    if run is None:
        yield
        return
    try:
        lock = (run / ".lock").open("ab")
    except OSError as error:
        raise UserError(f"{run} cannot be written ({error.strerror}): its traces stay as they are") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"a run is writing into {run}: compact its traces once it is done") from None
        yield


@contextlib.contextmanager
def _named_in_errors(traces: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"{traces} cannot be written ({error.strerror or error}): what was packed stays") from error
