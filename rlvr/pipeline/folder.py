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
from rlvr.replacing import write_json, write_text
from rlvr_rewards.errors import UserError

_KEY = ("stage", "env", "split", "metric")
"""What tells rows of `results.json` apart."""


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
        refuse_other_config(self.path, config)
        if not (self.path / "config.toml").exists():
            write_text(self.path / "config.toml", tomli_w.dumps(_plain(config)))

    def manifest(self) -> dict[str, Any]:
        return _read_manifest(self.path)

    def record_stage(self, entry: dict[str, Any]) -> None:
        """Adds a stage's entry to the manifest, or replaces the one of the same name."""
        manifest = self.manifest()
        stages = [stage for stage in manifest["stages"] if stage["name"] != entry["name"]]
        write_json(self.path / "manifest.json", {**manifest, "stages": [*stages, entry]})

    def results(self) -> list[dict[str, Any]]:
        path = self.path / "results.json"
        rows = _read_json(path, [])
        if not isinstance(rows, list) or any(not isinstance(row, dict) or {*_KEY} - {*row} for row in rows):
            raise _not_ours(path)
        return rows

    def record_results(self, rows: list[dict[str, Any]]) -> None:
        """Adds evaluation rows; rows of the same stage, environment, split and metric are replaced."""
        new = {_result_key(row) for row in rows}
        kept = [row for row in self.results() if _result_key(row) not in new]
        write_json(self.path / "results.json", [*kept, *rows])


def refuse_other_config(path: Path, config: RunConfig) -> None:
    """Refuses a run folder that belongs to another config; a folder that is new or absent is no obstacle."""
    file = path / "config.toml"
    if not file.exists():
        return
    try:
        before = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not TOML ({error}): restore it, or start anew with another --run-dir") from None
    if changed := _differences(before, _plain(config)):
        raise UserError(
            f"run folder {path} belongs to another config ({'; '.join(changed[:3])}): "
            "give this run its own folder with --run-dir, or delete that one"
        )


def finished_stages(path: Path) -> set[str]:
    """The names of the stages that were finished in a run's folder."""
    return {entry["name"] for entry in _read_manifest(path)["stages"] if entry["status"] == "done"}


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    manifest = _read_json(path, {"stages": []})
    stages = manifest.get("stages") if isinstance(manifest, dict) else None
    if not isinstance(stages, list) or any(not isinstance(s, dict) or {"name", "status"} - {*s} for s in stages):
        raise _not_ours(path)
    return manifest


def _read_json(path: Path, default: Any) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}): restore it, or start anew with another --run-dir") from None


def _not_ours(path: Path) -> UserError:
    return UserError(f"{path} is not what rlvr writes: restore it, or start anew with another --run-dir")


def _result_key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _KEY)


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
