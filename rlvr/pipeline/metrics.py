"""`metrics.jsonl`: what training logged, a line a step, each step once."""

import json
import math
import time
from pathlib import Path
from typing import Any

from rlvr.replacing import write_text

Line = dict[str, Any]
"""One step of one stage: `stage`, `step`, `time`, and what was logged."""


class Metrics:
    """The lines of one stage.

    Args:
        path: The file, shared by all stages.
        stage: The name of the stage.
        step: Lines of the stage after this step are from before a crash, and are removed.
    """

    def __init__(self, path: Path, stage: str, step: int) -> None:
        self.path, self.stage = path, stage
        self._drop_after(step)

    def append(self, step: int, logs: dict[str, Any]) -> None:
        """Adds a line with the finite numbers of what was logged."""
        numbers = {name: v for name, v in logs.items() if isinstance(v, int | float) and math.isfinite(v)}
        line = {"stage": self.stage, "step": step, "time": round(time.time(), 3), **numbers}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _drop_after(self, step: int) -> None:
        kept = [line for line in read_lines(self.path, self.stage) if line.get("step", 0) <= step]
        replace_lines(self.path, self.stage, kept)


def read_lines(path: Path, stage: str | None = None) -> list[Line]:
    """The lines of a file, or of one stage in it; those that a crash cut short are passed over."""
    if not path.exists():
        return []
    lines = [line for text in path.read_text(encoding="utf-8").splitlines() if (line := _read(text))]
    return [line for line in lines if stage in (None, line.get("stage"))]


def replace_lines(path: Path, stage: str, lines: list[Line]) -> None:
    """Puts lines in the place of those that a stage has in a file, in one step."""
    others = [line for line in read_lines(path) if line.get("stage") != stage]
    if path.exists() or lines:
        write_text(path, "".join(json.dumps(line) + "\n" for line in [*others, *lines]))


def num_tokens(lines: list[Line]) -> int | None:
    """The tokens that a stage learned from, from TRL's count, which some trainers start anew when they go on."""
    counts = [int(line["num_tokens"]) for line in lines if "num_tokens" in line]
    before = [0, *counts]
    steps = [now - then if now >= then else now for then, now in zip(before, counts, strict=False)]
    return sum(steps) if counts else None


def _read(text: str) -> Line | None:
    """A line; `None` for one that a crash cut short."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
