"""The folder of one run: who may write into it, what was finished, and what was measured.

config.toml     the config as run last
manifest.json   each stage: settings, what it was made from and what it made, by hash, times; and the closing table
results.json    every evaluation, a flat list
metrics.jsonl   training metrics, a line a logged step
checkpoints/    of the stage under way    models/   of each finished stage    traces/   every completion
logs/           of each stage             replaced/  what stages made under other settings, until the run is complete
"""

import fcntl
import json
import time
import tomllib
from pathlib import Path
from typing import Any, TextIO

import tomli_w

from rlvr.config.schema import RunConfig
from rlvr.pipeline.inputs import Entry
from rlvr.replacing import write_json, write_text
from rlvr_rewards.errors import UserError

_KEY = ("stage", "env", "split", "metric")
"""What tells rows of `results.json` apart."""
_ENTRY = {"name", "status", "config", "config_hash", "inputs", "outputs", "traced"}
"""What every entry of the manifest has."""


class RunFolder:
    """A run's folder, locked for this process group until `close`.

    Args:
        path: Of the folder.
        locked: Whether this process takes the lock; of several processes of a run, the first one does.
    """

    def __init__(self, path: Path, locked: bool = True) -> None:
        self.path = path
        self.checkpoints, self.models, self.traces = path / "checkpoints", path / "models", path / "traces"
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = (path / ".lock").open("w")
        except OSError as error:
            raise UserError(f"run folder {path}: {error.strerror}: choose another with --run-dir") from None
        if locked and not _is_ours(self._lock):
            raise UserError(f"run folder {path} is in use by another process: wait for it, or choose another --run-dir")

    def close(self) -> None:
        self._lock.close()

    def adopt(self, config: RunConfig) -> None:
        """Writes the config into the folder; refuses a folder that belongs to another model, environment or seed."""
        refuse_other_run(self.path, config)
        text, file = tomli_w.dumps(_plain(config)), self.path / "config.toml"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            write_text(file, text)

    def manifest(self) -> dict[str, Any]:
        return _read_manifest(self.path)

    def entry(self, name: str) -> Entry | None:
        """What the manifest holds of a stage."""
        return read_entries(self.path).get(name)

    def record_stage(self, entry: Entry) -> None:
        """Adds a stage's entry to the manifest, or replaces the one of the same name."""
        manifest = self.manifest()
        names = [stage["name"] for stage in manifest["stages"]]
        stages = [entry if stage["name"] == entry["name"] else stage for stage in manifest["stages"]]
        self._write_manifest({**manifest, "stages": stages if entry["name"] in names else [*stages, entry]})

    def forget_stage(self, name: str) -> None:
        """Takes a stage's entry out of the manifest."""
        manifest = self.manifest()
        self._write_manifest({**manifest, "stages": [each for each in manifest["stages"] if each["name"] != name]})

    def record_table(self, rows: list[dict[str, Any]]) -> None:
        """Replaces the closing table."""
        self._write_manifest({**self.manifest(), "table": rows})

    def _write_manifest(self, manifest: dict[str, Any]) -> None:
        write_json(self.path / "manifest.json", manifest)

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

    def results_of(self, policies: list[tuple[str, str]]) -> list[dict[str, Any]]:
        """The rows of some policies on their splits."""
        return [row for row in self.results() if (row["stage"], row["split"]) in policies]

    def forget_results(self, rows: list[dict[str, Any]]) -> None:
        """Takes some rows out."""
        write_json(self.path / "results.json", [row for row in self.results() if row not in rows])


def _is_ours(lock: TextIO) -> bool:
    """Takes the lock where nobody has it; whoever only looks whether a run is going on lets it go at once."""
    for wait_s in (0.05, 0.2, 0):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(wait_s)
        else:
            return True
    return False


_BEFORE_THE_CONFIG = {".lock", "logs"}
"""What a run that stopped early may have left in its folder."""


def refuse_other_run(path: Path, config: RunConfig) -> None:
    """Refuses a folder whose run has another model, environment or seed; one that is new or absent is no obstacle."""
    file = path / "config.toml"
    if not file.exists():
        if path.is_dir() and any(each.name not in _BEFORE_THE_CONFIG for each in path.iterdir()):
            raise UserError(f"run folder {path} holds other files, and no run: give the run a folder of its own")
        return
    try:
        before = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{file} is not TOML ({error}): restore it, or start anew with another --run-dir") from None
    now = _plain(config)
    fixed = [{name: each.get(name) for name in ("seed", "model", "env")} for each in (before, now)]
    if changed := differences(fixed[0], fixed[1]):
        raise UserError(
            f"run folder {path} belongs to another config ({'; '.join(changed[:3])}): "
            "give this run its own folder with --run-dir, or delete that one"
        )


def read_entries(path: Path) -> dict[str, Entry]:
    """What the manifest of a run's folder holds of each stage, by name.

    Raises:
        UserError: It is damaged.
    """
    return {entry["name"]: entry for entry in _read_manifest(path)["stages"]}


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    manifest = _read_json(path, {"stages": []})
    stages = manifest.get("stages") if isinstance(manifest, dict) else None
    if not isinstance(stages, list) or any(not isinstance(s, dict) or _ENTRY - {*s} for s in stages):
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


def differences(before: Any, now: Any, where: str = "") -> list[str]:
    """What two configs differ in, each as `key: 1 there, 2 now`."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [*now, *(key for key in before if key not in now)]
        return [
            line for key in keys for line in differences(before.get(key), now.get(key), f"{where}.{key}".strip("."))
        ]
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return [line for index, (a, b) in pairs for line in differences(a, b, f"{where}[{index}]")]
    return [] if before == now else [f"{where}: {before!r} there, {now!r} now"]
