"""A run: its stages in order, each skipped where it is finished and continued where it was broken off."""

import os
import shutil
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

import rlvr
from rlvr.config.schema import BASE, SCRATCH, RunConfig, StageConfig
from rlvr.failure import WorkError
from rlvr.pipeline.checkpoints import last_step
from rlvr.pipeline.disk import disk_problem
from rlvr.pipeline.environment import quiet_libraries
from rlvr.pipeline.folder import RunFolder, finished_stages
from rlvr.pipeline.inputs import input_hashes, refuse_changed_inputs
from rlvr.pipeline.speed import matmul_gflops
from rlvr.pipeline.stage import StageResult
from rlvr.stages import STAGES
from rlvr_envs import Environment
from rlvr_envs import make as make_environment
from rlvr_envs.seeds import content_id, derive_seed
from rlvr_rewards import Reward, parse_reward


@dataclass
class Run:
    """What every stage can reach.

    Attributes:
        config: The whole checked config.
        folder: Where everything is written, locked.
        console: Where progress is shown.
    """

    config: RunConfig
    folder: RunFolder
    console: Console

    @cached_property
    def env(self) -> Environment:
        return environment_of(self.config)

    @cached_property
    def reward(self) -> Reward:
        return reward_of(self.config, self.env)

    def seed(self, **labels: Any) -> int:
        """A seed for one choice of this run; see `rlvr_envs.seeds.derive_seed`."""
        return derive_seed(self.config.seed, **labels)

    def model_before(self, stage: StageConfig) -> str:
        """The path of the model that a stage starts from: of the last stage before it that made one."""
        return self.model_of(start_of(stage, self.config))

    def model_of(self, name: str) -> str:
        """The path of the model that a stage made, or of the base model."""
        if name != BASE:
            return str(self.folder.models / name)
        if self.config.model.path != SCRATCH:
            return self.config.model.path
        return str(self._scratch_model())

    def _scratch_model(self) -> Path:
        from rlvr.models.scratch import make_scratch_model
        from rlvr.replacing import new_folder

        path = self.folder.models / BASE
        if not path.exists():
            with new_folder(path) as folder:
                make_scratch_model(folder, self.config.model.scratch, self.env, self.config.seed)
        return path


def start_of(stage: StageConfig, config: RunConfig) -> str:
    """The name of the stage whose model a stage starts from, `base` where there is none before it."""
    if stage.start:
        return stage.start
    before = config.stage[: [each.name for each in config.stage].index(stage.name)]
    return next((each.name for each in reversed(before) if STAGES.get(each.kind).makes_model), BASE)


def environment_of(config: RunConfig) -> Environment:
    return make_environment(config.env.name, **config.env.options)


def reward_of(config: RunConfig, env: Environment) -> Reward:
    expression = config.reward.expression
    reward = parse_reward(expression, env.part) if expression else env.reward
    policy = config.reward.on_error
    return reward if policy is None else reward.on_error(policy)


def run_pipeline(config: RunConfig, folder: RunFolder, console: Console) -> None:
    """Runs or resumes every stage; finished ones are skipped.

    Raises:
        WorkError: The disk is full, or training broke down.
    """
    folder.adopt(config)
    refuse_changed_inputs(folder.manifest()["stages"])
    quiet_libraries()
    run = Run(config, folder, console)
    finished, started = finished_stages(folder.path), time.time()
    _set_threads(config)
    for stage in config.stage:
        STAGES.get(stage.kind).rehearse(stage, run)
    for stage in config.stage:
        if stage.name in finished:
            console.print(f"[dim]{stage.name}: finished before, skipped[/]")
            STAGES.get(stage.kind).recall(stage, run)
        else:
            _run_stage(stage, run)
    console.print(
        f"{folder.path}: done in {(time.time() - started) / 60:.1f} minutes; float32 1024³ matrix products ran at "
        f"{matmul_gflops():.0f} GFLOP/s on this machine just now"
    )


def _run_stage(stage: StageConfig, run: Run) -> None:
    run.console.rule(f"[bold]{stage.name}[/] [dim]{STAGES.get(stage.kind).plan(stage)}[/]", align="left")
    try:
        _record_stage(stage, run)
    except Exception as error:  # safetensors, torch and Arrow each have their own for a full disk
        if problem := disk_problem(error):
            raise WorkError(_disk_message(stage, run.folder, problem)) from error
        raise


def _record_stage(stage: StageConfig, run: Run) -> None:
    started = time.time()
    entry = {
        "name": stage.name,
        "kind": stage.kind,
        "config_hash": content_id(stage.model_dump(mode="json")),
        "inputs": input_hashes(run.config, stage),
        "version": rlvr.__version__,
        "started": _utc(started),
    }
    run.folder.record_stage({**entry, "status": "running"})
    result: StageResult = STAGES.get(stage.kind).run(stage, run)
    entry |= {"status": "done", "finished": _utc(time.time()), "seconds": round(time.time() - started, 1)}
    run.folder.record_stage({**entry, "model": _relative(result.model, run.folder.path), "metrics": result.metrics})
    shutil.rmtree(run.folder.checkpoints / stage.name, ignore_errors=True)  # not before the stage counts as done


def _disk_message(stage: StageConfig, folder: RunFolder, problem: str) -> str:
    step = last_step(folder.checkpoints / stage.name)
    goes_on = (
        f"the checkpoint of step {step} is whole, and the same command goes on from it" if step else "run it again"
    )
    return f"stage {stage.name}: {folder.path} cannot be written ({problem}): free some space; {goes_on}"


def _relative(path: Path | None, folder: Path) -> str | None:
    return None if path is None else os.path.relpath(path, folder)


def _utc(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).isoformat(timespec="seconds")


def _set_threads(config: RunConfig) -> None:
    import torch

    torch.set_num_threads(config.threads or os.cpu_count() or 1)
