"""Several environments as one: rows are drawn from theirs by weight, and all else is asked of the one that a row is of.

A row holds the label of its environment and that environment's own row, so that columns of two never meet:

    {"env": "countdown", "task": {"numbers": [3, 5, 7], …}}

Not here: which environments a run has, and what they are called (`rlvr.pipeline.run`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random
from typing import Any

from rlvr_envs.environment import Baseline, Environment, Message, Task
from rlvr_envs.seeds import derive_random, derive_seed
from rlvr_rewards import Reward, Score, UserError
from rlvr_rewards.errors import unknown_name
from rlvr_rewards.row import ABSENT, Completion, Row
from rlvr_rewards.scorable import Bounds

_ENV, _TASK = "env", "task"


@dataclass(frozen=True)
class Member:
    """One of several environments.

    Attributes:
        label: What it is called beside the others: on traces, in results and metrics.
        env: The environment.
        weight: Its share of the training tasks, beside the weights of the others.
    """

    label: str
    env: Environment
    weight: float = 1.0


@dataclass(frozen=True)
class Mixed(Environment):
    """Several environments, each with its own reward; called by all their labels.

    It has the splits, metrics and baselines that all of them have.

    >>> from rlvr_envs import make
    >>> both = Mixed((Member("sums", make("arithmetic")), Member("countdown", make("countdown"), weight=3)))
    >>> both.name, both.reward.max
    ('sums + countdown', 1.3)
    """

    columns = (_ENV, _TASK)

    members: tuple[Member, ...]

    def __post_init__(self) -> None:
        envs = [member.env for member in self.members]
        if len({member.label for member in self.members}) < len(envs) or len(envs) < 2:
            raise UserError("a mix needs two environments or more, each with a label of its own")
        shared = {
            "name": " + ".join(member.label for member in self.members),
            "splits": tuple(name for name in envs[0].splits if all(name in env.splits for env in envs)),
            "metrics": tuple(name for name in envs[0].metrics if all(name in env.metrics for env in envs)),
            "reward": self.rewards(lambda env: env.reward),
        }
        for name, value in shared.items():
            object.__setattr__(self, name, value)  # what others say of their class, this one knows of its members

    def rows(self, split: str, seed: int) -> Iterator[Task]:
        """Rows of all, each drawn by weight under a seed of its own.

        The rows of a member come in the order that they have without the others. One that ends begins again in another
        order, so that the weights hold; the rows end once all have ended.
        """
        self.require_split(split)
        ended: set[str] = set()
        sources = {member.label: _again_and_again(member, split, seed, ended) for member in self.members}
        labels, weights = [*sources], [member.weight for member in self.members]
        for draw in count():
            random = derive_random(seed, environment=self.name, split=split, draw=draw)
            label = random.choices(labels, weights)[0]
            task = next(sources[label])
            if len(ended) == len(labels):
                return
            yield _labelled(label, task)

    def streams(self, split: str, seed: int) -> dict[str, Iterator[Task]]:
        self.require_split(split)
        return {
            member.label: map(partial(_labelled, member.label), member.env.rows(split, seed)) for member in self.members
        }

    def traced(self, task: Task) -> tuple[str, Task]:
        return task[_ENV], task[_TASK]

    def messages(self, task: Task) -> list[Message]:
        return self._env(task).messages(task[_TASK])

    def gold(self, task: Task) -> Completion:
        return self._env(task).gold(task[_TASK])

    def success(self, task: Task, completion: Any) -> bool:
        return self._env(task).success(task[_TASK], completion)

    @property
    def max_turns(self) -> int:
        """Of the member that has most; `reply` ends an episode where the task's own allows no more."""
        return max(member.env.max_turns for member in self.members)

    def reply(self, task: Task, turns: Sequence[Message]) -> Message | None:
        env = self._env(task)
        said = sum(turn["role"] == "assistant" for turn in turns)
        return env.reply(task[_TASK], turns) if said < env.max_turns else None

    def heard(self, task: Task, completion: Completion) -> Any:
        return self._env(task).heard(task[_TASK], completion)

    def info(self, task: Task, completion: Any) -> dict[str, Any]:
        return self._env(task).info(task[_TASK], completion)

    def episode(self, task: Task, completion: Completion | Sequence[str]) -> list[Message]:
        return self._env(task).episode(task[_TASK], completion)

    def difficulty(self, task: Task) -> float | None:
        return self._env(task).difficulty(task[_TASK])

    def score(self, task: Task, completion: Completion, reward: Reward | None = None, **known: Any) -> Score:
        reward = reward or self.reward
        own = reward.rewards[task[_ENV]] if isinstance(reward, MixedReward) else reward
        return self._env(task).score(task[_TASK], completion, own, **known)

    def score_batch(
        self,
        tasks: Sequence[Task],
        completions: Sequence[Completion],
        reward: Reward | None = None,
        known: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[Score]:
        reward, also = reward or self.reward, known or [{}] * len(tasks)
        found: dict[int, Score] = {}
        for member in self.members:
            rows = [row for row, task in enumerate(tasks) if task[_ENV] == member.label]
            own = reward.rewards[member.label] if isinstance(reward, MixedReward) else reward
            its_own = [tasks[row][_TASK] for row in rows]
            scores = member.env.score_batch(its_own, [completions[row] for row in rows], own, [also[r] for r in rows])
            found.update(zip(rows, scores, strict=True))
        return [found[row] for row in range(len(tasks))]

    def baselines(self) -> dict[str, Baseline]:
        first, *others = (member.env.baselines() for member in self.members)
        return {name: partial(self._answer, name) for name in first if all(name in other for other in others)}

    def content(self, task: Task) -> Any:
        return self._env(task).content(task[_TASK])

    def check(self, task: Mapping[str, Any]) -> None:
        super().check(task)
        labels = [member.label for member in self.members]
        if task[_ENV] not in labels:
            raise unknown_name("environment of a task row", str(task[_ENV]), labels)
        self._env(task).check(task[_TASK])

    def task_id(self, task: Task) -> str:
        """The id that the task has without the other environments."""
        return self._env(task).task_id(task[_TASK])

    def split_of(self, task: Task) -> str:
        return self._env(task).split_of(task[_TASK])

    def rewards(self, reward_of: Callable[[Environment], Reward]) -> "MixedReward":
        """One reward of those that `reward_of` gives for the members."""
        return MixedReward({member.label: reward_of(member.env) for member in self.members})

    def _env(self, task: Mapping[str, Any]) -> Environment:
        return next(member.env for member in self.members if member.label == task[_ENV])

    def _answer(self, name: str, task: Task, random: Random) -> Completion:
        return self._env(task).baselines()[name](task[_TASK], random)


class MixedReward(Reward):
    """For each row of `Mixed` the reward of its environment; the parts are that one's alone.

    Args:
        rewards: By the environments' labels.
    """

    def __init__(self, rewards: Mapping[str, Reward]) -> None:
        self.rewards = dict(rewards)

    @property
    def bounds(self) -> Bounds:
        """From the least that any of them can give to the most."""
        bounds = [reward.bounds for reward in self.rewards.values()]
        return min(low for low, _ in bounds), max(high for _, high in bounds)

    @property
    def children(self) -> tuple[Reward, ...]:
        return tuple(self.rewards.values())

    def value(self, row: Row) -> float | None:
        raise TypeError("a mixed reward is the whole of a reward, and no term of another: compose its members'")

    def score_batch(
        self,
        completions: Sequence[Completion],
        columns: Mapping[str, Sequence[Any]],
        shared: Mapping[str, Any] | None = None,
        groups: Sequence[Any] | None = None,
    ) -> list[Score]:
        """Scores `N` completions, those of each environment together; each group is of one environment."""
        scores: dict[int, Score] = {}
        for label, reward in self.rewards.items():
            rows = [row for row, each in enumerate(columns[_ENV]) if each == label]
            if not rows:
                continue
            found = reward.score_batch(
                [completions[row] for row in rows],
                _unwrapped(columns, rows),
                shared,
                None if groups is None else [groups[row] for row in rows],
            )
            scores |= dict(zip(rows, found, strict=True))
        return [scores[row] for row in range(len(completions))]


def _labelled(label: str, task: Task) -> Task:
    return {_ENV: label, _TASK: task}


def _unwrapped(columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> dict[str, list[Any]]:
    """The columns of some rows, with those of their environment's own rows in the place of label and row."""
    tasks = [columns[_TASK][row] for row in rows]
    names = dict.fromkeys(name for task in tasks for name in task)
    own = {name: [task.get(name, ABSENT) for task in tasks] for name in names}
    beside = {name: [values[row] for row in rows] for name, values in columns.items() if name not in (_ENV, _TASK)}
    return {**own, **beside}


def _again_and_again(member: Member, split: str, seed: int, ended: set[str]) -> Iterator[Task]:
    """The rows of a member without end; notes in `ended` that they came to one."""
    for time in count():
        empty = True
        for task in member.env.rows(split, derive_seed(seed, again=time) if time else seed):
            empty = False
            yield task
        if empty:
            raise UserError(f"{member.label} has no rows in its split {split!r}")
        ended.add(member.label)
