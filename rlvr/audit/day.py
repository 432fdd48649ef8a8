"""The schedule in a gold completion, for what is tried against tasks like those of `scheduling`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rlvr_envs import Task
from rlvr_envs.scheduling.answer import Form, read_answer, write_event
from rlvr_envs.scheduling.events import Event, by_start, minutes_of, read_events, time_of

_MINUTES = {Form.ELEMENTS: 1, Form.WORDS: 60}
"""The least time that can be written in each form."""


@dataclass(frozen=True)
class Day:
    """The events of one task and those that gold chooses.

    Attributes:
        events: All of them, by start.
        chosen: Gold's, by start.
        form: How a schedule is written.
    """

    events: list[Event]
    chosen: list[Event]
    form: Form

    def write(self, events: Iterable[Event]) -> str:
        """What a schedule of these holds, in this order."""
        return (" " if self.form is Form.WORDS else "\n").join(write_event(event, self.form) for event in events)

    @property
    def longest(self) -> Event:
        """The event with the most minutes."""
        return max(self.events, key=lambda event: event.minutes)

    def moved(self, event: Event) -> Event:
        """The event by the least time earlier, or later where it starts with the day: a minute, in words an hour."""
        step = -_MINUTES[self.form] if minutes_of(event.start) else _MINUTES[self.form]
        start, end = (time_of(minutes_of(time) + step) for time in (event.start, event.end))
        return event._replace(start=start, end=end)

    def invented(self, number: int) -> Event:
        """An event that no task gives; those of rising numbers follow one another."""
        name = "Z" if self.form is Form.WORDS else f"invented {number}"
        return Event(name, time_of(60 * number), time_of(60 * (number + 1)))


def day_of(task: Task, gold: str) -> Day | None:
    """The day that a task describes and gold plans; `None` where they do not."""
    rows = task.get("events")
    if not (isinstance(rows, list) and rows and all(_is_event(row) for row in rows)):
        return None
    for form in Form:
        if chosen := read_answer(gold, form):
            return Day(by_start(read_events(rows)), chosen, form)
    return None


def _is_event(row: Any) -> bool:
    return isinstance(row, list | tuple) and len(row) == 3 and all(isinstance(cell, str) for cell in row)
