"""Every environment as a `gymnasium.Env`: `gymnasium.make("rlvr/arithmetic-v0")`.

An episode is one task: the observation is the prompt, the action is a turn of the model's. Where the environment
replies, that is the next observation, and the reward comes with the last step; most tasks are one step. Gymnasium finds
environments by import (it has had no plug-ins since 1.0), so importing `rlvr_envs` registers them;
`gymnasium.make("rlvr_envs:rlvr/arithmetic-v0")` imports it by itself.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium

from rlvr_envs.catalogue import ENVIRONMENTS, make
from rlvr_envs.environment import Message, Task
from rlvr_envs.episode import Episode
from rlvr_rewards import UserError

ANY = "rlvr/any-v0"
"""Whatever `environment=` says: one of a collection (`reasoning_gym/leg_counting`), or of a file."""
MAX_CHARACTERS = 10_000_000
_SAMPLED = "abcdefghijklmnopqrstuvwxyz 0123456789<>/"
_SAMPLED_CHARACTERS = 40


def register() -> None:
    """Registers every environment that is found by name, as `rlvr/NAME-v0`; a second call changes nothing."""
    for name in ENVIRONMENTS.names():
        if f"rlvr/{name}-v0" not in gymnasium.registry:
            gymnasium.register(f"rlvr/{name}-v0", entry_point="rlvr_envs.gym:TextEnv", kwargs={"environment": name})
    if ANY not in gymnasium.registry:
        gymnasium.register(ANY, entry_point="rlvr_envs.gym:TextEnv")


class AnyText(gymnasium.Space[str]):
    """All texts of up to 10,000,000 characters, of whatever script; a sample is short and in ASCII."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A short text that is no answer to anything; masks are not known here."""
        if mask is not None or probability is not None:
            raise ValueError("AnyText.sample takes neither mask nor probability")
        length = int(self.np_random.integers(_SAMPLED_CHARACTERS + 1))
        return "".join(self.np_random.choice(list(_SAMPLED), size=length))

    def contains(self, x: Any) -> bool:
        return isinstance(x, str) and len(x) <= MAX_CHARACTERS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AnyText)

    def __repr__(self) -> str:
        return "AnyText()"


class TextEnv(gymnasium.Env[str, str]):
    """One environment, one task an episode.

    Args:
        environment: Its name, `NAME?key=value`, or `my_env.py:MyEnv`.
        split: The split whose rows it goes through, in an order that the seed decides.
        render_mode: None: there is nothing to draw.
        **options: The environment's own options, such as `tier="hard"`.
    """

    metadata = {"render_modes": []}  # noqa: RUF012  # gymnasium declares it so

    def __init__(self, environment: str, split: str = "train", render_mode: str | None = None, **options: Any) -> None:
        self.environment = make(environment, **options)
        self.environment.require_split(split)
        self.split, self.render_mode = split, render_mode
        self.observation_space, self.action_space = AnyText(), AnyText()
        self.task: Task | None = None
        self.episode: Episode | None = None
        self._rows: Iterator[Task] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        """The next task's prompt; `options={"task": row}` sets a task of one's own.

        `info` holds `task_id`, `task` (the row, gold answer and all) and `messages`.

        Raises:
            UserError: The row given is none of this environment's, or the split has no rows.
        """
        super().reset(seed=seed)
        if seed is not None:
            self._rows = None
        self.task = self._given(options or {}) or self._next()
        self.episode = Episode(self.environment, self.task)
        messages = self.environment.messages(self.task)
        info = {"task_id": self.environment.task_id(self.task), "task": dict(self.task), "messages": messages}
        return _prompt_of(messages), info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """What the environment replies; with the last turn, the reward of all.

        The episode is `terminated` where the environment ends it, after one turn where it replies nothing, and
        `truncated` where its turns are used up. Then `info` holds `parts`, `errors`, `success`, `task_id`, and `info`,
        what the environment says besides; where a part failed there is no reward: it is NaN, and `errors` says why.
        Before, the reward is 0, and `info` holds the `task_id`.

        Raises:
            RuntimeError: There is no task yet.
            ValueError: The episode is over.
        """
        if self.task is None or self.episode is None:
            raise RuntimeError("step() before reset(): there is no task yet")
        environment, task, episode = self.environment, self.task, self.episode
        reply = episode.step(action)
        observation = _prompt_of(environment.messages(task) if reply is None else [reply])
        if not episode.is_over:
            return observation, 0.0, False, False, {"task_id": environment.task_id(task)}
        completion = action if environment.max_turns == 1 else episode.turns
        score, heard = environment.score(task, completion), environment.heard(task, completion)
        info = {
            "parts": score.parts,
            "errors": score.errors,
            "success": not score.errors and environment.success(task, heard),
            "task_id": environment.task_id(task),
            "info": {} if score.errors else environment.info(task, heard),
        }
        reward = math.nan if score.reward is None else float(score.reward)
        return observation, reward, episode.terminated, episode.truncated, info

    def _given(self, options: dict[str, Any]) -> Task | None:
        task = options.get("task")
        if task is not None:
            self.environment.check(task)
        return task

    def _next(self) -> Task:
        task = next(self._rows, None) if self._rows else None
        if task is None:
            self._rows = self.environment.rows(self.split, int(self.np_random.integers(2**62)))
            task = next(self._rows, None)
        if task is None:
            raise UserError(f"{self.environment.name}: the split {self.split!r} has no rows")
        return task


def _prompt_of(messages: Sequence[Message]) -> str:
    return "\n\n".join(message["content"] for message in messages)
