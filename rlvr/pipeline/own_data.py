"""What a stage learned of its own samples, kept in the run's folder: a file that `data` reads, and numbers about it.

Both are written while the stage trains, and the numbers go into the manifest when it is done; a stage that goes on from
a checkpoint finds them again.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.pipeline.own_groups import data_file
from rlvr.pipeline.processes import by_first
from rlvr.pipeline.stage import StageResult
from rlvr.replacing import write_json, write_text

if TYPE_CHECKING:
    from rlvr.pipeline.run import Run


def record(run: "Run", stage: str, rows: Iterable[dict[str, Any]], numbers: dict[str, Any]) -> None:
    """Writes what a stage learns, a JSON object a line, and numbers about it; of several processes the first does."""

    def write() -> None:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        write_text(data_file(run, stage), "".join(lines))
        write_json(_numbers_file(run, stage), numbers)

    by_first(write)


def with_own_data(result: StageResult, run: "Run", stage: str) -> StageResult:
    """The result of a stage, with what it recorded."""
    numbers = json.loads(_numbers_file(run, stage).read_text(encoding="utf-8"))
    return replace(result, metrics={**result.metrics, **numbers}, files=(*result.files, data_file(run, stage)))


def _numbers_file(run: "Run", stage: str) -> Path:
    return run.folder.checkpoints / stage / "own_data.json"
