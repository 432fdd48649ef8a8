"""`metrics.jsonl`: what training logged, a line a step, each step once."""

import json
import math
import time
from pathlib import Path
from typing import Any

from rlvr.replacing import write_text


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
        if not self.path.exists():
            return
        lines = [line for text in self.path.read_text(encoding="utf-8").splitlines() if (line := _read(text))]
        kept = [line for line in lines if line.get("stage") != self.stage or line.get("step", 0) <= step]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))


def _read(text: str) -> dict[str, Any] | None:
    """A line; `None` for one that a crash cut short."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
