"""The runs under a folder, as a list to choose from: what each is made of, how far it came, and whether it still runs.

Read from what a run leaves in its folder; nothing of the pipeline is imported.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from rlvr.traces.plan import manifest_entries, planned_stages

_OWN = ("manifest.json", "metrics.jsonl", "traces")
"""What a run writes as it goes."""
_TAIL_BYTES = 65_536


class RunState(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    FINISHED = "finished"
    BROKEN = "broken"


@dataclass(frozen=True)
class RunSummary:
    """One run.

    Attributes:
        path: Its folder; `name` is the folder's, below the one that was searched.
        stages: Their names in order, finished or not.
        stage: The one under way, or the last that was.
        steps: The last step that was logged or sampled, of the stage that trained last; `None` before the first.
        reward: The last that was logged; `None` where none was.
        state: `RUNNING` while a process holds the run's lock; `FINISHED` once every stage is done; else `BROKEN`.
        age_s: Seconds since it last wrote something.
    """

    path: Path
    name: str
    stages: tuple[str, ...]
    stage: str | None
    steps: int | None
    reward: float | None
    state: RunState
    age_s: float


def find_runs(folder: Path | str, depth: int = 2) -> list[RunSummary]:
    """The runs in a folder, the latest first; the folder itself counts where it is a run.

    Args:
        depth: How many folders deep to look; a run's own folders are not searched.
    """
    folder = Path(folder)
    paths = [folder] if is_run(folder) else _below(folder, depth)
    return sorted((_summary(path, folder) for path in paths), key=lambda run: run.age_s)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's."""
    if (folder / "manifest.json").is_file() or (folder / "metrics.jsonl").is_file():
        return True
    return any(entry.suffix == ".parquet" for entry in _inside(folder / "traces"))


def is_running(folder: Path) -> bool:
    """Whether a process holds the run's lock."""
    try:
        with (folder / ".lock").open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go at once: a run that starts now tries again
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _below(folder: Path, depth: int) -> list[Path]:
    inside = sorted(entry for entry in _inside(folder) if entry.is_dir() and not entry.name.startswith("."))
    runs = [path for path in inside if is_run(path)]
    return runs + [run for path in inside if depth > 1 and path not in runs for run in _below(path, depth - 1)]


def _inside(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.iterdir()
    except OSError:
        return


def _summary(path: Path, folder: Path) -> RunSummary:
    entries = manifest_entries(path)
    done = [entry["name"] for entry in entries if entry.get("status") == "done"]
    planned = planned_stages(path) or [entry["name"] for entry in entries]
    last = _last_metrics(path)
    unfinished = [name for name in planned if name not in done]
    under_way = [entry["name"] for entry in entries if entry.get("status") != "done"]
    return RunSummary(
        path=path,
        name=path.resolve().name if path == folder else str(path.relative_to(folder)),
        stages=tuple(planned),
        stage=(under_way or done or [None])[-1],
        steps=last.get("step"),
        reward=last.get("reward"),
        state=_state(path, bool(planned) and not unfinished),
        age_s=max(0.0, time.time() - _last_written(path)),
    )


def _state(path: Path, is_finished: bool) -> RunState:
    if is_running(path):
        return RunState.RUNNING
    return RunState.FINISHED if is_finished else RunState.BROKEN


def _last_metrics(path: Path) -> dict[str, Any]:
    """The last whole line with a reward, else the last one; numbers only."""
    lines = [line for text in _tail(path / "metrics.jsonl") if (line := _numbers(text))]
    with_reward = [line for line in lines if "reward" in line]
    return (with_reward or lines or [{}])[-1]


def _tail(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            return file.read().splitlines()
    except OSError:
        return []


def _numbers(text: bytes) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    if not isinstance(line, dict):
        return {}
    kinds = {"step": int, "reward": (int, float)}
    return {key: line[key] for key, kind in kinds.items() if isinstance(line.get(key), kind)}


def _last_written(path: Path) -> float:
    """When it last wrote a file of its own or a trace, in seconds since the epoch."""
    times = [0.0]
    for name in (".", *_OWN):
        try:
            times.append((path / name).stat().st_mtime)
        except OSError:
            continue
    return max(times)
