"""In which order the stages of a run stand: as they were trained, so that a first and a last answer are that.

What the run's config or manifest does not name (an exported file, a run without either) comes after, by the time of its
first row, and by name where no time is recorded. Of one stage training comes before its evaluation.
"""

import math
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from rlvr.traces.plan import in_order
from rlvr.traces.reading import UNREADABLE
from rlvr.traces.shards import Shard

Place = tuple[int, float, str, bool, str]
"""Sorts stages and splits."""


class StageOrder:
    """The order of the stages of one run.

    Args:
        run: Its folder; `None` where only traces were opened.
    """

    def __init__(self, run: Path | None) -> None:
        self._run = run
        self._times: dict[str, float] = {}
        self.learn(())

    def learn(self, shards: Iterable[Shard]) -> None:
        """Looks at what the run says of itself by now, and at the first rows of stages that it does not name."""
        names = in_order(self._run) if self._run else []
        self._listed = {name: number for number, name in enumerate(names)}
        first: dict[str, dict[str, Shard]] = {}
        for shard in shards:
            if shard.stage not in self._listed:
                first.setdefault(shard.stage, {}).setdefault(shard.split, shard)
        for stage, by_split in first.items():
            if stage not in self._times:
                self._times[stage] = min(map(_first_time, by_split.values()))

    def place(self, stage: str, split: str) -> Place:
        """Where a stage and split stand among the others."""
        is_evaluation = split != "train"
        if stage in self._listed:
            return 0, self._listed[stage], stage, is_evaluation, split
        return 1, self._times.get(stage, math.inf), stage, is_evaluation, split


def _first_time(shard: Shard) -> float:
    """The time of the earliest row of a file, from its footer alone; infinity where it does not say."""
    try:
        with pq.ParquetFile(shard.path) as file:
            leaves = [file.schema.column(index).path for index in range(len(file.schema))]
            number = leaves.index("time")
            found = [file.metadata.row_group(index).column(number).statistics for index in range(file.num_row_groups)]
    except (*UNREADABLE, ValueError):
        return math.inf
    return min((float(each.min) for each in found if each is not None and each.has_min_max), default=math.inf)
