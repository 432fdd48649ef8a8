"""What completions earn in one stage: the run's reward, or the stage's own; and rewards that stages make.

    [[stage]]
    kind = "reward_model"          a stage that makes a reward, which goes by the stage's name

    [[stage]]
    kind = "grpo"
    [stage.reward]                 instead of the run's [reward], in this stage alone
    expression = "correct + 0.5*reward_model"

Not here: how an expression is read (`rlvr_rewards.expression`), and what such a stage does (`rlvr.stages`).
"""

import ast
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from rlvr.config.schema import RunConfig, StageConfig
from rlvr.stages import STAGES
from rlvr_rewards import Reward
from rlvr_rewards.errors import UserError
from rlvr_rewards.functions import FunctionReward


def in_stage(stage: StageConfig, config: RunConfig) -> RunConfig:
    """The config as it holds in a stage: with the stage's own reward where it has one."""
    own = getattr(stage, "reward", None)
    return config.model_copy(update={"reward": own}) if own else config


def looked_up(config: RunConfig, part: Callable[[str], Reward], models: Path | None) -> Callable[[str], Reward]:
    """How names in an expression are looked up: stages that make a reward come first, then an environment's own.

    Args:
        config: The run.
        part: What the environment has by a name.
        models: The folder of the run's models; `None` before there is one.
    """

    def lookup(name: str) -> Reward:
        for stage in config.stage:
            if stage.name == name and (made := STAGES.get(stage.kind).reward(stage, models)):
                return made
        try:
            return part(name)
        except UserError as error:
            made = [stage.name for stage in config.stage if STAGES.get(stage.kind).reward(stage, None)]
            if near := get_close_matches(name, made, n=1, cutoff=0.5):
                raise UserError(f"unknown reward {name!r}: did you mean {near[0]!r}, which a stage makes?") from error
            raise

    return lookup


def stages_named(stage: StageConfig, config: RunConfig) -> tuple[str, ...]:
    """The stages whose rewards are named in what a stage pays by; none where it scores nothing."""
    expression = in_stage(stage, config).reward.expression
    if not expression or not STAGES.get(stage.kind).uses_reward:
        return ()
    names = set(_names(expression))
    return tuple(each.name for each in config.stage if each.name in names and STAGES.get(each.kind).reward(each, None))


def check_order(config: RunConfig) -> None:
    """Refuses a reward that a stage would pay by before it is made.

    Raises:
        UserError: One would.
    """
    order = [stage.name for stage in config.stage]
    for stage in config.stage:
        for name in stages_named(stage, config):
            if order.index(name) >= order.index(stage.name):
                raise UserError(
                    f"stage {stage.name} scores completions before the stage {name}, whose reward it names, was run: "
                    f"name {name} under [stage.reward] of the stages after it, not under [reward]"
                )


@lru_cache(maxsize=64)
def _names(expression: str) -> tuple[str, ...]:
    """The names and texts that stand in an expression; none where it cannot be read, which its reader says."""
    try:
        nodes = list(ast.walk(ast.parse(f"({expression}\n)", mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple(
        node.id if isinstance(node, ast.Name) else str(node.value)
        for node in nodes
        if isinstance(node, ast.Name | ast.Constant)
    )


def files_of(reward: Reward) -> Iterator[Path]:
    """The files and folders that the settings of a reward's functions name, such as a model's."""
    for leaf in reward.walk():
        if isinstance(leaf, FunctionReward):
            for value in leaf.settings.values():
                path = _existing(value)
                if path is not None:
                    yield path


def _existing(value: Any) -> Path | None:
    if not isinstance(value, str) or not value or len(value) > 1000 or "\n" in value:
        return None
    path = Path(value).expanduser()
    try:
        return path if path.exists() else None
    except (OSError, ValueError):
        return None
