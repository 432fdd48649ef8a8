"""The best schedule, exactly: weighted interval scheduling by dynamic programming over the starts.

With the events in order of their starts, v_i the value of event i, and next(i) the first event that starts no earlier
than event i ends:

    total_i = max(total_{i+1}, v_i + total_{next(i)}),    total_n = 0

O(n log n). Kleinberg & Tardos, Algorithm Design, section 6.1, run from the last event to the first, so that the best
schedule is then read off forwards: an event is taken where the total rises.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from rlvr_envs.scheduling.events import Event, by_start, value_of


@dataclass(frozen=True)
class Plan:
    """The best schedule of a day.

    Attributes:
        score: Its value, in weighted minutes.
        chosen: Its events, by start. Where several schedules are best, one with the most events.
        events: All events, by start.
        totals: What the best schedule of each event and those after it is worth, in the order of `events`.
    """

    score: int
    chosen: list[Event]
    events: list[Event]
    totals: list[int]


def solve(events: Iterable[Event], priorities: Collection[str]) -> Plan:
    """The best schedule.

    >>> day = [Event("a", "09:00", "10:00"), Event("b", "09:30", "12:00"), Event("c", "10:00", "11:00")]
    >>> [event.name for event in solve(day, ["a"]).chosen]
    ['a', 'c']
    """
    ordered = by_start(events)
    starts = [event.start for event in ordered]
    after = [bisect_left(starts, event.end) for event in ordered]
    best = [(0, 0)] * (len(ordered) + 1)  # (total, number of events): of equal totals the longer schedule wins
    for i in range(len(ordered) - 1, -1, -1):
        total, count = best[after[i]]
        best[i] = max(best[i + 1], (total + value_of(ordered[i], priorities), count + 1))
    chosen, i = [], 0
    while i < len(ordered):
        if best[i] > best[i + 1]:
            chosen.append(ordered[i])
            i = after[i]
        else:
            i += 1
    return Plan(best[0][0], chosen, ordered, [total for total, _ in best[:-1]])
