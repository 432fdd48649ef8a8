"""The folder of one run: who may write into it, what was finished, and what was measured.

config.toml     the config as run
manifest.json   each stage: key, status, times, what it made
results.json    every evaluation, a flat list
metrics.jsonl   training metrics, a line a logged step
checkpoints/    of the stage under way    models/   of each finished stage    traces/   every completion
"""

import fcntl
import json
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from rlvr.config.schema import RunConfig
from rlvr.pipeline.files import write_json, write_text
from rlvr_rewards.errors import UserError


class RunFolder:
    """A run's folder, locked for this process group until `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints, self.models, self.traces = path / "checkpoints", path / "models", path / "traces"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("w")
        except OSError as error:
            raise UserError(f"run folder {path}: {error.strerror}: choose another with --run-dir") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(
                f"run folder {path} is in use by another process: wait for it, or choose another --run-dir"
            ) from None

    def close(self) -> None:
        self._lock.close()

    def adopt(self, config: RunConfig) -> None:
        """Writes the config into a new folder; refuses a folder that belongs to another config."""
        path, now = self.path / "config.toml", _plain(config)
        if not path.exists():
            write_text(path, tomli_w.dumps(now))
            return
        before = tomllib.loads(path.read_text(encoding="utf-8"))
        if changed := _differences(before, now):
            raise UserError(
                f"run folder {self.path} belongs to another config ({'; '.join(changed[:3])}): "
                "give this run its own folder with --run-dir, or delete that one"
            )

    def manifest(self) -> dict[str, Any]:
        return self._read_json("manifest.json", {"stages": []})

    def record_stage(self, entry: dict[str, Any]) -> None:
        """Adds a stage's entry to the manifest, or replaces the one of the same name."""
        manifest = self.manifest()
        stages = [stage for stage in manifest["stages"] if stage["name"] != entry["name"]]
        write_json(self.path / "manifest.json", {**manifest, "stages": [*stages, entry]})

    def results(self) -> list[dict[str, Any]]:
        return self._read_json("results.json", [])

    def record_results(self, rows: list[dict[str, Any]]) -> None:
        """Adds evaluation rows; rows of the same stage, environment, split and metric are replaced."""
        new = {_result_key(row) for row in rows}
        kept = [row for row in self.results() if _result_key(row) not in new]
        write_json(self.path / "results.json", [*kept, *rows])

    def _read_json(self, name: str, default: Any) -> Any:
        path = self.path / name
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default
        except ValueError as error:
            raise UserError(f"{path} is not JSON ({error}): restore it, or start anew with another --run-dir") from None


def _result_key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("stage", "env", "split", "metric"))


def _plain(config: RunConfig) -> dict[str, Any]:
    """The config as TOML values: TOML has no null, so unset keys are left out."""
    plain = config.model_dump(mode="json", exclude_none=True)
    plain["stage"] = [stage.model_dump(mode="json", exclude_none=True) for stage in config.stage]
    return plain


def _differences(before: Any, now: Any, where: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*now, *(key for key in before if key not in now)]
        return [
            line for key in keys for line in _differences(before.get(key), now.get(key), f"{where}.{key}".strip("."))
        ]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [line for index, (a, b) in pairs for line in _differences(a, b, f"{where}[{index}]")]
    return [] if before == now else [f"{where}: {before!r} there, {now!r} now"]
