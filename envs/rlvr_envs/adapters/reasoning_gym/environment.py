"""A dataset of reasoning-gym as an environment."""

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import count
from typing import Any, ClassVar

from rlvr_envs.adapters.reasoning_gym import datasets
from rlvr_envs.adapters.reasoning_gym.entries import gold_answer, rows_of
from rlvr_envs.adapters.reasoning_gym.scorer import Credit, own_score
from rlvr_envs.environment import Environment, Message, Task
from rlvr_envs.seeds import canonical_json, derive_seed
from rlvr_rewards import Reward, UserError, think_format
from rlvr_rewards.pool import begin_in_processes

SYSTEM = (
    "Answer the question. Think between <think> and </think>, then give the answer alone, "
    "in the form that the question asks for, between <answer> and </answer>."
)
_CHUNK = 10
_GIVE_UP_AFTER = 200
_CHUNK_DEADLINE_S = 300.0


@dataclass(frozen=True, init=False)
class ReasoningGym(Environment):
    """One dataset; what it is stands in the docstring of the class that is made for it.

    Attributes:
        credit: What becomes of marks that are not full: given as the dataset's `own` scorer does, or only `full` ones.
        options: The dataset's options that were given, as JSON.
    """

    columns = ("question", "answer", "metadata")
    dataset: ClassVar[str] = ""

    credit: Credit
    options: str

    def __init__(self, credit: Credit | str = Credit.OWN, **options: Any) -> None:
        if credit not in list(Credit):
            raise UserError(f"{self.name}: credit={credit!r}: write {' or '.join(Credit)}")
        object.__setattr__(self, "credit", Credit(credit))
        object.__setattr__(self, "options", canonical_json(datasets.checked(self.dataset, options)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (self.dataset, self.credit, self.options)

    @cached_property
    def reward(self) -> Reward:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._own.using(credit=self.credit).named("correct") + 0.2 * think_format.named("format")

    def rows(self, split: str, seed: int) -> Iterator[Task]:
        """Distinct rows without end, or until 200 chunks of ten in a row bring none that is new.

        Raises:
            UserError: No row carries an answer that the dataset's own scorer pays in full.
        """
        self.require_split(split)
        seen: set[str] = set()
        misses, any_made = 0, False
        for chunk in count():
            made = self._made(derive_seed(seed, environment=self.name, split=split, chunk=chunk) % 2**32)
            any_made = any_made or bool(made)
            new = {self.task_id(task): task for task in made if self.split_of(task) == split}
            fresh = [task for key, task in new.items() if key not in seen]
            seen.update(new)
            yield from fresh
            misses = 0 if fresh else misses + 1
            if misses >= (_GIVE_UP_AFTER if any_made else 3):
                break
        if not any_made:
            says = "its entries carry no answer that its own scorer pays in full, so nothing shows what a right one is"
            raise UserError(f"{self.name}: {says}")

    def messages(self, task: Task) -> list[Message]:
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task["question"]}]

    def gold(self, task: Task) -> str:
        """The row's own answer, after no thought: the collection has none."""
        return f"<think></think>\n<answer>{gold_answer(task)}</answer>"

    def success(self, task: Task, completion: str) -> bool:
        """Whether the dataset's own scorer gives full marks."""
        return self._own.score(completion, **task).reward == 1.0

    def content(self, task: Task) -> Any:
        """The question: two answers to one question are one task."""
        return task["question"]

    @cached_property
    def _own(self) -> Reward:
        return own_score.using(dataset=self.dataset, options=self.options)

    def _made(self, seed: int) -> list[Task]:
        call = {"dataset": self.dataset, "options": self.options, "seed": seed, "count": _CHUNK}
        [outcome] = begin_in_processes(rows_of, [call], {}, _CHUNK_DEADLINE_S, ["reasoning_gym"])()
        if isinstance(outcome, Exception):
            raise UserError(f"{self.name}: its rows cannot be made: {outcome}") from outcome
        return [json.loads(text) for text in outcome]


@cache
def environment_class(dataset: str) -> type[ReasoningGym]:
    """The environment class of a dataset; its parameters are the dataset's options."""
    credit = inspect.Parameter("credit", inspect.Parameter.KEYWORD_ONLY, default=Credit.OWN, annotation=Credit)
    contents = {
        "__doc__": f"{datasets.about(dataset)}, a dataset of reasoning-gym, scored by its own scorer.",
        "__module__": __name__,
        "__signature__": inspect.Signature([credit, *datasets.options(dataset).values()]),
        "name": f"reasoning_gym/{dataset}",
        "dataset": dataset,
    }
    return type(f"ReasoningGym_{dataset}", (ReasoningGym,), contents)


def _remade(dataset: str, credit: Credit, options: str) -> ReasoningGym:
    return environment_class(dataset)(credit=credit, **json.loads(options))
