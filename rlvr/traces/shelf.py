"""Which shards a folder holds and what each comes to: the listing behind `TraceIndex`, renewed while a run is written.

Shards without an entry in the catalog are looked into a few at a time, so that a table of steps fills up instead of
keeping anyone waiting.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from rlvr.traces.catalog import Catalog, Entry
from rlvr.traces.entries import entry_of
from rlvr.traces.reading import UNREADABLE, read_columns
from rlvr.traces.schema import TRACE_VERSION
from rlvr.traces.shards import Shard, counted_once, is_shard, is_shard_name, packed, parsed, shards_in_pack
from rlvr.traces.stage_order import StageOrder
from rlvr.traces.tally import COLUMNS, StepSummary, Tally, added, overlap, summary_of, tally_of
from rlvr.traces.text import visible
from rlvr_rewards.errors import one_line

StepKey: TypeAlias = tuple[str, str, int]
"""Stage, split and step."""
Stamp: TypeAlias = tuple[tuple[Shard, int, bool], ...]

_SAVE_EVERY = 500
_SMALL = 20_000_000
"""Bytes of a file that is looked into before anything is shown."""
_SETTLED_NS = 100_000_000
"""A folder that changed less than so long ago may change again with the same time on it."""


class Shelf:
    """The shards of one folder.

    Args:
        path: The one with the shards, or a single shard; it need not be there yet.
        run: The run's folder, which says in which order its stages were trained.
    """

    def __init__(self, path: Path, run: Path | None = None) -> None:
        self.path = path
        self.order = StageOrder(run)
        self.folder = folder = path.parent if is_shard(path) else path
        self.shards: dict[StepKey, list[Shard]] = {}
        self.summaries: list[StepSummary] = []
        self.unreadable: dict[str, str] = {}
        self._catalog = Catalog(folder)
        self._stats: dict[str, os.stat_result] = {}
        self._waiting: list[str] = []
        self._settled_ns: int | None = None
        self._is_tidy = False
        self._packs: dict[str, tuple[int, list[Shard]]] = {}
        self._made: dict[StepKey, tuple[Stamp, StepSummary]] = {}

    @property
    def num_waiting(self) -> int:
        """How many files were not looked into yet."""
        return len(self._waiting)

    def stamp(self, key: StepKey) -> tuple[Any, ...]:
        """Changes when a step's rows may have."""
        shards = self.shards.get(key, ())
        return tuple((shard, self._stats[shard.path.name].st_mtime_ns) for shard in shards)

    def relist(self) -> bool:
        """Looks which files there are; says whether that changed."""
        changed_ns = _mtime_ns(self.path)
        if changed_ns == self._settled_ns:
            return False
        stats = _stats(self.path)
        self._settled_ns = None if time.time_ns() - changed_ns < _SETTLED_NS else changed_ns
        if stats.keys() == self._stats.keys() and all(_same(stats[name], self._stats[name]) for name in stats):
            return False
        self._stats = stats
        self._catalog.load()
        if not self._is_tidy:
            self._catalog.tidy(stats if self.path == self.folder else self._catalog.entries)
            self._is_tidy = True
        self._waiting = [name for name, stat in stats.items() if not self._entry(name, stat)]
        self.unreadable = {name: why for name, why in self.unreadable.items() if name in self._waiting}
        self._arrange()
        return True

    def look_at_firsts(self) -> None:
        """Tallies one file of each stage and split, so that what there is to show is known before all is read."""
        waiting, firsts = set(self._waiting), dict[str, str]()
        for name in self._waiting:
            firsts.setdefault(_stage_of(name), name)
        known = {_stage_of(name) for name in self._stats if name not in waiting}
        names = [name for stage, name in firsts.items() if stage not in known and self._stats[name].st_size < _SMALL]
        self._waiting = [*names, *(name for name in self._waiting if name not in names)]
        self.look_into(None, lambda done, total: None, lambda: False, len(names))

    def look_into(
        self,
        budget_s: float | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
        most: int | None = None,
    ) -> bool:
        """Tallies files that wait for it, for so many seconds, or so many, at most; says whether there were any."""
        waiting, started = self._waiting[:most], time.monotonic()
        new: list[Entry] = []
        done = 0
        for done, name in enumerate(waiting, start=1):
            if entry := self._looked_into(name):
                new.append(entry)
            progress(done, len(waiting))
            if cancelled() or (budget_s is not None and time.monotonic() - started > budget_s):
                break
            if len(new) >= _SAVE_EVERY:
                self._catalog.add(new)
                new = []
        self._waiting = self._waiting[done:]
        self._catalog.add(new)
        if done:
            self._arrange()
        return done > 0

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
            entry = entry_of(path)
        except FileNotFoundError:
            return None  # a run went back to a checkpoint
        except UNREADABLE as error:
            self._put_aside(name, error)
            return None
        self.unreadable.pop(name, None)
        return entry

    def _put_aside(self, name: str, error: BaseException) -> None:
        why = one_line(error)[:100]
        self.unreadable[name] = visible(f"{name} was left out: it is damaged or cut short ({why})")

    def _entry(self, name: str, stat: os.stat_result) -> Entry | None:
        entry = self._catalog.entries.get(name)
        return entry if entry and entry.is_of(stat) else None

    def _arrange(self) -> None:
        """Shards by step, and the summary of each step; only those that changed are made again."""
        tallies: dict[Shard, Tally | None] = {}
        for name, stat in self._stats.items():
            if name not in self.unreadable:
                tallies.update(self._shards_of(name, stat))
        counting = counted_once(tallies)
        self.order.learn(counting)
        shards: dict[StepKey, list[Shard]] = {}
        for shard in sorted(counting, key=lambda each: (self.order.place(each.stage, each.split), each)):
            shards.setdefault((shard.stage, shard.split, shard.step), []).append(shard)
        made = {key: self._summary(key, [(shard, tallies[shard]) for shard in those]) for key, those in shards.items()}
        self._made, self.shards = made, shards
        self.summaries = [summary for _, summary in made.values()]

    def _shards_of(self, name: str, stat: os.stat_result) -> Iterable[tuple[Shard, Tally | None]]:
        """The shards of a file, each with its tally where it is known."""
        path, entry = self.folder / name, self._entry(name, stat)
        if shard := parsed(path):
            return [(shard, entry.shards[0][3] if entry else None)]
        if entry:
            places = [(step, rank, start, start + tally.num_rows) for step, rank, start, tally in entry.shards]
            return zip(packed(path, places), (tally for *_, tally in entry.shards), strict=True)
        return [(shard, None) for shard in self._in_pack(name, stat)]

    def _in_pack(self, name: str, stat: os.stat_result) -> list[Shard]:
        held = self._packs.get(name)
        if held is None or held[0] != stat.st_mtime_ns:
            try:
                held = (stat.st_mtime_ns, shards_in_pack(self.folder / name))
            except UNREADABLE as error:
                self._put_aside(name, error)
                return []
            self._packs[name] = held
        return held[1]

    def _summary(self, key: StepKey, tallied: Sequence[tuple[Shard, Tally | None]]) -> tuple[Stamp, StepSummary]:
        stamp = tuple((shard, self._stats[shard.path.name].st_mtime_ns, tally is None) for shard, tally in tallied)
        before = self._made.get(key)
        if before and before[0] == stamp:
            return before
        tallies = [tally for _, tally in tallied if tally is not None]
        if len(tallies) < len(tallied):
            return stamp, summary_of(*key, None)
        return stamp, summary_of(*key, _together([shard for shard, _ in tallied], tallies))


def _together(shards: Sequence[Shard], tallies: Sequence[Tally]) -> Tally:
    if not overlap(tallies):
        return added(tallies)
    try:  # a group that stands in two ranks
        return tally_of(pa.concat_tables([read_columns(shard, COLUMNS) for shard in shards]))
    except UNREADABLE:
        return added(tallies)


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


def _stage_of(name: str) -> str:
    """The stage and split that a file's name begins with."""
    return name.rpartition(".step")[0]


def _mtime_ns(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


def _stats(path: Path) -> dict[str, os.stat_result]:
    """The files of traces, in the order of their names, so that steps fill up from the first."""
    found: dict[str, os.stat_result] = {}
    with contextlib.suppress(FileNotFoundError):
        if is_shard(path):
            return {path.name: path.stat()}
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                if is_shard_name(entry.name):
                    found[entry.name] = entry.stat()
    return found


def _same(a: os.stat_result, b: os.stat_result) -> bool:
    return (a.st_size, a.st_mtime_ns) == (b.st_size, b.st_mtime_ns)
