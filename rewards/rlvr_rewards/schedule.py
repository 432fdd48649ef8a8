"""Weights that change while training goes on: `linear(0.0, 1.0, steps=200) * think_format`.

The weight is of the optimizer step under way, from 0, which training hands to rewards as `trainer_state.global_step`
(TRL's own, and ours). Each training stage counts from 0. Outside of training, in an evaluation, an audit or a test, the
weight is that of the end; `.max` is what gold earns there, and `reward.at(step).max` what it earns at a step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlvr_rewards.algebra import Composite, Reward, Weighted
from rlvr_rewards.errors import UserError
from rlvr_rewards.row import Row
from rlvr_rewards.scorable import Bounds


@dataclass(frozen=True)
class Schedule(ABC):
    """A weight by step; multiplied with a reward it is that reward's weight."""

    @abstractmethod
    def at(self, step: int) -> float:
        """The weight at a step, from 0."""

    @property
    @abstractmethod
    def end(self) -> float:
        """The weight from some step on."""

    def __mul__(self, reward: Reward) -> Reward:
        return Scheduled(self, reward) if isinstance(reward, Reward) else NotImplemented

    __rmul__ = __mul__


@dataclass(frozen=True)
class Ramp(Schedule):
    """From one weight to another over a number of steps, from step `after` on; constant before and after."""

    first: float
    last: float
    steps: int
    after: int
    is_cosine: bool

    def at(self, step: int) -> float:
        share = min(1.0, max(0, step - self.after) / self.steps)
        if self.is_cosine:
            share = (1 - math.cos(math.pi * share)) / 2
        return (1 - share) * self.first + share * self.last

    @property
    def end(self) -> float:
        return self.last


@dataclass(frozen=True)
class Stairs(Schedule):
    """A weight from each of some steps on."""

    weights: tuple[tuple[int, float], ...]

    def at(self, step: int) -> float:
        return next(weight for first, weight in reversed(self.weights) if first <= max(0, step))

    @property
    def end(self) -> float:
        return self.weights[-1][1]


def linear(first: float, last: float, *, steps: int, after: int = 0) -> Schedule:
    """From `first` to `last` in a straight line over `steps` optimizer steps, beginning at step `after`.

    >>> from rlvr_rewards import exact_number, think_format
    >>> total = exact_number + linear(1.0, 0.0, steps=200) * think_format
    >>> [total.at(step).max for step in (0, 50, 200, 1000)]
    [2.0, 1.75, 1.0, 1.0]
    >>> total.max  # outside of training: what it comes to
    1.0

    Raises:
        UserError: A weight is not finite, or a number of steps makes no sense.
    """
    return _ramp(first, last, steps, after, is_cosine=False)


def cosine(first: float, last: float, *, steps: int, after: int = 0) -> Schedule:
    """From `first` to `last` along half a cosine, slow at both ends; else as `linear`.

    >>> [round(cosine(1.0, 0.0, steps=100).at(step), 3) for step in (0, 25, 50, 100)]
    [1.0, 0.854, 0.5, 0.0]
    """
    return _ramp(first, last, steps, after, is_cosine=True)


def stairs(weights: Mapping[int, float]) -> Schedule:
    """The weight of each step on: `stairs({0: 0.0, 100: 0.5, 300: 1.0})`.

    >>> [stairs({0: 0.0, 100: 0.5, 300: 1.0}).at(step) for step in (0, 99, 100, 500)]
    [0.0, 0.0, 0.5, 1.0]

    Raises:
        UserError: It does not begin at step 0, or holds no finite weights by whole steps.
    """
    if not isinstance(weights, Mapping) or not all(_is_whole(step, 0) for step in weights) or 0 not in weights:
        raise UserError(
            f"stairs({weights!r}): write weights by the step they begin at, from 0: stairs({{0: 0.0, 100: 1.0}})"
        )
    return Stairs(tuple((step, _finite(weights[step])) for step in sorted(weights)))


class Scheduled(Composite):
    """`schedule * child`."""

    def __init__(self, schedule: Schedule, child: Reward) -> None:
        super().__init__(child)
        self.schedule, self.child = schedule, child

    @property
    def bounds(self) -> Bounds:
        return Weighted(self.schedule.end, self.child).bounds

    def at(self, step: int) -> Reward:
        weighted = Weighted(self.schedule.at(step), self.child.at(step))
        weighted.error_policy = self.error_policy
        return weighted

    def value(self, row: Row) -> float | None:
        value = self.child.value(row)
        return None if value is None else self._weight(row) * value

    def _weight(self, row: Row) -> float:
        step = step_of(row.values)
        return self.schedule.end if step is None else self.schedule.at(step)


def step_of(shared: Mapping[str, Any]) -> int | None:
    """The optimizer step that is under way, where rewards are told of it."""
    return getattr(shared.get("trainer_state"), "global_step", None)


def _ramp(first: float, last: float, steps: int, after: int, is_cosine: bool) -> Ramp:
    if not _is_whole(steps, 1) or not _is_whole(after, 0):
        raise UserError(f"a schedule over steps={steps!r}, after={after!r}: give whole numbers of optimizer steps")
    return Ramp(_finite(first), _finite(last), steps, after, is_cosine)


def _is_whole(number: Any, least: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= least


def _finite(weight: Any) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
        raise UserError(f"a weight of {weight!r} in a schedule: give a finite number")
    return float(weight)
