"""A run as one thing to look through: its steps, the groups of a step, the rows of a group, curves, a task's history.

Nothing is held but what is being looked at: a table of steps comes from the catalog, the groups of a step from a few
columns of it, the rows of a group from the row groups that hold them. Not here: searching (`rlvr.traces.find`), writing
(`rlvr.traces.store`), drawing (`rlvr.tui`).

Every method may be called from a worker thread while another one reads.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rlvr.traces.arrow import pc
from rlvr.traces.columns import integers, whole
from rlvr.traces.curves import Curve, curves_of
from rlvr.traces.foreign import Source, converted, problems_of, source_of
from rlvr.traces.groups import COLUMNS, Groups, GroupSummary
from rlvr.traces.metrics import Metrics
from rlvr.traces.reading import UNREADABLE, Batch, as_schema, read_columns, read_rows
from rlvr.traces.rows import GroupKey, Row, row_of
from rlvr.traces.runs import is_run
from rlvr.traces.scan import Progress, scan
from rlvr.traces.shards import Shard, is_shard
from rlvr.traces.shelf import Shelf, StepKey
from rlvr.traces.summary import row_dicts
from rlvr.traces.tally import StepSummary
from rlvr.traces.text import visible
from rlvr_rewards.errors import UserError, one_line

__all__ = ["GroupKey", "GroupSummary", "Groups", "Progress", "Row", "StepSummary", "TraceIndex"]

_MOST_STEPS_HELD = 8


@dataclass(frozen=True)
class _Step:
    """A step that was looked at: its shards that can be read, the number of rows in each, its groups."""

    stamp: tuple[Any, ...]
    shards: list[Shard]
    sizes: list[int]
    groups: Groups


class TraceIndex:
    """What was sampled in one run, or in a file of someone else's; made by `open`.

    Attributes:
        path: What was opened.
        home: The folder that its judgments and saved filters stand in: the run's, where it is one.
        name: Of the run.
        run: The run's folder; `None` where only traces were opened.
        prefix: Of the names of its judgments and saved filters, where one file of several in a folder was opened.
    """

    def __init__(self, path: Path, traces: Path, home: Path, run: Path | None, source: Source | None = None) -> None:
        self.path, self.home, self.run = path, home, run
        self.name = (run or path).resolve().name
        self.prefix = f"{path.stem}." if path.is_file() else ""
        self._source = source
        self._shelf = Shelf(traces, run)
        self._metrics = Metrics(home / "metrics.jsonl")
        self._steps: OrderedDict[StepKey, _Step] = OrderedDict()
        self._read_problems: dict[str, str] = {}

    @classmethod
    def open(cls, path: Path | str, progress: Progress = lambda done, total: None) -> "TraceIndex":
        """Opens a run's folder, a folder of traces, one shard, or a file or folder of another tool's.

        It comes back at once, also for a run that is being written or has no step yet; of shards that nobody looked
        into before only the first of each stage has a summary, until `refresh` did.

        Raises:
            UserError: There is no such file or folder, or it is nothing that can be read.
        """
        path = Path(path)
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
        index = _opened(cls, path, progress)
        index.refresh(budget_s=0)
        index._shelf.look_at_firsts()
        return index

    @property
    def folder(self) -> Path:
        """The folder with the shards."""
        return self._shelf.folder

    @property
    def is_foreign(self) -> bool:
        """Whether it is another tool's, so that its folder is only a cache."""
        return self._source is not None

    @property
    def problems(self) -> list[str]:
        """What could not be read or is not all there, a line each."""
        lines = problems_of(self.folder) if self._source else self._shelf.problems()
        return [*lines, *self._read_problems.values()]

    @property
    def num_waiting(self) -> int:
        """How many shards `refresh` has yet to look into."""
        return self._shelf.num_waiting

    def refresh(
        self,
        budget_s: float | None = None,
        progress: Progress = lambda done, total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Takes up what was written since, and looks into shards that nobody looked into before.

        Where nothing changed it costs two looks at the file system, so call it every second.

        Args:
            budget_s: Seconds after which it leaves the rest of the shards for the next call; by default none are left.
            progress: Told the number of shards looked into, and of all that have to be.
            cancelled: Asked between two shards whether to stop.

        Returns:
            Whether anything changed.
        """
        if self._source:
            self._source = source_of(self.path) or self._source
            converted(self._source, progress)
        changed = self._shelf.relist()
        changed |= self._metrics.refresh()
        if budget_s != 0 and self._shelf.look_into(budget_s, progress, cancelled):
            changed = True
        return changed

    def steps(self) -> Sequence[StepSummary]:
        """The steps of all stages and splits, in the order of training; an evaluation is step 0."""
        return self._shelf.summaries

    def stages(self) -> list[tuple[str, str]]:
        """Each stage and split that has rows or logged metrics, in the order of training."""
        found = [(step.stage, step.split) for step in self.steps()]
        logged = [(stage, "train") for stage in self._metrics.stages()]
        return sorted(dict.fromkeys([*found, *logged]), key=lambda each: self._shelf.order.place(*each))

    def part_names(self) -> list[str]:
        """The parts of the reward in any step looked into so far."""
        return list(dict.fromkeys(name for step in self.steps() for name in step.parts))

    def reward_range(self) -> tuple[float, float]:
        """Between which all rewards looked into so far lie, and zero, so that bars of any step compare."""
        ends = [0.0, *(end or 0.0 for step in self.steps() for end in (step.lowest, step.highest))]
        return min(ends), max(ends)

    def shards(self) -> list[Shard]:
        """All shards that can be read, in order."""
        return [shard for shards in self._shelf.shards.values() for shard in shards]

    def groups(self, stage: str, split: str, step: int) -> Groups:
        """The groups of a step, by number; none where there is no such step."""
        return self._loaded(stage, split, step).groups

    def rows(self, key: GroupKey, most: int | None = None, sample: int = 0) -> list[Row]:
        """The siblings of one group, whole, in order; none where the group is not there.

        Args:
            most: Of a group with more siblings only so many are read, those around `sample`.
        """
        step = self._loaded(key.stage, key.split, key.step)
        position = step.groups.position(key.group, key.attempt)
        if position is None:
            return []
        numbers = step.groups.row_numbers(position)
        if most is not None and len(numbers) > most:
            samples = step.groups[position].samples
            place = samples.index(sample) if sample in samples else 0
            start = max(0, min(place - most // 2, len(numbers) - most))
            numbers = numbers[start : start + most]
        return self._read(step, numbers)

    def curves(self, stage: str, split: str = "train") -> dict[str, Curve]:
        """What goes over the steps of a stage, by name, from the traces and from what training logged.

        `reward`, `parts.NAME`, `success`, `length`, `entropy`, `kl`, `zero_variance`, `clipped`, `sampler_gap`, and
        `loss`, `grad_norm`, `learning_rate` where logged; only those that have a value. Traces count before the log.
        """
        logged = self._metrics.curves(stage) if split == "train" else {}
        return curves_of([step for step in self.steps() if (step.stage, step.split) == (stage, split)], logged)

    def task_history(
        self,
        task_id: str,
        stage: str | None = None,
        progress: Progress = lambda done, total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[GroupSummary]:
        """Every group of one task, in the order of training.

        Args:
            stage: Only of this stage.
        """
        shards = [shard for shard in self.shards() if stage in (None, shard.stage)]

        def with_task(batch: Batch, shard_numbers: np.ndarray) -> set[int]:
            matches = pc.fill_null(pc.equal(whole(batch.read(["task_id"])["task_id"]), task_id), False)
            return set(shard_numbers[matches.to_numpy(zero_copy_only=False)].tolist()) - {-1}

        numbers: set[int] = set().union(*scan(shards, ["task_id"], with_task, progress, cancelled))
        keys = dict.fromkeys((s.stage, s.split, s.step) for s in (shards[number] for number in sorted(numbers)))
        return [group for key in keys for group in self.groups(*key).with_task(task_id)]

    def tasks(
        self,
        progress: Progress = lambda done, total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> dict[str, str]:
        """Every task by its id, with the messages of its prompt as JSON."""

        def named(batch: Batch, shard_numbers: np.ndarray) -> dict[str, str]:
            table = batch.read(["task_id", "messages"])
            ids = whole(table["task_id"]).dictionary_encode()
            numbers, rows = np.unique(integers(ids.indices, -1), return_index=True)
            prompts = whole(table["messages"]).take(pa.array(rows[numbers >= 0])).to_pylist()
            names = ids.dictionary.take(pa.array(numbers[numbers >= 0])).to_pylist()
            return {name: prompt or "" for name, prompt in zip(names, prompts, strict=True)}

        found: dict[str, str] = {}
        for tasks in scan(self.shards(), ["task_id", "messages"], named, progress, cancelled):
            found.update(tasks)
        return found

    def _loaded(self, stage: str, split: str, step: int) -> "_Step":
        """A step's rows as far as a table of groups needs them; held for the steps looked at last."""
        key = (stage, split, step)
        held, stamp = self._steps.get(key), self._shelf.stamp(key)
        if held is None or held.stamp != stamp:
            found = [(s, t) for s in self._shelf.shards.get(key, ()) if (t := self._columns_of(s, COLUMNS)) is not None]
            joined = pa.concat_tables([t for _, t in found]) if found else as_schema(pa.table({}), COLUMNS)
            sizes = [table.num_rows for _, table in found]
            held = _Step(stamp, [shard for shard, _ in found], sizes, Groups(stage, split, step, joined))
            self._steps[key] = held
            while len(self._steps) > _MOST_STEPS_HELD:
                self._steps.popitem(last=False)
        return held

    def _columns_of(self, shard: Shard, columns: Sequence[str]) -> pa.Table | None:
        try:
            return read_columns(shard, columns)
        except UNREADABLE as error:
            self._note(shard, error)
            return None

    def _read(self, step: "_Step", numbers: Sequence[int]) -> list[Row]:
        """Rows by their number in the shards together, in that order."""
        rows: dict[int, Row] = {}
        first = 0
        for shard, size in zip(step.shards, step.sizes, strict=True):
            inside = [number for number in numbers if first <= number < first + size]
            try:
                table = read_rows(shard, [number - first for number in inside]) if inside else None
            except UNREADABLE as error:
                self._note(shard, error)
                table = None
            if table is not None:
                rows.update(zip(inside, map(row_of, row_dicts(table)), strict=True))
            first += size
        return [rows[number] for number in numbers if number in rows]

    def _note(self, shard: Shard, error: BaseException) -> None:
        self._read_problems[shard.path.name] = visible(f"{shard.path.name} cannot be read: {one_line(error)[:100]}")


def _opened(cls: type[TraceIndex], path: Path, progress: Progress) -> TraceIndex:
    """The index of whatever stands at a path."""
    if path.is_dir():
        traces = path / "traces" if (path / "traces").is_dir() else path
        is_theirs = traces == path and not is_run(path) and not any(map(is_shard, path.glob("*.parquet")))
        if is_theirs and (source := source_of(path)):
            return cls(path, converted(source, progress), path, None, source)
        run = (
            path
            if traces != path or is_run(path)
            else path.resolve().parent
            if path.resolve().name == "traces"
            else None
        )
        return cls(path, traces, run or path, run)
    if is_shard(path):
        return cls(path, path, path.parent, None)
    if source := source_of(path):
        return cls(path, converted(source, progress), path.parent, None, source)
    raise UserError(f"{path} is nothing to browse: give a run's folder, a .parquet or a .jsonl of completions")
