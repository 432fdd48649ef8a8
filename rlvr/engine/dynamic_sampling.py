"""Dynamic sampling (DAPO, Yu et al. 2025, arXiv 2503.14476, section 3.2): what teaches nothing gives way.

A group whose completions all earned the same has no advantage, and teaches nothing. Fresh tasks are sampled in its
place, until none is left without variance or the budget of a step is used up.

Departures from the paper:
1. The step keeps its number of groups: the places are refilled, where the paper samples whole batches until enough
   groups are found and drops what is over.
2. The budget bounds it: what is still without variance then stays in its place.
3. Any reward, not only 0 and 1: what counts is whether the rewards differ.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from rlvr.engine.examples import Example
from rlvr.engine.new_rollout import new_rollout
from rlvr.engine.rollout import Rollout


class FreshTasks:
    """Tasks beyond those of the dataset: each step has its own, so that a resumed run meets the same without a state.

    Args:
        stream: Begins to go through a step's tasks; where they end, it is asked again.
        per_step: Of a step, over all processes.
        share: Which part of them is this process's: its number, and of how many.
    """

    def __init__(
        self, stream: Callable[[int], Iterator[Example]], per_step: int, share: tuple[int, int] = (0, 1)
    ) -> None:
        process, num_processes = share
        self._stream, self._share = stream, per_step // num_processes
        self._first = process * self._share

    def of_step(self, step: int) -> Iterator[Example]:
        """Those of a step, made as they are asked for; none where its stream has none."""
        return islice(self._again_and_again(step), self._first, self._first + self._share)

    def _again_and_again(self, step: int) -> Iterator[Example]:
        while (first := next(stream := self._stream(step), None)) is not None:
            yield first
            yield from stream


@dataclass
class Refilled:
    """A step's groups after dynamic sampling.

    Attributes:
        inputs: The dataset's row of each completion.
        rollout: The completions, sampled and scored.
        replaced: Those that gave way, in the order in which they did.
    """

    inputs: list[Example]
    rollout: Rollout
    replaced: list[Rollout] = field(default_factory=list)

    @property
    def num_extra(self) -> int:
        """Groups sampled beyond the step's own."""
        return sum(len(set(rollout.groups)) for rollout in self.replaced)

    @property
    def share_replaced(self) -> float:
        """Of the step's groups, those that another stands in place of."""
        replaced = {group for rollout in self.replaced for group in rollout.groups}
        return len(replaced) / len(set(self.rollout.groups))


def refill(
    inputs: Sequence[Example],
    rollout: Rollout,
    fresh: Iterator[Example],
    sample_and_score: Callable[[Rollout, Sequence[Example]], None],
) -> Refilled:
    """Replaces groups without variance while there are any, and fresh tasks.

    Args:
        inputs: The dataset's row of each completion.
        rollout: The step's groups, sampled and scored.
        fresh: Tasks to sample in their place; their number is the budget.
        sample_and_score: Does so with a rollout and the rows it was made of.
    """
    found, attempt = Refilled(list(inputs), rollout), 0
    while places := sorted(found.rollout.without_variance()):
        examples = dict(zip(places, islice(fresh, len(places)), strict=False))
        if not examples:
            break
        attempt += 1
        rows = [row for row, group in enumerate(found.rollout.groups) if group in examples]
        groups = [found.rollout.groups[row] for row in rows]
        for row, group in zip(rows, groups, strict=True):
            found.inputs[row] = examples[group]
        others = [found.inputs[row] for row in rows]
        other = new_rollout(others, groups, rollout.origin, rollout.step, attempt)
        sample_and_score(other, others)
        found.replaced.append(found.rollout.of_groups(set(examples)))
        found.rollout = found.rollout.replacing(other)
    return found
