"""What training logged, read back from a run's `metrics.jsonl` as curves; a growing file is read on from where it was.

Not here: writing it (`rlvr.pipeline.metrics`).
"""

import json
import math
from pathlib import Path
from typing import Any

from rlvr.traces.tail import Tail

Curve = list[tuple[int, float]]
"""Values by step, steps in order."""

NAMES = {
    "reward": "reward",
    "success": "success",
    "completions/mean_length": "length",
    "entropy": "entropy",
    "kl": "kl",
    "frac_reward_zero_std": "zero_variance",
    "completions/clipped_ratio": "clipped",
    "sampler_gap": "sampler_gap",
    "loss": "loss",
    "mean_token_accuracy": "token_accuracy",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "rewards/chosen": "rewards_chosen",
    "rewards/rejected": "rewards_rejected",
    "rewards/accuracies": "rewards_accuracy",
    "rewards/margins": "rewards_margin",
}
"""Under which name a logged number becomes a curve; parts go by `parts.NAME`."""


class Metrics:
    """The curves of every stage in one `metrics.jsonl`.

    Args:
        path: The file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._curves: dict[str, dict[str, dict[int, float]]] = {}
        self._seen: tuple[int, int] = (0, 0)
        self._tail = Tail(path)

    def refresh(self) -> bool:
        """Reads what was added; a file that shrank or was replaced is read anew. Says whether anything changed."""
        try:
            stat = self.path.stat()
        except OSError:
            return False
        seen = (stat.st_size, stat.st_mtime_ns)
        if seen == self._seen:
            return False
        self._seen = seen
        is_other, lines = self._tail.read()
        if is_other:
            self._curves = {}
        for line in lines:
            self._add(line)
        return True

    def stages(self) -> list[str]:
        return list(self._curves)

    def curves(self, stage: str) -> dict[str, Curve]:
        """The curves of a stage."""
        return {name: sorted(values.items()) for name, values in self._curves.get(stage, {}).items()}

    def _add(self, text: bytes) -> None:
        try:
            line: dict[str, Any] = json.loads(text)
            stage, step = str(line["stage"]), int(line["step"])
        except (ValueError, KeyError, TypeError):
            return
        curves = self._curves.setdefault(stage, {})
        for key, value in line.items():
            name = f"parts.{key.removeprefix('parts/')}" if key.startswith("parts/") else NAMES.get(key)
            if name and isinstance(value, int | float) and math.isfinite(value):
                curves.setdefault(name, {})[step] = float(value)
