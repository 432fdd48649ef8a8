"""Schedules without a model: what a rule of thumb, chance and the solver each choose.

All but `optimal` go through the events in some order and take each that fits. An event that fits with no other is left
out from the start, so that there is always a second one and every schedule is valid.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from random import Random

from rlvr_envs.scheduling.events import Event, by_start, overlapping, value_of
from rlvr_envs.scheduling.solver import solve

Chooser = Callable[[Sequence[Event], Collection[str], Random], list[Event]]
"""A schedule, by start, for a day's events and the names of the priority ones."""


def random_valid(events: Sequence[Event], priorities: Collection[str], random: Random) -> list[Event]:
    """The first two that fit in a random order, then each further one that fits by the toss of a coin."""
    ordered = random.sample(events, len(events))
    pair = _taken(ordered, limit=2)
    tossed = [event for event in ordered if event not in pair and random.random() < 0.5]
    return _taken([*pair, *tossed])


def greedy_heuristic(events: Sequence[Event], priorities: Collection[str], random: Random) -> list[Event]:
    """The most weighted minutes first."""
    return _taken(sorted(by_start(events), key=lambda event: -value_of(event, priorities)))


def earliest_end(events: Sequence[Event], priorities: Collection[str], random: Random) -> list[Event]:
    """The earliest end first: the most events, whatever they are worth."""
    return _taken(sorted(by_start(events), key=lambda event: event.end))


def priority_first(events: Sequence[Event], priorities: Collection[str], random: Random) -> list[Event]:
    """The priority events, then the others, each by earliest end."""
    return _taken(sorted(by_start(events), key=lambda event: (event.name not in priorities, event.end)))


def optimal(events: Sequence[Event], priorities: Collection[str], random: Random) -> list[Event]:
    """The best schedule there is."""
    return solve(events, priorities).chosen


CHOOSERS: dict[str, Chooser] = {
    "random": random_valid,
    "greedy_heuristic": greedy_heuristic,
    "earliest_end": earliest_end,
    "priority_first": priority_first,
    "optimal": optimal,
}


def _taken(ordered: Sequence[Event], limit: int | None = None) -> list[Event]:
    """The events that fit, taken in this order, then sorted by start."""
    taken: list[Event] = []
    for event in ordered:
        if len(taken) != limit and _has_partner(event, ordered) and not _clashes(event, taken):
            taken.append(event)
    return by_start(taken)


def _has_partner(event: Event, events: Iterable[Event]) -> bool:
    return any(not overlapping(event, other) for other in events)


def _clashes(event: Event, taken: Iterable[Event]) -> bool:
    return any(overlapping(event, other) for other in taken)
