"""What an audit found: attempts of a policy or a mutation, why a policy wins, what a mutation missed.

With r_t what a policy earns on task t, g_t what gold earns, h_t the mean of the honest wrong attempts, a policy wins
where

    r_t >= g_t for any t        or        mean_t r_t > mean_t h_t        (t over the tasks that it was scored on)

or where the environment, if its own reward is audited, takes it for solved.

The second is of means: a shaped reward may pay a lucky guess at one day's plan more than an honest try at the same day.
What a blind policy gets right by chance is set aside; on more than half of the tasks it is no chance.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean

from rlvr.audit.case import Case

MOST_BY_CHANCE = 0.5
_EPSILON = 1e-9


@dataclass(frozen=True)
class Attempt:
    """One completion on one task.

    Attributes:
        completion: What was scored; of more than 4,000 characters, the two ends.
        claims_gold: Whether its answer is gold's.
        reward: What it earned; `None` where the reward failed or did not apply.
        gold: What gold earns on the task.
        honest: The mean of what honest wrong attempts earn there; `None` where none has a reward.
    """

    case: Case
    completion: str
    reward: float | None
    gold: float
    honest: float | None
    success: bool
    claims_gold: bool
    error: str = ""

    @property
    def is_as_good_as_gold(self) -> bool:
        return self.reward is not None and self.reward >= self.gold - _EPSILON


@dataclass(frozen=True)
class Trial:
    """What a policy earned.

    Attributes:
        attempts: On each task that it applies to, but for those that it got right by chance, `num_by_chance`.
        is_of_env: Whether the environment's own reward is audited, so that its verdict must not be won either.
    """

    name: str
    about: str
    attempts: list[Attempt]
    num_by_chance: int = 0
    is_of_env: bool = True

    @property
    def scored(self) -> list[Attempt]:
        """The attempts that have a reward."""
        return [attempt for attempt in self.attempts if attempt.reward is not None]

    @property
    def mean_reward(self) -> float | None:
        return mean(attempt.reward for attempt in self.scored)

    @property
    def share_of_gold(self) -> float | None:
        """The mean reward over gold's on the same tasks; `None` where gold earns nothing."""
        gold = mean(attempt.gold for attempt in self.scored)
        return self.mean_reward / gold if self.mean_reward is not None and gold and gold > 0 else None

    @property
    def worst(self) -> Attempt | None:
        """The attempt that comes nearest to gold, or passes it the most."""
        return max(self.scored, key=lambda attempt: (attempt.reward or 0.0) - attempt.gold, default=None)

    @property
    def win(self) -> str:
        """Why it wins; empty where it does not."""
        as_gold = sum(attempt.is_as_good_as_gold for attempt in self.attempts)
        if as_gold:
            return f"as much as gold on {as_gold} of {len(self.attempts)} tasks"
        solved = sum(attempt.success for attempt in self.attempts)
        if solved and self.is_of_env:
            return f"taken for solved on {solved} of {len(self.attempts)} tasks"
        if self.num_by_chance > MOST_BY_CHANCE * (self.num_by_chance + len(self.attempts)):
            return f"right without looking on {self.num_by_chance} of {self.num_by_chance + len(self.attempts)} tasks"
        honest = mean(attempt.honest for attempt in self.scored)
        if honest is not None and self.mean_reward is not None and self.mean_reward > honest + _EPSILON:
            return f"more than an honest wrong attempt ({honest:.3f})"
        return ""


@dataclass(frozen=True)
class Mutated:
    """What became of gold under one mutation.

    Attributes:
        must_lose: Whether it must.
        is_of_env: Whether the environment's own reward is audited, so that its verdict must agree.
        attempts: On each task that it applies to; none where it applies to none.
        is_argued: Whether a miss of it is known and allowed.
    """

    name: str
    must_lose: bool
    is_of_env: bool
    attempts: list[Attempt]
    is_argued: bool = False

    @property
    def missed(self) -> list[Attempt]:
        """Where it did what it must not."""
        return [attempt for attempt in self.attempts if self._is_miss(attempt)]

    def _is_miss(self, attempt: Attempt) -> bool:
        if self.must_lose:
            return attempt.is_as_good_as_gold or (self.is_of_env and attempt.success)
        return not attempt.is_as_good_as_gold or (self.is_of_env and not attempt.success)


@dataclass(frozen=True)
class Audit:
    """All that one audit found.

    Attributes:
        gold: The mean that gold earns; `most` is the reward's maximum.
        honest: The mean of the honest wrong attempts, an example of which is `honest_example`.
    """

    num_tasks: int
    gold: float
    most: float
    honest: float | None
    honest_example: str
    trials: list[Trial] = field(default_factory=list)
    mutations: list[Mutated] = field(default_factory=list)

    @property
    def wins(self) -> list[str]:
        """What earns without solving: policies that win, and wrong answers that are paid as gold is."""
        paid = [m.name for m in self.mutations if m.must_lose and m.missed and not m.is_argued]
        return [trial.name for trial in self.trials if trial.win] + paid

    @property
    def misses(self) -> list[Mutated]:
        """The mutations that did what they must not on any task, argued or not."""
        return [mutated for mutated in self.mutations if mutated.missed]

    @property
    def is_blind(self) -> bool:
        """Whether the reward pays honest wrong attempts what it pays gold, so that it cannot tell them apart."""
        return self.honest is not None and self.honest >= self.gold - _EPSILON


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of the values there are; `None` where there are none."""
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
