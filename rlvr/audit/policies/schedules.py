"""Schedules that plan nothing. For tasks whose answer is one."""

from random import Random

from rlvr.audit.case import Case
from rlvr.audit.policy import policy


@policy(blind=True)
def all_events(case: Case, random: Random) -> str | None:
    """Every event of the day, by start."""
    return case.day and case.pieces.unthought(case.day.write(case.day.events))


@policy(blind=True)
def all_events_shuffled(case: Case, random: Random) -> str | None:
    """Every event of the day, in any order."""
    return case.day and case.pieces.unthought(case.day.write(random.sample(case.day.events, len(case.day.events))))


@policy
def one_event(case: Case, random: Random) -> str | None:
    """The longest event alone."""
    return case.day and case.pieces.unthought(case.day.write([case.day.longest]))


@policy
def one_event_twice(case: Case, random: Random) -> str | None:
    """The longest event, and once more."""
    return case.day and case.pieces.unthought(case.day.write([case.day.longest] * 2))


@policy
def every_event_twice(case: Case, random: Random) -> str | None:
    """Gold's schedule with every event given twice."""
    return case.day and case.form(case.day.write(event for event in case.day.chosen for _ in range(2)))


@policy
def schedule_twice(case: Case, random: Random) -> str | None:
    """Gold's schedule, and again from its start."""
    return case.day and case.form(case.day.write([*case.day.chosen, *case.day.chosen]))


@policy
def moved_by_a_minute(case: Case, random: Random) -> str | None:
    """Gold's schedule, every event moved by the least time that can be written."""
    return case.day and case.form(case.day.write(map(case.day.moved, case.day.chosen)))


@policy
def gold_and_an_invented_event(case: Case, random: Random) -> str | None:
    """Gold's schedule with an event in front of it that was not given."""
    return case.day and case.form(case.day.write([case.day.invented(0), *case.day.chosen]))


@policy
def invented_events(case: Case, random: Random) -> str | None:
    """A tidy day of events that were not given."""
    return case.day and case.pieces.unthought(case.day.write(map(case.day.invented, range(9))))
