"""An event of one day, as a row gives it, and the check of a row that came from elsewhere."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from rlvr_rewards import UserError

PRIORITY_WEIGHT = 2
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00")


class Event(NamedTuple):
    """A name and two times `HH:MM`, 00:00 to 24:00; times of this form compare as texts."""

    name: str
    start: str
    end: str

    @property
    def minutes(self) -> int:
        """Its length."""
        return minutes_of(self.end) - minutes_of(self.start)


def minutes_of(time: str) -> int:
    """Minutes since midnight.

    >>> minutes_of("24:00")
    1440
    """
    return 60 * int(time[:2]) + int(time[3:])


def time_of(minutes: int) -> str:
    """`HH:MM` of minutes since midnight.

    >>> time_of(615)
    '10:15'
    """
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def value_of(event: Event, priorities: Collection[str]) -> int:
    """Its minutes, twice where it is a priority event."""
    return event.minutes * (PRIORITY_WEIGHT if event.name in priorities else 1)


def by_start(events: Iterable[Event]) -> list[Event]:
    """The events in the order of their starts, whatever order they came in."""
    return sorted(events, key=lambda event: (event.start, event.end, event.name))


def overlapping(one: Event, other: Event) -> bool:
    """Whether they share a minute; touching events do not.

    >>> overlapping(Event("a", "09:00", "10:00"), Event("b", "10:00", "11:00"))
    False
    """
    return one.start < other.end and other.start < one.end


def read_events(rows: Sequence[Sequence[str]]) -> list[Event]:
    """The events of a task row, as they stand there."""
    return [Event(*row) for row in rows]


def check_events(task: Mapping[str, Any]) -> None:
    """Refuses a row whose events are not a day's plan.

    Raises:
        UserError: An event is not [name, start, end], a name is unusable or given twice, a time is no time of the day,
            an event ends before it starts, or a priority is not among the events.
    """
    names: set[str] = set()
    for row in _list_of(task["events"], "events"):
        name = _check_event(row)
        if name in names:
            raise UserError(f"events: two events are called {name!r}: give one another name")
        names.add(name)
    for priority in _list_of(task["priority_events"], "priority_events"):
        if priority not in names:
            raise UserError(f"priority_events: {priority!r} is not among the events: {', '.join(sorted(names))}")


def _list_of(value: Any, column: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise UserError(f"{column}: a list is needed, not {value!r:.80}")
    return value


def _check_event(row: Any) -> str:
    if not (isinstance(row, list | tuple) and len(row) == 3 and all(isinstance(cell, str) for cell in row)):
        raise UserError(f'events: an event is ["name", "HH:MM", "HH:MM"], not {row!r:.80}')
    name, start, end = row
    if not name or name != name.strip() or "<" in name:
        raise UserError(f"events: {name!r:.80} cannot be a name: it is empty, has blanks around it or holds '<'")
    for time in (start, end):
        if not _TIME.fullmatch(time):
            raise UserError(f"events: {name}: {time!r:.80} is no time from 00:00 to 24:00")
    if end <= start:
        raise UserError(f"events: {name} ends at {end}, not after its start at {start}")
    return name
