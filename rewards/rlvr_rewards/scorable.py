"""What can be scored, and how: one completion, a batch, or a call from TRL.

`Reward` in `rlvr_rewards.algebra` adds the ways to compose; this is the half that does not know of them.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from rlvr_rewards.errors import UserError, unknown_name
from rlvr_rewards.row import Completion, Row
from rlvr_rewards.score import OnError, Score

Bounds = tuple[float, float]


class Scorable(ABC):
    """A node of a reward: a function, or a composition of nodes.

    Attributes:
        name: What its value is called among the parts; `None` for a composition that was not `.named(...)`.
        bounds: The least and the most it can give where it applies.
        optional: Whether it may give `None`, that is, not apply.
        error_policy: What becomes of a completion with errors, where this node is the root.
    """

    name: str | None = None
    error_policy: OnError = OnError.DROP_COMPLETION

    @property
    @abstractmethod
    def bounds(self) -> Bounds: ...

    @property
    @abstractmethod
    def children(self) -> tuple[Scorable, ...]: ...

    @property
    def optional(self) -> bool:
        return any(child.optional for child in self.children)

    @abstractmethod
    def value(self, row: Row) -> float | None:
        """The value for one row; writes its named parts and errors into the row's ledger."""

    @property
    def max(self) -> float:
        """The most it can give. An environment's gold completion earns exactly this."""
        return self.bounds[1]

    @property
    def __name__(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # TRL labels its metrics with it
        return self.name or "reward"

    def score(self, completion: Completion, /, **columns: Any) -> Score:
        """Scores one completion against one task row, given as keyword arguments.

        >>> from rlvr_rewards import exact_number
        >>> exact_number.score("<answer>7</answer>", answer="7").parts
        {'exact_number': 1.0}
        """
        return self.score_batch([completion], {name: [value] for name, value in columns.items()})[0]

    def score_batch(
        self,
        completions: Sequence[Completion],
        columns: Mapping[str, Sequence[Any]],
        shared: Mapping[str, Any] | None = None,
        groups: Sequence[Any] | None = None,
    ) -> list[Score]:
        """Scores `N` completions; each column holds `N` values, `shared` holds what is the same for all.

        A row that lacks a column has `rlvr_rewards.row.ABSENT` in it.

        `groups` names the group of each completion (hashable) and is needed for `OnError.DROP_GROUP` alone; without it,
        completions next to each other with an equal `prompt` column are a group.

        Raises:
            UserError: A column holds another number of values, or a completion is neither text nor messages.
        """
        from rlvr_rewards.batch import apply_policy, groups_of, make_rows

        rows = make_rows(self, completions, columns, shared or {})
        totals = [self.value(row) for row in rows]
        if groups is None and self.error_policy is OnError.DROP_GROUP:
            groups = groups_of(columns.get("prompt"), len(rows))
        return apply_policy(self.error_policy, rows, totals, groups or ())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Scores one completion (`reward(text, answer="7")`), or a batch where TRL calls it with `completions=`."""
        if "completions" in kwargs:
            from rlvr_rewards.batch import score_for_trl

            return score_for_trl(self, **kwargs)
        return self.score(*args, **kwargs).reward

    def on_error(self, policy: str | OnError) -> Self:
        """The same reward with another policy for errors: `drop_completion`, `drop_group` or `zero`.

        Weights, clips, conditions and names keep it. Sums and gates refuse a term that has one, since the policy holds
        for a whole completion: set it on the whole.

        Raises:
            UserError: There is no such policy.
        """
        if policy not in list(OnError):
            raise unknown_name("error policy", str(policy), OnError)
        changed = copy.copy(self)
        changed.error_policy = OnError(policy)
        return changed

    def using(self, **settings: Any) -> Self:
        """The same reward with other settings; only a function has any.

        Raises:
            UserError: It is a composition.
        """
        raise UserError(f"{self.__name__} is a composition: set {', '.join(settings)} on the reward function inside it")

    def at(self, step: int) -> Self:
        """The same reward as at an optimizer step of training, from 0: its schedules are weights, those of then."""
        changed = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Scorable):
                vars(changed)[name] = value.at(step)
            elif isinstance(value, tuple):
                vars(changed)[name] = tuple(each.at(step) if isinstance(each, Scorable) else each for each in value)
        return changed

    def wants(self, child: Scorable, row: Row) -> bool:
        """Whether it will ask this child for its value for this row, as far as that is cheap to know."""
        return True

    @property
    def has_ahead(self) -> bool:
        """Whether it, or a node below it, is computed for a whole batch before rows are walked."""
        return any(getattr(node, "is_ahead", False) for node in self.walk())

    def walk(self) -> Iterator[Scorable]:
        """This node and every node below it."""
        yield self
        for child in self.children:
            yield from child.walk()

    def part_names(self) -> list[str]:
        """The names of its parts, outermost first."""
        return list(dict.fromkeys(node.name for node in self.walk() if node.name))
