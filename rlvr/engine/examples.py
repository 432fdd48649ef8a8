"""Training tasks as the rows that `GroupTrainer` learns from."""

from collections.abc import Iterator
from typing import Any

from rlvr_envs import Environment
from rlvr_envs.seeds import canonical_json


def examples(env: Environment, seed: int) -> Iterator[dict[str, Any]]:
    """Rows with `prompt` (messages), `task` (JSON text, since Arrow would bend rows of uneven shape) and `task_id`."""
    for task in env.rows("train", seed):
        yield {"prompt": env.messages(task), "task": canonical_json(task), "task_id": env.task_id(task)}
