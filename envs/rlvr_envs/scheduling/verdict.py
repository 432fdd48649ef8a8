"""Whether a schedule is valid, what fails first where it is not, and what it is worth.

The order of the checks is the published evaluation's: no schedule, fewer than two events, an event that was not given,
starts that do not rise, overlap. An event counts as given only with its own name and both its own times; one that comes
twice has one start twice, so its starts do not rise.
"""

from collections.abc import Collection, Sequence
from enum import StrEnum
from itertools import pairwise

from rlvr_envs.scheduling.events import Event, overlapping, value_of

FEWEST = 2


class Failure(StrEnum):
    """What is wrong with a schedule, in the order in which it is looked for."""

    FORMAT = "format"
    TOO_FEW = "too_few"
    UNKNOWN_EVENT = "unknown_event"
    UNSORTED = "unsorted"
    OVERLAP = "overlap"
    NONE = "none"


def find_failure(answer: Sequence[Event] | None, events: Collection[Event]) -> Failure:
    """The first failure of an answer to a day's events; `Failure.NONE` for a valid schedule."""
    if answer is None:
        return Failure.FORMAT
    if len(answer) < FEWEST:
        return Failure.TOO_FEW
    if not all(event in events for event in answer):
        return Failure.UNKNOWN_EVENT
    if not rising(answer):
        return Failure.UNSORTED
    if any(first.end > second.start for first, second in pairwise(answer)):
        return Failure.OVERLAP
    return Failure.NONE


def rising(answer: Sequence[Event]) -> bool:
    """Whether each event starts after the one before it starts."""
    return all(first.start < second.start for first, second in pairwise(answer))


def credited(answer: Sequence[Event] | None, events: Collection[Event]) -> list[Event]:
    """The events that the part `value` pays for: of two that overlap, neither.

    Nothing is paid where an event is invented, altered or given twice, or where there are fewer than two.
    """
    if answer is None or not FEWEST <= len(answer) <= len(events):
        return []
    if len(set(answer)) < len(answer) or not all(event in events for event in answer):
        return []
    return [e for e in answer if not any(overlapping(e, other) for other in answer if other is not e)]


def total_value(schedule: Sequence[Event], priorities: Collection[str]) -> int:
    """What a schedule is worth, in weighted minutes."""
    return sum(value_of(event, priorities) for event in schedule)
