"""What a run would do, told before anything loads: its stages, reward, memory, and what its folder already holds."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from rlvr.config.schema import SCRATCH, EnvConfig, RunConfig, StageConfig
from rlvr.models.memory import likely_arithmetic, memory_estimate
from rlvr.models.room import check_chat_template, sample_lengths
from rlvr.models.shape import ModelShape, shape_of
from rlvr.pipeline.card import samples_itself, uses_vllm, vllm_lines
from rlvr.pipeline.folder import read_entries
from rlvr.pipeline.golds import try_golds
from rlvr.pipeline.run import environment_of, reward_of
from rlvr.pipeline.scale import scale_lines
from rlvr.pipeline.space import size_text, written_by
from rlvr.pipeline.stage_reward import check_order, in_stage
from rlvr.pipeline.state import Action, plan_stages
from rlvr.stages import STAGES
from rlvr_envs import Environment
from rlvr_envs.mixed import Mixed
from rlvr_rewards.errors import UserError


def check(config: RunConfig) -> list[str]:
    """Refuses what cannot work, before anything loads: environment, reward, model folder and each stage's settings.

    Returns:
        Warnings, a line each, of what can work but is hardly meant.
    """
    env = environment_of(config)
    reward_of(config, env)
    shape_of(config.model)
    check_chat_template(config.model)
    check_order(config)
    warnings = _tried(config, env)
    for stage in config.stage:
        there = in_stage(stage, config)
        if there is not config:
            reward_of(there, env)
            warnings += [f"stage {stage.name}: {warning}" for warning in _tried(there, env)]
        STAGES.get(stage.kind).check(stage, there)
    return warnings


def _tried(config: RunConfig, env: Environment) -> list[str]:
    """What is odd about a config's reward on golds."""
    if not isinstance(env, Mixed):
        return try_golds(env, reward_of(config, env), config.seed)
    return [
        f"{member.label}: {warning}"
        for member in env.members
        for warning in try_golds(member.env, reward_of(config, member.env), config.seed)
    ]


def print_plan(config: RunConfig, folder: Path, console: Console) -> None:
    """The whole plan, a line a thing.

    Raises:
        UserError: The run folder belongs to another model, environment or seed.
    """
    _print(plan_lines(config, folder), console)


def print_actions(config: RunConfig, folder: Path, console: Console) -> None:
    """What would become of each stage and why, a line a stage.

    Raises:
        UserError: The run folder belongs to another model, environment or seed.
    """
    _print(action_lines(config, folder), console)


def action_lines(config: RunConfig, folder: Path) -> Iterator[str]:
    """What would become of each stage, and of those in the folder that the config has no more."""
    yield f"{folder}{'' if (folder / 'config.toml').exists() else ' (new)'}"
    for number, planned in enumerate(plan_stages(config, folder), 1):
        yield f"{number}. {planned.stage.name} ({planned.stage.kind}) {planned}"
    names = [stage.name for stage in config.stage]
    for name in read_entries(folder):
        if name not in names:
            yield f"   {name} is in the folder and not in the config: what it made would stay"


def _print(lines: Iterator[str], console: Console) -> None:
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def plan_lines(config: RunConfig, folder: Path) -> Iterator[str]:
    """The plan of a checked config for a run folder that may not exist yet."""
    shape = shape_of(config.model)
    yield f"model   {config.model.path}: {_describe(shape, config)}"
    yield from _task_lines(config)
    yield f"folder  {folder}{'' if (folder / 'config.toml').exists() else ' (new)'}; seed {config.seed}"
    for number, planned in enumerate(plan_stages(config, folder), 1):
        stage = planned.stage
        yield f"{number}. {stage.name} ({stage.kind}): {STAGES.get(stage.kind).plan(stage)}"
        if planned.action != Action.RUN:
            yield f"   {planned}"
        yield f"   {_settings(stage)}"
        yield from (f"   {line}" for line in _memory_lines(stage, config, shape))
        if shape and (written := written_by(stage, shape)):
            yield f"   disk: {size_text(written.most)} ({written})"


def _task_lines(config: RunConfig) -> Iterator[str]:
    env = environment_of(config)
    if not isinstance(env, Mixed):
        yield f"env     {_with_options(config.envs[0])}"
        reward = reward_of(config, env)
        yield f"reward  at most {reward.max:g}, parts {', '.join(reward.part_names())}"
        return
    total, most = sum(member.weight for member in env.members), set[float]()
    for each, member in zip(config.envs, env.members, strict=True):
        reward = reward_of(config, member.env)
        most.add(reward.max)
        yield f"env     {member.weight / total:.0%} {_with_options(each)}"
        yield f"reward  at most {reward.max:g}, parts {', '.join(reward.part_names())}"
    if len(most) > 1:
        yield (
            "        the most differs: one weighs more than another where advantages are not divided by their group's "
            "deviation (trl.scale_rewards); [reward] divide_by_max = true makes each 1"
        )


def _with_options(env: EnvConfig) -> str:
    return " ".join([env.name, *(f"{key}={value}" for key, value in env.options.items())])


def _settings(stage: StageConfig) -> str:
    settings = stage.model_dump(mode="json", exclude={"kind", "name"}, exclude_none=True)
    return " · ".join(f"{name} {_short(value)}" for name, value in settings.items() if value not in ((), [], {}))


def _short(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}={_short(inner)}" for name, inner in value.items()) + "}"
    return ", ".join(map(_short, value)) if isinstance(value, list) else str(value)


def _describe(shape: ModelShape | None, config: RunConfig) -> str:
    if shape is None:
        return "no such folder here, so a model of the hub; size unknown until it is downloaded"
    made = "made from nothing, at most " if config.model.path == SCRATCH else ""
    return (
        f"{made}{shape.num_params / 1e6:,.1f} M parameters, {shape.num_layers} layers of {shape.hidden_size}, "
        f"context {shape.context_length} tokens"
    )


def _memory_lines(stage: StageConfig, config: RunConfig, shape: ModelShape | None) -> Iterator[str]:
    work = STAGES.get(stage.kind).workload(stage)
    if work is None:
        return
    if shape is None:
        yield "memory: unknown until the model is downloaded"
        return
    try:
        lengths = sample_lengths(environment_of(config), config.model, config.seed)
    except UserError as error:
        yield f"memory: unknown without a prompt to measure ({error})"
        return
    for arithmetic in likely_arithmetic():
        own = work if samples_itself(stage, arithmetic) else replace(work, sampled_rows=0, kept_prompts=0, kept_rows=0)
        parts = memory_estimate(shape, own, lengths, arithmetic)
        listed = ", ".join(f"{name} {size_text(size)}" for name, size in parts.items() if size)
        yield f"memory a device, in {arithmetic}, estimated: {size_text(sum(parts.values()))} ({listed})"
        if uses_vllm(stage, arithmetic):
            yield from vllm_lines(stage, shape, parts, lengths, arithmetic)
    yield from scale_lines(stage, work, shape, lengths)
