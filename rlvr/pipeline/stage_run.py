"""Running one stage: its entry in the manifest before and after, its log, its memory, and what becomes of an error."""

import contextlib
import gc
import logging
import os
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import rlvr
from rlvr.config.schema import StageConfig
from rlvr.failure import WorkError
from rlvr.models.shape import shape_of
from rlvr.pipeline.checkpoints import checkpoints, last_step
from rlvr.pipeline.disk import disk_problem
from rlvr.pipeline.folder import read_entries
from rlvr.pipeline.inputs import Entry, config_hash, hash_of, input_hashes, settings_of
from rlvr.pipeline.log import log_path, stage_log
from rlvr.pipeline.metrics import read_lines
from rlvr.pipeline.peak import forget_peak, peak_memory
from rlvr.pipeline.processes import lost, note_sigterm, rank, told
from rlvr.pipeline.space import require_space, written_by
from rlvr.pipeline.stage import StageResult
from rlvr.stages import STAGES
from rlvr_rewards.errors import UserError, one_line

if TYPE_CHECKING:
    from rlvr.pipeline.run import Run


def run_stage(stage: StageConfig, run: "Run") -> None:
    """Runs a stage or goes on with it, and records how it ended.

    Raises:
        WorkError: It failed; the message names its log.
    """
    kind = STAGES.get(stage.kind)
    run.console.rule(f"[bold]{stage.name}[/] [dim]{kind.plan(stage)}[/]", align="left")
    path = log_path(run.folder.path, stage)
    try:
        with stage_log(path) as log:
            _recorded(stage, run, log)
    except Exception as error:  # safetensors, torch and Arrow each have their own for a full disk
        if isinstance(error, UserError | BrokenPipeError) and not disk_problem(error):
            raise
        raise WorkError(_failure(stage, run, error, path)) from error
    drop_checkpoints(stage, run)  # not before the stage counts as done


def take_part(stage: StageConfig, run: "Run") -> None:
    """Does this process's part of a stage that the first one runs; what it has to say is in a log of its own.

    Raises:
        WorkError: It failed, or the first process ended without a word.
        UserError: As the stage raises them.
    """
    path = log_path(run.folder.path, stage, rank())
    gc.collect()
    with stage_log(path) as log:
        try:
            STAGES.get(stage.kind).run(stage, run.in_stage(stage))
        except Exception as error:
            note_sigterm()
            log.exception("failed")
            if isinstance(error, UserError | BrokenPipeError):
                raise
            line = _failure(stage, run, error, path)
            if lost(error) and rank() == 1 and (run.folder.entry(stage.name) or {}).get("status") == "running":
                print(f"rlvr: {line}", file=sys.stderr, flush=True)  # for the first one, which ended without a word
            raise WorkError(line) from error


def drop_checkpoints(stage: StageConfig, run: "Run") -> None:
    """Removes what a finished stage could go on from; a run killed just before that has it still."""
    shutil.rmtree(run.folder.checkpoints / stage.name, ignore_errors=True)


def _recorded(stage: StageConfig, run: "Run", log: logging.Logger) -> None:
    _refuse_full_disk(stage, run)
    entry, started = _entry(stage, run), time.time()
    run.folder.record_stage(entry)
    log.info("%s (%s), rlvr %s: %s", stage.name, stage.kind, rlvr.__version__, settings_of(stage))
    gc.collect()  # trainers are cycles: without it the model before lives on beside this one
    forget_peak()
    try:
        if STAGES.get(stage.kind).together:
            told(stage.name)
        result = STAGES.get(stage.kind).run(stage, run.in_stage(stage))
        outputs = _outputs(result, run)
    except BaseException as error:
        if lost(error):
            note_sigterm()
        status = "failed" if isinstance(error, Exception) else "stopped"
        log.exception(status) if status == "failed" else log.info("%s: %r", status, error)
        with contextlib.suppress(OSError):  # the disk may be what failed
            run.folder.record_stage({**_ended(entry, started), "status": status, "error": one_line(error)})
        raise
    done = {
        **_ended(entry, started),
        "status": "done",
        "outputs": outputs,
        "model": None if result.model is None else os.path.relpath(result.model, run.folder.path),
        "tokens": result.tokens,
        "metrics": result.metrics,
    }
    run.folder.record_stage(done)
    log.info("done: %s s, at most %s bytes of memory", done["seconds"], done["peak_memory"])


