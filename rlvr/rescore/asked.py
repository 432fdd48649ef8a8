"""What a reward asks for by name, and which columns of a trace hold it.

What a trace row does not hold (TRL's own logging functions, its environments) is refused before anything is scored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr_rewards import Reward, UserError
from rlvr_rewards.functions import BatchReward
from rlvr_rewards.injection import FROM_TRL, Injected

_ALWAYS = (
    *("env", "group", "sample", "attempt", "task", "gold", "completion", "turns"),
    *("parts", "errors", "reward", "advantage", "kept"),
)
_FROM_TRACE = {"prompt": "messages", "prompts": "messages", "completion_ids": "token_ids", "num_tokens": "token_ids"}
"""What a reward may ask for beside the task's columns, and the column of a trace that holds it."""
_OF_TRAINING = frozenset(FROM_TRL) - {"completion_ids", "trainer_state"}
_OURS = frozenset((*_FROM_TRACE, *FROM_TRL, "completion", "completions", "turns", "task"))


@dataclass(frozen=True)
class Asked:
    """What the functions of a reward ask for by name.

    Attributes:
        required: Without which one fails, with the part that does.
        names: All names, also those that may be absent.
        takes_all: Whether one takes whatever there is.
        is_batch: Whether one has TRL's batch signature, so that it is given completions as messages.
    """

    required: Mapping[str, str]
    names: frozenset[str]
    takes_all: bool
    is_batch: bool

    @classmethod
    def by(cls, reward: Reward) -> "Asked":
        """What a reward asks for.

        Raises:
            UserError: It asks for what only a trainer has.
        """
        injected = [
            (str(node.name or "reward"), found)
            for node in reward.walk()
            for found in vars(node).values()
            if isinstance(found, Injected)
        ]
        required = {name: part for part, found in injected for name in found.required}
        for name in sorted(_OF_TRAINING & required.keys()):
            raise UserError(f"the reward {required[name]!r} asks for {name}, which training has and traces do not")
        return cls(
            required=required,
            names=frozenset(name for _, found in injected for name in (*found.required, *found.optional)),
            takes_all=any(found.takes_all for _, found in injected),
            is_batch=any(isinstance(node, BatchReward) for node in reward.walk()),
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a trace that it needs."""
        more = {column for name, column in _FROM_TRACE.items() if self.takes_all or name in self.names}
        return (*_ALWAYS, *sorted(more))

    def refuse_missing(self, tasks: Sequence[Mapping[str, Any]], of: str) -> None:
        """Raises: UserError: No task has a column without which a part fails."""
        has = {name for task in tasks for name in task}
        for name, part in self.required.items():
            if name not in has and name not in _OURS:
                columns = ", ".join(sorted(has)) or "none"
                raise UserError(
                    f"the reward {part!r} needs the column {name!r}, which no task of {of} has: they have {columns}; "
                    "--stage and --split choose others"
                )
