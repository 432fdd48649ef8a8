"""What a change of reward does to completions and groups, as counts and sums that add up over a run.

Of a step's groups those count that took part in its update; groups in whose place others were sampled are counted
apart. A group is compared where it has two rewards or more, before or after.
"""

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from rlvr.rescore.advantages import Scaling, advantages, any_of, reordered, varies
from rlvr.rescore.scoring import Earned, Scored
from rlvr.traces.columns import Floats

_SAME = 1e-9
_SAME_ADVANTAGE = 1e-3
"""Advantages are recorded in float32, and of groups with little variance the rounding of rewards is magnified."""


@dataclass(frozen=True)
class Moved:
    """How one value, the reward or a part, moved over some completions.

    Attributes:
        num_before, sum_before: The completions that had a value, and their sum; `num_after`, `sum_after` likewise.
        rose, fell: Completions with both, of which the second is higher, or lower.
        came, went: Completions that have a value only now, or had one only before.
    """

    num_before: int = 0
    sum_before: float = 0.0
    num_after: int = 0
    sum_after: float = 0.0
    rose: int = 0
    fell: int = 0
    came: int = 0
    went: int = 0

    @property
    def changed(self) -> int:
        """Completions in which it is not what it was."""
        return self.rose + self.fell + self.came + self.went

    @property
    def before(self) -> float | None:
        """The mean of what is recorded."""
        return self.sum_before / self.num_before if self.num_before else None

    @property
    def after(self) -> float | None:
        return self.sum_after / self.num_after if self.num_after else None

    def __add__(self, other: "Moved") -> "Moved":
        return _added(self, other)

    @classmethod
    def of(cls, before_B: Floats, after_B: Floats) -> "Moved":
        had_B, has_B = ~np.isnan(before_B), ~np.isnan(after_B)
        with np.errstate(invalid="ignore"):
            difference_B = after_B - before_B
            return cls(
                int(had_B.sum()), float(before_B[had_B].sum()), int(has_B.sum()), float(after_B[has_B].sum()),
                rose=int((difference_B > _SAME).sum()), fell=int((difference_B < -_SAME).sum()),
                came=int((has_B & ~had_B).sum()), went=int((had_B & ~has_B).sum()),
            )  # fmt: skip


@dataclass(frozen=True)
class Groups:
    """What becomes of the groups that took part in updates.

    Attributes:
        compared: Groups with two rewards or more, before or after.
        several_before, flat_before: Groups with two rewards or more as recorded, and those of them whose rewards were
            all equal; `several_after`, `flat_after` likewise.
        silenced: That taught, and would teach nothing; `woken`: the reverse.
        sign: In which the sign of some advantage changes, among those that teach before and after.
        flipped: Of these, in which one that was pushed up would be pushed down, or the reverse.
        order: In which the order of the completions changes, ties made and broken included, among the same.
        swapped: Of these, in which two completions swap places.
        sign_or_order: In which either changes.
        replaced: Groups without variance that gave way to others; `replaced_teach`: that would have taught.
        num_flipped: Completions pushed up that would be pushed down, or the reverse.
        checked, off: Completions with a recorded advantage, and those to which the recorded rewards give another.
        pairs, ab, aa, bb: Completions that have both rewards in groups that teach before or after, and the sums of the
            products of their advantages before (a) and after (b).
    """

    compared: int = 0
    several_before: int = 0
    flat_before: int = 0
    several_after: int = 0
    flat_after: int = 0
    silenced: int = 0
    woken: int = 0
    sign: int = 0
    flipped: int = 0
    order: int = 0
    swapped: int = 0
    sign_or_order: int = 0
    replaced: int = 0
    replaced_teach: int = 0
    num_flipped: int = 0
    checked: int = 0
    off: int = 0
    pairs: int = 0
    ab: float = 0.0
    aa: float = 0.0
    bb: float = 0.0

    @property
    def zero_variance_before(self) -> float | None:
        """The share of groups without variance as recorded."""
        return self.flat_before / self.several_before if self.several_before else None

    @property
    def zero_variance_after(self) -> float | None:
        return self.flat_after / self.several_after if self.several_after else None

    @property
    def changed(self) -> int:
        """Groups whose update would push otherwise: another sign or order, silenced or woken."""
        return self.sign_or_order + self.silenced + self.woken

    @property
    def similarity(self) -> float | None:
        """The cosine of all advantages before and after: 1 where both push alike, -1 where they push against."""
        norm = (self.aa * self.bb) ** 0.5
        return self.ab / norm if norm > 0 else None

    def __add__(self, other: "Groups") -> "Groups":
        return _added(self, other)


@dataclass(frozen=True)
class Change:
    """All that adds up over completions.

    Attributes:
        num_rows: How many there are.
        num_errors: In how many the other reward failed; `errors` says how often each part did.
        first_error: The first one met, with its part; empty where there is none.
    """

    num_rows: int = 0
    num_errors: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    first_error: str = ""
    reward: Moved = Moved()
    parts: dict[str, Moved] = field(default_factory=dict)
    groups: Groups = Groups()

    def __add__(self, other: "Change") -> "Change":
        names = dict.fromkeys([*self.parts, *other.parts])
        return Change(
            num_rows=self.num_rows + other.num_rows,
            num_errors=self.num_errors + other.num_errors,
            errors=self.errors + other.errors,
            first_error=self.first_error or other.first_error,
            reward=self.reward + other.reward,
            parts={name: self.parts.get(name, Moved()) + other.parts.get(name, Moved()) for name in names},
            groups=self.groups + other.groups,
        )