def _refuse_full_disk(stage: StageConfig, run: "Run") -> None:
    """Refuses to start what the disk has no room for, as far as the model's shape tells; old checkpoints are there."""
    if not STAGES.get(stage.kind).makes_model:
        return
    base = run.config.model.model_copy(update={"path": run.model_before(stage)})
    shape = shape_of(base)
    if shape and (written := written_by(stage, shape)):
        there = len(checkpoints(run.folder.checkpoints / stage.name)) * written.checkpoint
        require_space(run.folder.path, max(0, written.most - there), f"stage {stage.name} writes {written}")


def _entry(stage: StageConfig, run: "Run") -> Entry:
    """What the manifest holds of a stage that starts, or goes on."""
    before = run.folder.entry(stage.name) or {}
    return {
        "name": stage.name,
        "kind": stage.kind,
        "status": "running",
        "version": rlvr.__version__,
        "config": settings_of(stage),
        "config_hash": config_hash(stage),
        "inputs": input_hashes(stage, run.config, read_entries(run.folder.path)),
        "outputs": {},
        "traced": STAGES.get(stage.kind).traced(stage, run.config),
        "started": before.get("started", _utc(time.time())),
        "resumed": _utc(time.time()),
        "seconds": _seconds_before(before, run.folder.path),
        "peak_memory": before.get("peak_memory", {}),
    }


def _seconds_before(entry: Entry, folder: Path) -> float:
    """Seconds that earlier tries took; of one that was killed, until the last line that it logged."""
    if not entry:
        return 0.0
    killed = 0.0
    if entry["status"] == "running":
        resumed = datetime.fromisoformat(entry["resumed"]).timestamp()
        lines = read_lines(folder / "metrics.jsonl", entry["name"])
        killed = max(0.0, max((line["time"] for line in lines), default=resumed) - resumed)
    return round(entry["seconds"] + killed, 1)


def _ended(entry: Entry, started: float) -> Entry:
    peak, before = peak_memory(), entry["peak_memory"]
    return {
        **entry,
        "finished": _utc(time.time()),
        "seconds": round(entry["seconds"] + time.time() - started, 1),
        "peak_memory": {device: max(peak[device], before.get(device, 0)) for device in peak},
    }


def _outputs(result: StageResult, run: "Run") -> dict[str, str]:
    """What a stage made, by its path in the run's folder, with the hash of its content."""
    paths = [*([result.model] if result.model else []), *result.files]
    return {os.path.relpath(path, run.folder.path): hash_of(path) for path in paths}


def _failure(stage: StageConfig, run: "Run", error: Exception, path: Path) -> str:
    step = last_step(run.folder.checkpoints / stage.name)
    goes_on = "run it again"
    if step:
        goes_on = f"the checkpoint of step {step} is whole, and the same command goes on from it"
    if problem := disk_problem(error):
        return f"stage {stage.name}: {run.folder.path} cannot be written ({problem}): free some space; {goes_on}"
    if lost(error):
        return (
            f"stage {stage.name}: another process of this run ended, or does not answer ({one_line(error)[:100]}): "
            f"what it said last is in {path.parent}; {goes_on}"
        )
    if isinstance(error, WorkError):
        return f"{error}; its log is {path}"
    return f"stage {stage.name} failed: {one_line(error)}; its log, with the traceback, is {path}; {goes_on}"


def _utc(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")
