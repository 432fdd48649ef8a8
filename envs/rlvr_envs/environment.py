"""What a verifiable task is: rows, a prompt, a gold answer, a reward and a verdict.

An environment is a frozen dataclass whose fields are its options:

    @dataclass(frozen=True)
    class Arithmetic(GeneratedEnvironment):
        name = "arithmetic"
        largest: int = 99

A task is one turn of the model's, or an episode of several in which the environment replies: then it says so by
`max_turns` and `reply`, and a completion is the conversation after the prompt.

Not here: sampling and training. An environment never sees a model, only the text that one wrote.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import Any, ClassVar

from rlvr_envs.seeds import content_id, derive_random, is_json, kind_of
from rlvr_rewards import Reward, Score, UserError, reward
from rlvr_rewards.catalogue import REWARDS
from rlvr_rewards.row import ABSENT, Completion, completion_text

Task = dict[str, Any]
"""One row: JSON values by column name. It may hold the gold answer; the messages never do."""

Message = dict[str, str]
Baseline = Callable[[Task, Random], Completion]
"""A policy without a model: the completion it gives for a task, with the randomness it may use."""

TEST_SHARE = 0.2
_GIVE_UP_AFTER = 2000


class Environment(ABC):
    """A collection of tasks with a verifiable answer.

    Attributes:
        name: The name it is found by; a noun.
        columns: The columns that every row must have.
        splits: The splits that `rows` knows.
        metrics: Numbers in [0, 1] that `info` holds for every completion.
        reward: What a completion earns, composed of named parts.
    """

    name: ClassVar[str] = ""
    columns: ClassVar[tuple[str, ...]] = ()
    splits: ClassVar[tuple[str, ...]] = ("train", "test")
    metrics: ClassVar[tuple[str, ...]] = ()
    reward: Reward

    @abstractmethod
    def rows(self, split: str, seed: int) -> Iterator[Task]:
        """The distinct rows of a split, in an order that the seed decides."""

    def streams(self, split: str, seed: int) -> dict[str, Iterator[Task]]:
        """The rows of each environment that it is made of, by label: of itself, where it is one alone."""
        return {self.name: self.rows(split, seed)}

    def traced(self, task: Task) -> tuple[str, Task]:
        """What a trace says of a task: the name of the environment that made it, and that one's own row."""
        return self.name, task

    @abstractmethod
    def messages(self, task: Task) -> list[Message]:
        """The prompt as chat messages. Gold is nowhere in it."""

    @abstractmethod
    def gold(self, task: Task) -> Completion:
        """A completion that earns `reward.max` and succeeds; of several turns, `self.episode(task, [turn, …])`."""

    @abstractmethod
    def success(self, task: Task, completion: Any) -> bool:
        """Whether the task is solved: the one bit that evaluation reports. The completion is what `heard` makes of it:
        text, or with several turns the conversation."""

    @property
    def max_turns(self) -> int:
        """Turns of the model's that an episode has at most."""
        return 1

    def reply(self, task: Task, turns: Sequence[Message]) -> Message | None:
        """What is said to the model's last turn, as a message of a `user` or `tool`; `None` where the episode is over.

        Pure and deterministic, as rewards are: the same turns are always given the same reply.

        Args:
            task: The row.
            turns: The conversation after the prompt; its last message is the assistant's.
        """
        return None

    def episode(self, task: Task, completion: Completion | Sequence[str]) -> list[Message]:
        """The conversation that a completion's turns make here: each of the assistant's, and the reply to it.

        What a completion says that the environment replied is not looked at, nor what follows the end of the episode.

        Args:
            task: The row.
            completion: Text (one turn), the assistant's turns as texts, or chat messages.
        """
        from rlvr_envs.episode import played

        return played(self, task, completion).turns

    def heard(self, task: Task, completion: Completion) -> Any:
        """A completion as `success` and `info` take it: text where the model has one turn, else the conversation."""
        return completion_text(completion) if self.max_turns == 1 else self.episode(task, completion)

    def score(self, task: Task, completion: Completion, reward: Reward | None = None, **known: Any) -> Score:
        """What a completion earns on a task, by the environment's own reward or another.

        As in training, a reward may ask for every column of the task, and for the `prompt` as messages; `known` is what
        else is known of the completion, such as its `completion_ids` or `num_tokens`.
        """
        heard = completion if self.max_turns == 1 else self.episode(task, completion)
        return (reward or self.reward).score(heard, **{**task, "prompt": self.messages(task), **known})

    def score_batch(
        self,
        tasks: Sequence[Task],
        completions: Sequence[Completion],
        reward: Reward | None = None,
        known: Sequence[Mapping[str, Any]] | None = None,
    ) -> list[Score]:
        """What each completion earns on its task, as `score` says; what waits or hangs is computed beside each other.

        Each is a group of its own. `known` holds, for each completion, what else is known of it.
        """
        heard = [
            completion if self.max_turns == 1 else self.episode(task, completion)
            for task, completion in zip(tasks, completions, strict=True)
        ]
        also = known or [{}] * len(tasks)
        rows = [{**task, "prompt": self.messages(task), **more} for task, more in zip(tasks, also, strict=True)]
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: [row.get(name, ABSENT) for row in rows] for name in names}
        return (reward or self.reward).score_batch(heard, columns, groups=range(len(rows)))

    def part(self, name: str) -> Reward:
        """A reward that a config's expression may name: `success`, a part, a metric, or one of the library.

        Raises:
            UserError: Nothing has that name; the nearest is offered.
        """
        parts: dict[str, Any] = {node.name: node for node in self.reward.walk() if node.name}
        parts["success"] = reward(self._solved).named("success")
        for metric in self.metrics:
            parts[metric] = reward(partial(self._metric, metric)).named(metric)
        return parts[name] if name in parts else REWARDS.get(name, also_known=parts)

    def _solved(self, task: Task, turns: Sequence[Message]) -> float:
        return float(self.success(task, self.heard(task, turns)))

    def _metric(self, metric: str, /, task: Task, turns: Sequence[Message]) -> float:
        return float(self.info(task, self.heard(task, turns))[metric])

    def info(self, task: Task, completion: Any) -> dict[str, Any]:
        """What else can be said of a completion, given as to `success`, as JSON values; by default nothing."""
        return {}

    def difficulty(self, task: Task) -> float | None:
        """How hard a task is before anyone tries it, from 0 to 1 among those of this environment; `None`: unknown.

        A guess from the row alone, of use for ordering: a curriculum draws by it.
        """
        return None

    def baselines(self) -> dict[str, Baseline]:
        """Policies without a model to compare with, by name; by default none."""
        return {}

    def content(self, task: Task) -> Any:
        """What makes two rows the same task, as JSON: it decides the task's id and its split."""
        return task

    def check(self, task: Mapping[str, Any]) -> None:
        """Refuses a row that is not one of this environment's.

        Raises:
            UserError: A column is missing; the message names it and those that are there.
        """
        missing = [column for column in self.columns if column not in task]
        if missing:
            has = ", ".join(sorted(task)) or "none"
            raise UserError(f"the task row lacks the column {missing[0]!r} that {self.name} needs; it has: {has}")

    def task_id(self, task: Task) -> str:
        """16 hexadecimal digits that name the task by its content.

        Raises:
            UserError: A column holds what is not JSON.
        """
        try:
            return content_id([self.name, self.content(task)])
        except (TypeError, ValueError):
            for column, value in task.items():
                if not is_json(value):
                    says = f"column {column!r} is {kind_of(value)}, which is not JSON"
                    raise UserError(f"environment {self.name}: {says}") from None
            raise

    def split_of(self, task: Task) -> str:
        """The split that a hash of the row's content says: 20% of all tasks are `test`."""
        share = int(content_id(["split", self.name, self.content(task)]), 16) / 2**64
        return "test" if share < TEST_SHARE else "train"

    def require_split(self, split: str) -> None:
        """Raises `UserError` for a split that this environment does not have."""
        if split not in self.splits:
            raise UserError(f"{self.name} has no split {split!r}; it has: {', '.join(self.splits)}")


class GeneratedEnvironment(Environment):
    """An environment that makes its tasks up: `draw` gives any row, the content's hash says its split."""

    @abstractmethod
    def draw(self, random: Random) -> Task:
        """One row, of whatever split, decided by `random` alone."""

    def rows(self, split: str, seed: int) -> Iterator[Task]:
        """Distinct rows without end, or until 2,000 draws in a row bring none that is new."""
        self.require_split(split)
        random = derive_random(seed, environment=self.name, split=split)
        seen: set[str] = set()
        misses = 0
        while misses < _GIVE_UP_AFTER:
            task = self.draw(random)
            key = self.task_id(task)
            if self.split_of(task) == split and key not in seen:
                seen.add(key)
                misses = 0
                yield task
            else:
                misses += 1
