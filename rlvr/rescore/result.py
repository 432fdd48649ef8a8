"""What rescoring a run found, as an object and as JSON."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import reduce
from operator import add
from typing import Any

from rlvr.rescore.advantages import Scaling
from rlvr.rescore.comparison import Change, Groups, Moved
from rlvr.rescore.disagreement import Disagreement


@dataclass(frozen=True)
class Stretch:
    """Some steps of one stage and split that follow one another; `first` and `last` are the steps' numbers."""

    stage: str
    split: str
    first: int
    last: int

    @property
    def steps(self) -> str:
        """Such as `1-20`."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Rescored:
    """What another reward would have done.

    Attributes:
        path: The run, as it was named.
        reward: What was asked for, as text; `None`: the run's own, as it is now.
        stretches: In the order of training, each with what changes in it; at most 24 of a stage and split.
        scalings: How the advantages of each stage are scaled; a stage that is not in it as GRPO's are.
        disagreements: The completions that move furthest, the furthest first, one of a group.
        problems: Files that could not be read, a line each.
    """

    path: str
    reward: str | None
    stretches: dict[Stretch, Change]
    scalings: dict[str, Scaling]
    disagreements: list[Disagreement] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def total(self) -> Change:
        """All of it together."""
        return summed(self.stretches.values())

    def by_stage(self) -> dict[tuple[str, str], Change]:
        """What changes in each stage and split, in the order of training."""
        keys = dict.fromkeys((stretch.stage, stretch.split) for stretch in self.stretches)
        return {
            key: summed(change for each, change in self.stretches.items() if (each.stage, each.split) == key)
            for key in keys
        }

    def as_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "run": self.path,
            "reward": self.reward,
            "total": change_as_json(self.total),
            "stages": [
                {
                    "stage": stage,
                    "split": split,
                    "scaling": str(self.scalings.get(stage, Scaling.GROUP)),
                    **change_as_json(change),
                    "steps": [
                        {"first": each.first, "last": each.last, **change_as_json(found)}
                        for each, found in self.stretches.items()
                        if (each.stage, each.split) == (stage, split)
                    ],
                }
                for (stage, split), change in self.by_stage().items()
            ],
            "disagreements": [_disagreement_as_json(each) for each in self.disagreements],
            "problems": self.problems,
        }


def summed(changes: Iterable[Change]) -> Change:
    return reduce(add, changes, Change())


def change_as_json(change: Change) -> dict[str, Any]:
    """A change as JSON values."""
    return {
        "completions": change.num_rows,
        "completions_with_errors": change.num_errors,
        "errors": dict(change.errors),
        "first_error": change.first_error,
        "reward": _moved_as_json(change.reward),
        "parts": {name: _moved_as_json(moved) for name, moved in change.parts.items()},
        "groups": _groups_as_json(change.groups),
    }


def _moved_as_json(moved: Moved) -> dict[str, Any]:
    counts = {name: getattr(moved, name) for name in ("num_before", "num_after", "rose", "fell", "came", "went")}
    return {"before": moved.before, "after": moved.after, "changed": moved.changed, **counts}


def _groups_as_json(groups: Groups) -> dict[str, Any]:
    sums = ("pairs", "ab", "aa", "bb")
    return {
        **{name: value for name, value in asdict(groups).items() if name not in sums},
        "changed": groups.changed,
        "zero_variance_before": groups.zero_variance_before,
        "zero_variance_after": groups.zero_variance_after,
        "similarity": groups.similarity,
    }


def _disagreement_as_json(found: Disagreement) -> dict[str, Any]:
    place, row = found.place, found.row
    return {
        **asdict(place.key),
        "sample": place.sample,
        "task_id": row and row.task_id,
        "what": place.what,
        **{f"{name}_{when}": getattr(place, f"{name}s")[number] for name in ("reward", "advantage")
           for number, when in enumerate(("before", "after"))},
        "parts_before": place.parts[0],
        "parts_after": place.parts[1],
        "group_rewards_before": list(place.siblings[0]),
        "group_rewards_after": list(place.siblings[1]),
        "errors": place.errors,
        "gold": row and row.gold,
        "completion": row and row.completion,
    }  # fmt: skip
