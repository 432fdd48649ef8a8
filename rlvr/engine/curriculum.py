"""A curriculum that keeps the pass rate in a band: what a step is asked follows how much of the last one was solved.

Each environment has a target difficulty T. Its tasks of a step are drawn from those nearest to T, and p, the share of
their completions that succeed, moves it (AdaRFT, Shi et al. 2025, arXiv 2504.05520, algorithm 1):

    T ← clip(T + η tanh(α (p − β)), d_min, d_max)

with the step size η, the sensitivity α and the least and the greatest difficulty that there is.

Departures from the paper:
1. T stays while p is in the band, whose middle is β.
2. p is the share that succeeds, where the paper takes the mean reward, which a reward with several parts does not say.
3. Tasks are drawn by chance from a share of all, the nearest to T, those that were drawn least often first. The paper
   takes the very nearest, which would be the same tasks again for as long as T stays.
4. Several environments have a target each, since difficulties of two do not compare.

Not here: how hard a task is (`Environment.difficulty`), and which environment a place of a step has (the data's order).
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import count, cycle, islice
from typing import Any

from pydantic import Field, field_validator

from rlvr.config.schema import Section
from rlvr.engine.examples import Example
from rlvr_envs import Environment
from rlvr_envs.mixed import Mixed
from rlvr_envs.seeds import derive_random
from rlvr_rewards.errors import UserError

Passed = tuple[str, int, int]
"""Of one group: the id of its task, how many of its completions succeeded, and of how many that is known."""


class CurriculumSettings(Section):
    """Settings of `[stage.curriculum]`.

    Attributes:
        band: The pass rate at which the target stays.
        start: The target difficulty of the first step.
        step: The most that the target moves in one step (η).
        sensitivity: How fast the move grows with the distance from the middle of the band (α).
        share: The part of an environment's tasks, the nearest to the target, that a step's are drawn from.
        num_tasks: Training tasks to draw from; by default as many as the steps take.
    """

    band: tuple[float, float] = (0.3, 0.7)
    start: float = Field(default=0.0, ge=0, le=1)
    step: float = Field(default=0.1, gt=0, le=1)
    sensitivity: float = Field(default=2.0, gt=0)
    share: float = Field(default=0.1, gt=0, le=1)
    num_tasks: int | None = Field(default=None, ge=1)

    @field_validator("band")
    @classmethod
    def _band_is_one(cls, band: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= band[0] < band[1] <= 1:
            raise ValueError("give two pass rates, the lower one first, such as [0.3, 0.7]")
        return band


def says_difficulty(env: Environment) -> bool:
    """Whether an environment, or one of several mixed, has a way to say how hard a task is."""
    envs = [member.env for member in env.members] if isinstance(env, Mixed) else [env]
    return any(type(each).difficulty is not Environment.difficulty for each in envs)


class Curriculum:
    """The tasks of each step, drawn by difficulty; the same in every process.

    Args:
        settings: How it draws and moves.
        examples: All training tasks, as rows of the dataset; one twice counts once.
        env: Of the tasks; it says how hard each is.
        seed: Of the draws.

    Raises:
        UserError: The environment says of no task how hard it is.
    """

    def __init__(self, settings: CurriculumSettings, examples: Iterable[Example], env: Environment, seed: int) -> None:
        self.settings, self._seed = settings, seed
        self._examples: dict[str, Example] = {}
        self._labels: dict[str, str] = {}
        self._difficulty: dict[str, float] = {}
        self._pools: dict[str, list[str]] = {}
        for example in examples:
            self._add(example, env)
        if not self._pools:
            raise UserError(f"a curriculum needs to know how hard a task is, which {env.name} says of none of them")
        self.targets = {label: self._held(label, settings.start) for label in self._pools}
        self.times_drawn = dict.fromkeys(self._difficulty, 0)
        self._beyond: list[Iterator[Example]] = []

    def _add(self, example: Example, env: Environment) -> None:
        task_id, task = example["task_id"], json.loads(example["task"])
        if task_id in self._labels:
            return
        label, difficulty = env.traced(task)[0], env.difficulty(task)
        self._labels[task_id] = label
        if difficulty is not None:
            self._examples[task_id], self._difficulty[task_id] = example, difficulty
            self._pools.setdefault(label, []).append(task_id)

    def of_step(self, step: int, places: Sequence[str]) -> list[Example | None]:
        """A step's tasks in the places of those that the data's order gave it, each of the same environment.

        Args:
            step: From 1.
            places: The ids of those tasks, one a group, over all processes.

        Returns:
            For each place its task; `None` where the environment knows no difficulty, so that the task stays.
        """
        orders = {label: cycle(self._order(label, step)) for label in self._pools}
        streams = [orders.get(self._labels[task_id]) for task_id in places]
        chosen = [next(stream) if stream else None for stream in streams]
        self._beyond = [stream for stream in streams if stream]
        return chosen

    def beyond(self) -> Iterator[Example]:
        """Further tasks of the step, for dynamic sampling, of the environments in turn as they have places in it."""
        streams = self._beyond
        return (next(streams[number % len(streams)]) for number in count()) if streams else iter(())

    def observe(self, groups: Sequence[Passed]) -> dict[str, float]:
        """Moves the targets by what a step's groups solved, those that dynamic sampling replaced included.

        Returns:
            What to log: for each environment the target that the tasks were drawn at, their difficulty, the pass rate.
        """
        logged = {}
        for label in self._pools:
            own = [group for group in groups if group[0] in self._difficulty and self._labels[group[0]] == label]
            for task_id, _, _ in own:
                self.times_drawn[task_id] += 1
            if known := sum(of for _, _, of in own):
                pass_rate = sum(solved for _, solved, _ in own) / known
                difficulty = sum(self._difficulty[task_id] for task_id, _, _ in own) / len(own)
                end = f"/{label}" if len(self._pools) > 1 else ""
                logged |= {
                    f"curriculum/target{end}": self.targets[label],
                    f"curriculum/difficulty{end}": difficulty,
                    f"curriculum/pass_rate{end}": pass_rate,
                }
                self.targets[label] = self._moved(label, pass_rate)
        return logged

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"targets": dict(self.targets), "times_drawn": [*self.times_drawn.values()]}

    def load(self, state: dict[str, Any]) -> None:
        """Goes on from what a checkpoint kept."""
        self.targets = dict(state["targets"])
        self.times_drawn = dict(zip(self.times_drawn, state["times_drawn"], strict=True))

    def _order(self, label: str, step: int) -> list[Example]:
        """The tasks near the target, in the order in which a step takes them."""
        pool, target = self._pools[label], self.targets[label]
        random = derive_random(self._seed, step=step, environment=label)
        chance = {task_id: random.random() for task_id in pool}
        nearest = sorted(pool, key=lambda task_id: (abs(self._difficulty[task_id] - target), chance[task_id]))
        window = islice(nearest, max(1, math.ceil(self.settings.share * len(pool))))
        order = sorted(window, key=lambda task_id: (self.times_drawn[task_id], chance[task_id]))
        return [self._examples[task_id] for task_id in order]

    def _moved(self, label: str, pass_rate: float) -> float:
        low, high = self.settings.band
        if low <= pass_rate <= high:
            return self.targets[label]
        move = self.settings.step * math.tanh(self.settings.sensitivity * (pass_rate - (low + high) / 2))
        return self._held(label, self.targets[label] + move)

    def _held(self, label: str, target: float) -> float:
        """A target within what there is."""
        found = [self._difficulty[task_id] for task_id in self._pools[label]]
        return min(max(target, min(found)), max(found))
