"""The completions about which two rewards disagree the most: of each group the one whose advantage moves furthest.

Of those whose own reward changes, that is; where advantages say nothing (a group of one) the rewards decide. Places are
kept while a run is read, and their texts are read at the end, so that memory does not grow with it.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rlvr.rescore.comparison import Compared
from rlvr.traces.columns import Floats, number
from rlvr.traces.reading import UNREADABLE, read_rows
from rlvr.traces.rows import GroupKey, Row, row_of
from rlvr.traces.shards import Shard
from rlvr.traces.summary import row_dicts

_LEAST = 1e-6


@dataclass(frozen=True)
class Place:
    """Where a completion stands, and what is said of it.

    Attributes:
        size: How far its advantage moves, then how far its reward does.
        key: Its group; `sample` is its number in it.
        shard, row: Where to read it.
        rewards: As recorded, and by the other reward; `advantages` and `parts` likewise. `None`: no value.
        siblings: The rewards of its group in both, in the order of samples.
        teaches: Whether its group teaches, before and after.
        sign, order: Whether they change in its group.
    """

    size: tuple[float, float]
    key: GroupKey
    sample: int
    shard: Shard
    row: int
    rewards: tuple[float | None, float | None]
    advantages: tuple[float, float]
    parts: tuple[dict[str, float | None], dict[str, float | None]]
    siblings: tuple[tuple[float | None, ...], tuple[float | None, ...]]
    teaches: tuple[bool, bool]
    sign: bool
    order: bool
    errors: dict[str, str]

    @property
    def what(self) -> str:
        """What happens in its group, in a word or two."""
        if self.teaches != (True, True):
            words = {(True, False): "silenced", (False, True): "woken", (False, False): "no advantage"}
            return words[self.teaches]
        changes = [name for name, is_so in (("sign", self.sign), ("order", self.order)) if is_so]
        return " and ".join(changes) or "size"


@dataclass(frozen=True)
class Disagreement:
    """A place with the row that stands there; `None` where it could not be read any more."""

    place: Place
    row: Row | None


def furthest(compared: Compared, count: int) -> list[Place]:
    """Of a chunk the groups whose completions move furthest, each with the one that does most."""
    scored = compared.scored
    moved_B, reward_moved_B = (
        np.abs(compared.new_B - compared.old_B),
        np.abs(scored.after.rewards_B - scored.before.rewards_B),
    )
    came_or_went_B = np.isnan(scored.after.rewards_B) != np.isnan(scored.before.rewards_B)
    rows = np.flatnonzero(compared.counts_B & ((np.nan_to_num(reward_moved_B) > _LEAST) | came_or_went_B))
    moved_B, reward_moved_B = moved_B.round(6), np.nan_to_num(reward_moved_B)
    order = rows[np.lexsort((scored.sample_B[rows], -reward_moved_B[rows], -moved_B[rows], scored.groups_B[rows]))]
    _, firsts = np.unique(scored.groups_B[order], return_index=True)
    best = order[firsts]
    best = best[np.lexsort((-reward_moved_B[best], -moved_B[best]))][:count]
    return [_place(compared, int(row), (float(moved_B[row]), float(reward_moved_B[row]))) for row in best]


def the_most(places: Iterable[Place], count: int) -> list[Place]:
    """Those that move furthest, in order; among equals the earlier ones."""
    return heapq.nsmallest(count, places, key=lambda place: (*(-each for each in place.size), place.key))


def opened(places: Sequence[Place]) -> list[Disagreement]:
    """The places with what stands there."""
    return [Disagreement(place, _row_at(place)) for place in places]


def _row_at(place: Place) -> Row | None:
    try:
        found = row_dicts(read_rows(place.shard, [place.row]))
    except UNREADABLE:
        return None
    return row_of(found[0]) if found else None


def _place(compared: Compared, row: int, size: tuple[float, float]) -> Place:
    scored, chunk = compared.scored, compared.scored.chunk
    siblings = np.flatnonzero(scored.groups_B == scored.groups_B[row])
    siblings = siblings[np.argsort(scored.sample_B[siblings], kind="stable")]
    return Place(
        size=size,
        key=GroupKey(chunk.stage, chunk.split, chunk.step, int(scored.group_B[row]), int(scored.attempt_B[row])),
        sample=int(scored.sample_B[row]),
        shard=chunk.shards[chunk.shard_B[row]],
        row=int(chunk.row_B[row]),
        rewards=(number(scored.before.rewards_B[row]), number(scored.after.rewards_B[row])),
        advantages=(float(compared.old_B[row]), float(compared.new_B[row])),
        parts=(_at(scored.before.parts, row), dict(scored.scores[row].parts)),
        siblings=(_numbers(scored.before.rewards_B[siblings]), _numbers(scored.after.rewards_B[siblings])),
        teaches=(bool(compared.teaches_B[0][row]), bool(compared.teaches_B[1][row])),
        sign=bool(compared.sign_B[row]),
        order=bool(compared.order_B[row]),
        errors=dict(scored.scores[row].errors),
    )


def _at(parts: dict[str, Floats], row: int) -> dict[str, float | None]:
    return {name: number(values[row]) for name, values in parts.items()}


def _numbers(values: Floats) -> tuple[float | None, ...]:
    return tuple(number(value) for value in values)
