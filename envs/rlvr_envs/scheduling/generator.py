"""Days to plan, in three tiers. All times are whole steps, nothing ends after the day does, and two events overlap.

A draw is thrown away until its best schedule has two events, since one alone is no valid answer.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from random import Random
from typing import Any

from rlvr_envs.scheduling.baselines import earliest_end, greedy_heuristic, priority_first
from rlvr_envs.scheduling.events import Event, by_start, overlapping, time_of
from rlvr_envs.scheduling.solver import Plan, solve
from rlvr_envs.scheduling.verdict import FEWEST, total_value


class Tier(StrEnum):
    """How hard the days are."""

    PUBLISHED = "published"
    """4–8 named events of 15–120 minutes: the published task's sizes."""
    COMPACT = "compact"
    """5 one-letter events between the hours 0 and 9, for models of a million parameters."""
    HARD = "hard"
    """12–16 events, drawn so that every rule of thumb falls short of the best by a tenth or more."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a tier's days; times in minutes, bounds included.

    Attributes:
        num_events: The fewest and the most events.
        duration: The shortest and the longest event.
        day: When the first event may start and the last one may end.
        step: Every time and duration is a multiple of it.
    """

    num_events: tuple[int, int]
    duration: tuple[int, int]
    day: tuple[int, int]
    step: int


SHAPES = {
    Tier.PUBLISHED: Shape(num_events=(4, 8), duration=(15, 120), day=(8 * 60, 20 * 60), step=15),
    Tier.COMPACT: Shape(num_events=(5, 5), duration=(60, 300), day=(0, 9 * 60), step=60),
    Tier.HARD: Shape(num_events=(12, 16), duration=(15, 240), day=(7 * 60, 24 * 60), step=15),
}
HARD_BAR = 0.9
_THINGS = ("budget", "roadmap", "design", "safety", "hiring", "sales", "travel", "data", "press", "garden", "choir")
_KINDS = ("review", "call", "workshop", "lunch", "visit", "briefing", "rehearsal", "interview", "planning", "walk")
NAMES = tuple(f"{thing} {kind}" for thing in _THINGS for kind in _KINDS)


def draw_day(tier: Tier, random: Random) -> dict[str, Any]:
    """A task row of a tier, decided by `random` alone."""
    while True:
        events = _draw_events(tier, random)
        count = len(events)
        num_priorities = random.randint(max(1, count // 5), 2 * count // 5)
        priorities = [event.name for event in random.sample(events, num_priorities)]
        plan = solve(events, priorities)
        if _overlaps(events) and len(plan.chosen) >= FEWEST and _suits(tier, plan, priorities):
            rows = [list(event) for event in events]
            return {"events": rows, "priority_events": priorities, "optimal_score": plan.score}


def _draw_events(tier: Tier, random: Random) -> list[Event]:
    shape = SHAPES[tier]
    count = random.randint(*shape.num_events)
    spans = [_draw_span(shape, random) for _ in range(count)]
    if tier is Tier.COMPACT:  # letters in the order of the starts: one thing less for a tiny model to sort
        return [Event(name, *span) for name, span in zip("ABCDE", sorted(spans), strict=True)]
    return [Event(name, *span) for name, span in zip(random.sample(NAMES, count), spans, strict=True)]


def _draw_span(shape: Shape, random: Random) -> tuple[str, str]:
    shortest, longest = shape.duration
    first, last = shape.day
    minutes = random.randrange(shortest, longest + 1, shape.step)
    start = random.randrange(first, last - minutes + 1, shape.step)
    return time_of(start), time_of(start + minutes)


def _overlaps(events: list[Event]) -> bool:
    return any(overlapping(one, other) for one, other in combinations(events, 2))


def _suits(tier: Tier, plan: Plan, priorities: list[str]) -> bool:
    if tier is Tier.COMPACT:
        return taken_where_total_rises(plan)
    return tier is not Tier.HARD or _beats_rules_of_thumb(plan, priorities)


def taken_where_total_rises(plan: Plan) -> bool:
    """Whether the totals alone say what is chosen, so that the compact thought spells the answer out."""
    risen = [total > after for total, after in zip(plan.totals, [*plan.totals[1:], 0], strict=True)]
    end, read = "", []
    for event, rises in zip(plan.events, risen, strict=True):
        if rises and event.start >= end:
            read.append(event)
            end = event.end
    return read == plan.chosen


def _beats_rules_of_thumb(plan: Plan, priorities: list[str]) -> bool:
    bar = HARD_BAR * plan.score
    never = Random(0)  # the rules of thumb toss no coin
    rules = (greedy_heuristic, earliest_end, priority_first)
    return all(total_value(rule(by_start(plan.events), priorities, never), priorities) <= bar for rule in rules)
