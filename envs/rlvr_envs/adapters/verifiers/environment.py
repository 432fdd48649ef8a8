"""A taskset of verifiers as an environment of ours."""

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import islice
from typing import Any, ClassVar

from rlvr_envs.adapters.verifiers import tasks
from rlvr_envs.environment import Environment, Message, Task
from rlvr_envs.seeds import canonical_json, derive_random
from rlvr_rewards import Reward, UserError, reward

_FORMS = (
    "{}",
    "<answer>{}</answer>",
    "\\boxed{{{}}}",
    "<think></think>\n<answer>{}</answer>",
    "<think></think>\n\\boxed{{{}}}",
)
_MOST_TASKS = 100_000
_DEADLINE_S = 60.0


@dataclass(frozen=True, init=False)
class Verifiers(Environment):
    """One taskset; a row is the data of one of its tasks.

    verifiers names no gold. What is taken for it is a field of the data, plain or in a usual form, that the task's own
    rewards pay in full; a task where none does is left out.

    Attributes:
        options: The taskset's options that were given, as JSON.
    """

    columns = ("data",)
    taskset_id: ClassVar[str] = ""

    options: str

    def __init__(self, **options: Any) -> None:
        object.__setattr__(self, "options", canonical_json(options))
        self._taskset  # noqa: B018  # refuses what it cannot be

    @cached_property
    def reward(self) -> Reward:  # pyright: ignore[reportIncompatibleVariableOverride]
        given = tasks.weights(self._taskset)
        if not given:
            raise UserError(f"{self.name}: its tasks have no reward")
        parts = [weight * self._part(name) for name, weight in given.items()]
        return sum(parts[1:], parts[0])

    def rows(self, split: str, seed: int) -> Iterator[Task]:
        """The tasks whose content is of the split, in an order that the seed decides; of more than 100,000 the first.

        Raises:
            UserError: No field of any task is an answer that its rewards pay in full.
        """
        self.require_split(split)
        table = [task for task in self._table if self.split_of(task) == split]
        derive_random(seed, environment=self.name, split=split).shuffle(table)
        any_gold = False
        for task in table:
            if self._gold(task) is not None:
                any_gold = True
                yield json.loads(json.dumps(task))
        if table and not any_gold:
            raise UserError(f"{self.name}: no field of its tasks is an answer that its rewards pay in full: no gold")

    def messages(self, task: Task) -> list[Message]:
        data = task["data"]
        system, prompt = data.get("system_prompt"), data.get("prompt") or ""
        asked = (
            [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [_as_text(each) for each in prompt]
        )
        return [{"role": "system", "content": system}, *asked] if system else asked

    def gold(self, task: Task) -> str:
        """A field of the data, in the form that the rewards pay in full.

        Raises:
            UserError: There is none.
        """
        found = self._gold(task)
        if found is None:
            raise UserError(f"{self.name}: no field of this task is an answer that its rewards pay in full")
        return found

    def success(self, task: Task, completion: str) -> bool:
        """Whether every reward gives the most it can."""
        earned = self.score(task, completion).reward
        return earned is not None and earned >= self.reward.max - 1e-9

    @cached_property
    def _taskset(self) -> Any:
        return tasks.load(self.taskset_id, json.loads(self.options))

    @cached_property
    def _table(self) -> list[Task]:
        found = {canonical_json(data): {"data": data} for data in islice(tasks.data_of(self._taskset), _MOST_TASKS)}
        return list(found.values())

    def _part(self, name: str) -> Reward:
        return reward(runs="thread", deadline_s=_DEADLINE_S)(partial(self._mark, name)).named(name)

    def _mark(self, name: str, /, completion: str, data: Mapping[str, Any]) -> float | None:
        given = tasks.marks(self._taskset, data, completion)
        if name not in given:
            raise ValueError(
                f"it gave {', '.join(given) or 'nothing'}: rewards that name their own parts are not known here"
            )
        return given[name]

    def _gold(self, task: Task) -> str | None:
        fields = [value for name, value in task["data"].items() if name not in ("prompt", "system_prompt")]
        said = [str(value) for value in fields if isinstance(value, str | int | float)]
        tried = (form.format(text) for text in said for form in _FORMS)
        return next((text for text in tried if self.success(task, text)), None)


@cache
def environment_class(taskset_id: str) -> type[Verifiers]:
    """The environment class of a taskset; its parameters are the taskset's options."""
    contents = {
        "__doc__": f"The taskset {taskset_id} of verifiers, scored by its own rewards.",
        "__module__": __name__,
        "__signature__": inspect.Signature(list(tasks.options(taskset_id).values())),
        "name": f"verifiers/{taskset_id}",
        "taskset_id": taskset_id,
    }
    return type(f"Verifiers_{taskset_id}", (Verifiers,), contents)


def _as_text(message: Mapping[str, Any]) -> Message:
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = "".join(piece.get("text", "") for piece in content)
    return {"role": str(message["role"]), "content": content}
