"""Which shards a folder holds and what each comes to: the listing behind `TraceIndex`, renewed while a run is written.

Shards without an entry in the catalog are looked into a few at a time, so that a table of steps fills up instead of
keeping anyone waiting.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from rlvr.traces.catalog import Catalog, Entry
from rlvr.traces.reading import UNREADABLE, as_schema, read_columns
from rlvr.traces.schema import SCHEMA, TRACE_VERSION
from rlvr.traces.store import Shard, parsed
from rlvr.traces.tally import COLUMNS, StepSummary, Tally, added, overlap, summary_of, tally_of
from rlvr.traces.text import visible
from rlvr_rewards.errors import one_line

StepKey = tuple[str, str, int]
"""Stage, split and step."""

_SAVE_EVERY = 500
_SETTLED_NS = 100_000_000
"""A folder that changed less than so long ago may change again with the same time on it."""


class Shelf:
    """The shards of one folder.

    Args:
        folder: The one with the shards; it need not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shards: dict[StepKey, list[Shard]] = {}
        self.summaries: list[StepSummary] = []
        self.unreadable: dict[str, str] = {}
        self._catalog = Catalog(folder)
        self._stats: dict[str, os.stat_result] = {}
        self._waiting: list[str] = []
        self._listed_ns: int | None = None
        self._made: dict[StepKey, tuple[tuple[tuple[str, int], ...], StepSummary]] = {}

    @property
    def num_waiting(self) -> int:
        """How many shards were not looked into yet."""
        return len(self._waiting)

    def relist(self) -> bool:
        """Looks which files there are; says whether that changed."""
        changed_ns = _mtime_ns(self.folder)
        if changed_ns == self._listed_ns and self._listed_ns is not None:
            return False
        first = self._listed_ns is None
        stats = _stats(self.folder)
        self._listed_ns = None if time.time_ns() - changed_ns < _SETTLED_NS else changed_ns
        if stats.keys() == self._stats.keys() and all(_same(stats[name], self._stats[name]) for name in stats):
            return False
        self._stats = stats
        self._catalog.load()
        if first:
            self._catalog.tidy(stats)
        self._waiting = [name for name, stat in stats.items() if not self._entry(name, stat)]
        self.unreadable = {name: why for name, why in self.unreadable.items() if name in stats}
        self._arrange()
        return True

    def look_into(
        self,
        budget_s: float | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> bool:
        """Tallies shards that wait for it, for so many seconds at most; says whether there were any."""
        total, started = len(self._waiting), time.monotonic()
        new: list[Entry] = []
        for done, name in enumerate(list(self._waiting), start=1):
            if cancelled() or (budget_s is not None and time.monotonic() - started > budget_s):
                break
            if entry := self._looked_into(name):
                new.append(entry)
            self._waiting.remove(name)
            if len(new) == _SAVE_EVERY:
                self._catalog.add(new)
                new = []
            progress(done, total)
        self._catalog.add(new)
        if total:
            self._arrange()
        return total > 0

    def problems(self) -> list[str]:
        """What could not be read or is not all there, a line each."""
        lines = list(self.unreadable.values())
        entries = [entry for name, stat in self._stats.items() if (entry := self._entry(name, stat))]
        lines += _lines_on_versions(entries)
        lacking: dict[tuple[str, ...], list[str]] = {}
        for entry in entries:
            if entry.missing:
                lacking.setdefault(entry.missing, []).append(entry.name)
        return lines + [f"{_files(names)} without {', '.join(missing)}" for missing, names in lacking.items()]

    def _looked_into(self, name: str) -> Entry | None:
        path = self.folder / name
        try:
            entry = _entry_of(path)
        except FileNotFoundError:
            return None  # a run went back to a checkpoint
        except UNREADABLE as error:
            why = one_line(error)[:100]
            self.unreadable[name] = visible(f"{name} was left out: it is damaged or cut short ({why})")
            return None
        self.unreadable.pop(name, None)
        return entry

    def _entry(self, name: str, stat: os.stat_result) -> Entry | None:
        entry = self._catalog.entries.get(name)
        return entry if entry and entry.is_of(stat) else None

    def _arrange(self) -> None:
        """Shards by step, and the summary of each step; only those that changed are made again."""
        shards: dict[StepKey, list[Shard]] = {}
        for name in self._stats:
            shard = parsed(self.folder / name)
            if shard and name not in self.unreadable:
                shards.setdefault((shard.stage, shard.split, shard.step), []).append(shard)
        made = {}
        for key in sorted(shards):
            shards[key].sort()
            made[key] = self._summary(key, shards[key])
        self._made, self.shards = made, shards
        self.summaries = [summary for _, summary in made.values()]

    def _summary(self, key: StepKey, shards: list[Shard]) -> tuple[tuple[tuple[str, int], ...], StepSummary]:
        entries = [self._entry(shard.path.name, self._stats[shard.path.name]) for shard in shards]
        known = tuple((entry.name, entry.mtime_ns) for entry in entries if entry)
        before = self._made.get(key)
        if before and before[0] == known:
            return before
        tallies = [entry.shards[0][3] for entry in entries if entry]
        return known, summary_of(*key, self._together(shards, tallies) if len(tallies) == len(shards) else None)

    def _together(self, shards: list[Shard], tallies: list[Tally]) -> Tally:
        if not overlap(tallies):
            return added(tallies)
        tables = [read_columns(shard, COLUMNS) for shard in shards]  # a group that stands in two ranks
        return added([tally_of(table) for table in tables])


def _entry_of(path: Path) -> Entry:
    """What a file holds, read from it."""
    stat, shard = path.stat(), parsed(path)
    assert shard is not None
    with pq.ParquetFile(path) as file:
        names, metadata = set(file.schema_arrow.names), file.schema_arrow.metadata or {}
        columns = [name for name in COLUMNS if name != "entropies" or _has_values(file, name)]
    tally = tally_of(as_schema(read_columns(shard, columns), COLUMNS))
    version = metadata.get(b"trace_version", b"").decode("ascii", "replace")
    missing = tuple(name for name in SCHEMA.names if name not in names)
    place = (shard.step, shard.rank, 0, tally)
    return Entry(
        path.name, stat.st_size, stat.st_mtime_ns, int(version) if version.isdecimal() else None, missing, (place,)
    )


def _has_values(file: pq.ParquetFile, column: str) -> bool:
    """Whether a list column has an element anywhere, from the file's statistics; yes where they do not say."""
    for index in range(file.num_row_groups):
        group = file.metadata.row_group(index)
        for number in range(group.num_columns):
            chunk = group.column(number)
            if chunk.path_in_schema.split(".")[0] == column:
                statistics = chunk.statistics
                if statistics is None or statistics.null_count is None or statistics.num_values:
                    return True
    return False


def _lines_on_versions(entries: list[Entry]) -> list[str]:
    newer = [e.name for e in entries if (e.trace_version or 0) > TRACE_VERSION]
    unknown = [e.name for e in entries if e.trace_version is None]
    older = [e.name for e in entries if e.trace_version is not None and e.trace_version < TRACE_VERSION]
    lines = []
    if newer:
        lines.append(f"{_files(newer)} of a newer rlvr: columns that this one does not know are not shown")
    if older:
        lines.append(f"{_files(older)} of an older rlvr (trace_version below {TRACE_VERSION}): what it lacks is blank")
    if unknown:
        lines.append(f"{_files(unknown)} without a trace_version: read as far as the columns go")
    return lines


def _files(names: list[str]) -> str:
    return visible(names[0]) if len(names) == 1 else visible(f"{len(names)} files such as {names[0]}")


def _mtime_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _stats(folder: Path) -> dict[str, os.stat_result]:
    found: dict[str, os.stat_result] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".parquet") and parsed(Path(entry.name)):
                    found[entry.name] = entry.stat()
    except FileNotFoundError:
        pass
    return found


def _same(a: os.stat_result, b: os.stat_result) -> bool:
    return (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)