@dataclass(frozen=True)
class Compared:
    """A chunk, compared.

    Attributes:
        scored: Its completions.
        old_B, new_B: Their advantages under both rewards.
        sign_B, order_B: Whether the sign of an advantage, or the order, changes in the group of each.
        teaches_B: Whether its group teaches before, after.
        counts_B: Whether its group took part in an update.
        change: What it adds up to.
    """

    scored: Scored
    old_B: Floats
    new_B: Floats
    sign_B: np.ndarray
    order_B: np.ndarray
    teaches_B: tuple[np.ndarray, np.ndarray]
    counts_B: np.ndarray
    change: Change


def compare(scored: Scored, scaling: Scaling) -> Compared:
    """What the other reward does to a chunk."""
    groups_B, count = scored.groups_B, scored.num_groups
    sides = (scored.before, scored.after)
    old_B, new_B = (_advantages(scored, side.earned, scaling) for side in sides)
    several, teach = zip(*(varies(side.earned, groups_B, count) for side in sides), strict=True)
    lacks_B = [np.where(np.isnan(side.rewards_B), np.nan, 0.0) for side in sides]
    part = any_of(~scored.replaced_B, groups_B, count)
    both = teach[0] & teach[1] & part
    sign = both & any_of(np.sign(old_B) != np.sign(new_B), groups_B, count)
    flips_B = np.sign(old_B) * np.sign(new_B) < 0
    moved = reordered(old_B + lacks_B[0], new_B + lacks_B[1], groups_B, count)
    order, swapped = both & moved[0], both & moved[1]
    recorded_B = ~np.isnan(scored.recorded_B)
    pairs_B = (part & (teach[0] | teach[1]))[groups_B] & ~np.isnan(lacks_B[0] + lacks_B[1])
    a, b = old_B[pairs_B], new_B[pairs_B]
    groups = Groups(
        compared=int((part & (several[0] | several[1])).sum()),
        several_before=int((part & several[0]).sum()),
        flat_before=int((part & several[0] & ~teach[0]).sum()),
        several_after=int((part & several[1]).sum()),
        flat_after=int((part & several[1] & ~teach[1]).sum()),
        silenced=int((part & teach[0] & ~teach[1]).sum()),
        woken=int((part & teach[1] & ~teach[0]).sum()),
        sign=int(sign.sum()),
        flipped=int((both & any_of(flips_B, groups_B, count)).sum()),
        order=int(order.sum()),
        swapped=int(swapped.sum()),
        sign_or_order=int((sign | order).sum()),
        replaced=int((~part).sum()),
        replaced_teach=int((~part & teach[1]).sum()),
        num_flipped=int((flips_B & both[groups_B]).sum()),
        checked=int(recorded_B.sum()),
        off=int((np.abs(scored.recorded_B - old_B)[recorded_B] > _SAME_ADVANTAGE).sum()),
        pairs=int(pairs_B.sum()),
        ab=float(a @ b),
        aa=float(a @ a),
        bb=float(b @ b),
    )
    return Compared(
        scored, old_B, new_B, sign[groups_B], order[groups_B], (teach[0][groups_B], teach[1][groups_B]),
        part[groups_B], replace(_of_completions(scored), groups=groups),
    )  # fmt: skip


def _advantages(scored: Scored, earned: Earned, scaling: Scaling) -> Floats:
    """Those of groups that gave way are 0 where the scaling is of a step: it never saw them."""
    if not scaling.needs_step:
        return advantages(earned, scored.groups_B, scored.num_groups, scaling)
    counts_B, found_B = ~scored.replaced_B, np.zeros(len(scored.groups_B))
    seen = Earned(tuple(values_B[counts_B] for values_B in earned.columns), earned.weights)
    found_B[counts_B] = advantages(seen, scored.groups_B[counts_B], scored.num_groups, scaling)
    return found_B


def _of_completions(scored: Scored) -> Change:
    before, after = scored.before, scored.after
    nothing_B = np.full(len(before.rewards_B), np.nan)
    names = dict.fromkeys([*before.parts, *after.parts])
    failed = [score.errors for score in scored.scores if score.errors]
    return Change(
        num_rows=len(before.rewards_B),
        num_errors=len(failed),
        errors=Counter(name for errors in failed for name in errors),
        first_error=next((": ".join(item) for errors in failed for item in errors.items()), ""),
        reward=Moved.of(before.rewards_B, after.rewards_B),
        parts={name: Moved.of(before.parts.get(name, nothing_B), after.parts.get(name, nothing_B)) for name in names},
    )


def _added(one: Any, other: Any) -> Any:
    return type(one)(*(getattr(one, each.name) + getattr(other, each.name) for each in fields(one)))
