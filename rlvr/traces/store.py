"""Traces on disk: one parquet shard a step and rank, whole or absent, dropped when a run goes back to a checkpoint."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.traces.schema import TraceRow, to_table

_SHARD = re.compile(r"(?P<stage>.+)\.(?P<split>[^.]+)\.step(?P<step>\d{8})\.rank(?P<rank>\d{4})\.parquet")


class TraceWriter:
    """Writes the rows of one stage.

    Args:
        folder: The run's `traces/`.
        stage: The name of the stage.
        split: The split that the tasks are of.
        rank: Of this process.
    """

    def __init__(self, folder: Path, stage: str, split: str, rank: int = 0) -> None:
        self.folder, self.stage, self.split, self.rank = folder, stage, split, rank
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, step: int, rows: Sequence[TraceRow]) -> None:
        """Writes all rows of a step, replacing those of an earlier try at it."""
        name = f"{self.stage}.{self.split}.step{step:08d}.rank{self.rank:04d}.parquet"
        hidden = self.folder / f".{name}"
        pq.write_table(to_table(rows), hidden, compression="zstd")
        hidden.replace(self.folder / name)

    def drop_after(self, step: int) -> int:
        """Removes this stage's shards after a step, and says how many there were."""
        dropped = [path for path, found in shards(self.folder, self.stage, self.split) if found > step]
        for path in dropped:
            path.unlink()
        return len(dropped)


def shards(folder: Path, stage: str | None = None, split: str | None = None) -> Iterator[tuple[Path, int]]:
    """The shards of a folder with their steps, in order of stage, split, step and rank."""
    for path in sorted(folder.glob("*.parquet")):
        match = _SHARD.fullmatch(path.name)
        if match and stage in (None, match["stage"]) and split in (None, match["split"]):
            yield path, int(match["step"])


def stages(folder: Path) -> list[tuple[str, str]]:
    """The stages and splits that have traces, each as (stage, split)."""
    found = (_SHARD.fullmatch(path.name) for path in folder.glob("*.parquet"))
    return sorted({(match["stage"], match["split"]) for match in found if match})


def read_shard(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """One shard as an Arrow table, whole or some columns of it."""
    return pq.ParquetFile(path).read(columns=list(columns) if columns else None)
