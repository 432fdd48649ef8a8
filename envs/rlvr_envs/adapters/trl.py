"""Ours in stock TRL: rows for its data sets, a reward by its dotted path, and an `environment_factory`.

    trl grpo --reward_funcs rlvr_envs.adapters.trl.scheduling …         # any environment's own reward
    trl grpo --reward_funcs rlvr_rewards.exact_number …                 # any reward of the library, over its columns

    rows = Dataset.from_list(rows_for_trl(make("calculator"), num_rows=200))
    GRPOTrainer(environment_factory=environment_factory("calculator"), train_dataset=rows, …)

A row for TRL is the prompt as messages and the task as JSON text, for Arrow wants the same columns of the same kinds in
all rows, and tasks need not have them. Not here: TRL itself, which this module never imports.
"""

import json
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from rlvr_envs.catalogue import make
from rlvr_envs.environment import Environment, Task
from rlvr_envs.episode import Episode
from rlvr_rewards import UserError
from rlvr_rewards.row import Completion

TASK = "task"
"""The column that holds a task as JSON text."""


def rows_for_trl(env: Environment, *, num_rows: int, split: str = "train", seed: int = 0) -> list[dict[str, Any]]:
    """Rows with `prompt` (chat messages) and `task` (JSON text), for `datasets.Dataset.from_list` or a JSONL file."""
    tasks = islice(env.rows(split, seed), num_rows)
    return [{"prompt": env.messages(task), TASK: json.dumps(task)} for task in tasks]


def reward_function(spec: str) -> Callable[..., list[float | None]]:
    """An environment's own reward with TRL's signature, over rows of `rows_for_trl`.

    >>> arithmetic = reward_function("arithmetic")
    >>> arithmetic(completions=["<think>1+1</think><answer>2</answer>"], task=['{"question": "1+1", "answer": "2"}'])
    [1.2]

    Args:
        spec: The environment, `NAME?option=value`.
    """
    env = make(spec)

    def own_reward(completions: Sequence[Completion], task: Sequence[str], **_: Any) -> list[float | None]:
        return [env.score(_read(row), said).reward for said, row in zip(completions, task, strict=True)]

    own_reward.__name__ = env.name.replace("/", "_")
    return own_reward


def environment_factory(spec: str) -> Callable[[], Any]:
    """What TRL's `environment_factory` wants: called without arguments it gives an environment of TRL's kind.

    It has one tool, `say`, through which the model takes its turns in ours; the reward is ours, of what was said there.
    An environment of one turn has its answer by it, one of several replies to each turn. What a model writes beside the
    tool's calls TRL shows to no environment, and so it earns nothing.

    Args:
        spec: The environment, `NAME?option=value`.
    """
    env = make(spec)

    class OursInTRL(TRLEnvironment):
        pass

    OursInTRL.__name__ = env.name.replace("/", "_")  # TRL logs the reward under it
    return lambda: OursInTRL(env)


class TRLEnvironment:
    """One of our environments as TRL's trainer uses one: `reset(**row)`, tools, `get_reward()`."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._episode: Episode | None = None

    def reset(self, *, task: str | None = None, **_: Any) -> None:
        """Begins with the task of a row of `rows_for_trl`.

        Raises:
            UserError: The row holds none. All of a group must get the same, so none is drawn here.
        """
        if task is None:
            raise UserError(f"{self._env.name} in TRL: the data set has no column {TASK!r}: make it with rows_for_trl")
        self._episode = Episode(self._env, _read(task))

    def say(self, text: str) -> str:
        """
        Say something to the environment: a question where it answers some, or the final answer.

        Args:
            text: What you say, in the form that was asked for.

        Returns:
            What it replies.
        """
        episode = self._begun()
        if episode.is_over:
            return "It is over: nothing more is heard."
        reply = episode.step(text)
        return "It is over." if reply is None else reply["content"]

    def get_reward(self) -> float | None:
        """What the episode earned; nothing said earns what an empty completion does."""
        episode = self._begun()
        return self._env.score(episode.task, episode.turns or "").reward

    def _begun(self) -> Episode:
        assert self._episode is not None, "TRL resets an environment before it uses it"
        return self._episode


def __getattr__(name: str) -> Any:
    """An environment's reward by its name, for `trl grpo --reward_funcs rlvr_envs.adapters.trl.NAME`."""
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return reward_function(name)
    except UserError as error:
        raise AttributeError(f"module {__name__!r}: {error}") from None


def _read(task: str) -> Task:
    return json.loads(task)
