"""Training tasks as the rows that `GroupTrainer` learns from."""

from collections.abc import Iterator
from typing import Any

from rlvr_envs import Environment
from rlvr_envs.seeds import canonical_json

Example = dict[str, Any]
"""A row of the dataset: `prompt` (messages), `task` (JSON text: Arrow would bend uneven rows) and `task_id`."""


def examples(env: Environment, seed: int) -> Iterator[Example]:
    """An environment's training tasks, as rows of the dataset."""
    for task in env.rows("train", seed):
        yield {"prompt": env.messages(task), "task": canonical_json(task), "task_id": env.task_id(task)}
