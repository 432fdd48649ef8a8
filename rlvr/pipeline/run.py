"""A run: its stages in order, each skipped where it is finished and continued where it was broken off."""

import math
import os
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from rlvr.config.schema import BASE, SCRATCH, RunConfig, StageConfig
from rlvr.pipeline.aside import REPLACED, discard, move_aside, put_back
from rlvr.pipeline.closing import closing_rows, show_closing
from rlvr.pipeline.environment import quiet_libraries
from rlvr.pipeline.folder import RunFolder
from rlvr.pipeline.processes import is_first, num_local_processes, told
from rlvr.pipeline.space import require_space, size_text
from rlvr.pipeline.speed import matmul_gflops
from rlvr.pipeline.stage_reward import in_stage, looked_up
from rlvr.pipeline.stage_run import drop_checkpoints, run_stage, take_part
from rlvr.pipeline.state import Action, Planned, plan_stages
from rlvr.stages import STAGES
from rlvr_envs import Environment
from rlvr_envs import make as make_environment
from rlvr_envs.mixed import Member, Mixed
from rlvr_envs.seeds import derive_seed
from rlvr_rewards import Reward, UserError, parse_reward


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
        return reward_of(self.config, self.env, self.folder.models)

    def in_stage(self, stage: StageConfig) -> "Run":
        """The run as a stage sees it: where the stage has a reward of its own, with that."""
        config = in_stage(stage, self.config)
        return self if config is self.config else replace(self, config=config)

    def seed(self, **labels: Any) -> int:
        """A seed for one choice of this run; see `rlvr_envs.seeds.derive_seed`."""
        return derive_seed(self.config.seed, **labels)

    def warn(self, line: str) -> None:
        """Shows what the user should know, as it is and on one line."""
        self.console.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)

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
        from rlvr.models.shape import scratch_shape
        from rlvr.replacing import new_folder

        path = self.folder.models / BASE
        if not path.exists():
            shape = scratch_shape(self.config.model.scratch)
            num_bytes = round(shape.num_params * shape.bytes_per_weight)
            require_space(self.folder.path, num_bytes, f"the base model takes {size_text(num_bytes)}")
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
    """The tasks of a run: its environment, or several mixed.

    One of several goes by its name; where another has the same, by its name and options (`scheduling?tier=hard`).

    Raises:
        UserError: One cannot be made, or two are the same.
    """
    envs = [make_environment(each.name, **each.options) for each in config.envs]
    if len(envs) == 1:
        return envs[0]
    for number, env in enumerate(envs):
        if env in envs[:number]:
            raise UserError(f"[[env]]: {config.envs[number].spec} is there twice: give one the weight of both")
    names = [env.name for env in envs]
    specs = [each.spec for each in config.envs]
    labels = [name if names.count(name) == 1 else spec for name, spec in zip(names, specs, strict=True)]
    weights = [getattr(each, "weight", 1.0) for each in config.envs]
    return Mixed(tuple(Member(*each) for each in zip(labels, envs, weights, strict=True)))


def reward_of(config: RunConfig, env: Environment, models: Path | None = None) -> Reward:
    """What completions earn: the environment's own reward, or the config's over its parts; of several mixed, of each.

    Args:
        config: The run, or as it holds in a stage (`stage_reward.in_stage`).
        env: The tasks.
        models: The folder of the run's models, where rewards are that stages made; without it those cannot score.

    Raises:
        UserError: The config's names what the environment lacks, or is to be divided by a most that is not above 0.
    """
    if isinstance(env, Mixed):
        return env.rewards(lambda member: reward_of(config, member, models))
    expression = config.reward.expression
    reward = parse_reward(expression, looked_up(config, env.part, models)) if expression else env.reward
    if config.reward.divide_by_max:
        if not 0 < reward.max < math.inf:
            raise UserError(f"reward.divide_by_max: the reward of {env.name} can give {reward.max:g} at most: drop it")
        reward = reward * (1 / reward.max)
    policy = config.reward.on_error
    return reward if policy is None else reward.on_error(policy)


def run_pipeline(config: RunConfig, folder: RunFolder, console: Console) -> None:
    """Runs or resumes every stage; finished ones are skipped, those made under other settings run again.

    Of several processes the first one does so; the others take part in the stages that it tells them of.

    Raises:
        WorkError: The disk is full, or a stage failed.
    """
    quiet_libraries()
    _set_threads(config)
    run = Run(config, folder, console)
    if is_first():
        _run_stages(run)
        told(None)
        return
    stages = {stage.name: stage for stage in config.stage}
    while name := told():
        take_part(stages[name], run)


def _run_stages(run: Run) -> None:
    config, folder, console, started = run.config, run.folder, run.console, time.time()
    planned = plan_stages(config, folder.path)
    for each in planned:
        if each.action not in (Action.SKIP, Action.PUT_BACK):
            STAGES.get(each.stage.kind).check_processes(each.stage)
    for stage in config.stage:
        STAGES.get(stage.kind).rehearse(stage, run)
    folder.adopt(config)
    _announce(planned, run)
    for number in range(len(planned)):
        _take(plan_stages(config, folder.path)[number], run)  # once those before it have made what it takes
    discard(folder.path)
    rows = closing_rows(config, folder)
    folder.record_table(rows)
    show_closing(console, rows)
    minutes = f"{(time.time() - started) / 60:.1f} minutes"
    is_whole = all(each.action in (Action.RUN, Action.RERUN) for each in planned)
    console.print(
        f"{folder.path}: done {f'in {minutes}' if is_whole else f'({minutes} since it was started again)'}; float32 "
        f"1024³ matrix products ran at {matmul_gflops():.0f} GFLOP/s on this machine just now"
    )


def _announce(planned: list[Planned], run: Run) -> None:
    """Says what is replaced and why, before anything is."""
    for each in planned:
        if each.action in (Action.RERUN, Action.PUT_BACK):
            verb = "runs again" if each.action == Action.RERUN else "is put back"
            run.warn(f"{each.stage.name} {verb}: {each.why}")
    if any(each.action == Action.RERUN for each in planned):
        run.warn(f"what they made before is kept in {run.folder.path / REPLACED} until the run is complete")


def _take(planned: Planned, run: Run) -> None:
    stage = planned.stage
    if planned.action == Action.RERUN:
        move_aside(stage.name, run.folder)
    if planned.aside:
        put_back(planned.aside, run.folder)
    if planned.action in (Action.SKIP, Action.PUT_BACK):
        run.console.print(f"[dim]{stage.name}: finished before, skipped[/]")
        drop_checkpoints(stage, run)
        STAGES.get(stage.kind).recall(stage, run)
    else:
        run_stage(stage, run)


def _set_threads(config: RunConfig) -> None:
    import torch

    torch.set_num_threads(config.threads or max(1, (os.cpu_count() or 1) // num_local_processes()))
