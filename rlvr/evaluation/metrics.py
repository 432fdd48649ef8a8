"""Which metrics an evaluation can have: known before anything loads, and without torch."""

import math
from typing import Any

from rlvr_envs import Environment
from rlvr_rewards import Reward

OURS = ("score", "success", "errors", "tokens", "truncated")
"""Metrics that a number of the environment's info of the same name does not replace."""


def possible_metrics(env: Environment, reward: Reward, split: str, num_samples: int, seed: int) -> list[str]:
    """The metrics that an evaluation can have; none where there is no task to try the environment's info on.

    Raises:
        UserError: The tasks cannot be had.
    """
    tasks = [task for rows in env.streams(split, seed).values() if (task := next(rows, None)) is not None]
    if not tasks:
        return []
    infos = [env.info(task, env.heard(task, env.gold(task))) for task in tasks]
    numbers = dict.fromkeys(name for info in infos for name, value in info.items() if is_number(value))
    parts = [f"parts.{name}" for name in reward.part_names()]
    return [*OURS, *numbers, *parts, *(f"pass@{k}" for k in pass_ks(num_samples))]


def pass_ks(num_samples: int) -> list[int]:
    """2, 4, 8, … and the number of samples itself; none for one sample."""
    powers = {2**power for power in range(1, num_samples.bit_length())}
    return sorted(powers | {num_samples}) if num_samples > 1 else []


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
