"""How a schedule is written and read: one writer for gold and baselines, one strict reader for completions.

Both forms stand in the one `<schedule>` block that follows the last closed think block. The reader is linear in the
length of the text. It does not judge: an invented event is read as it stands.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

from rlvr_envs.scheduling.events import Event
from rlvr_rewards.extract import sole_tagged

TAG = "schedule"
_TIME = r"\s*([0-9]{2}:[0-9]{2})\s*"
_ELEMENT = re.compile(rf"\s*<event>\s*<name>([^<]*)</name>\s*<start>{_TIME}</start>\s*<end>{_TIME}</end>\s*</event>\s*")
_WORD = re.compile(r"\s*([A-Z])([0-9])-([0-9])(?!\S)\s*")


class Form(StrEnum):
    """How the events of a schedule are written."""

    ELEMENTS = "elements"
    """`<event><name>…</name><start>HH:MM</start><end>HH:MM</end></event>`, as published."""
    WORDS = "words"
    """`A0-3 C5-8`: one letter and two whole hours from 0 to 9."""


def write_event(event: Event, form: Form) -> str:
    """One event in a form.

    >>> write_event(Event("A", "00:00", "03:00"), Form.WORDS)
    'A0-3'
    """
    if form is Form.WORDS:
        return f"{event.name}{int(event.start[:2])}-{int(event.end[:2])}"
    return f"<event><name>{event.name}</name><start>{event.start}</start><end>{event.end}</end></event>"


def write_answer(thought: str, events: Iterable[Event], form: Form) -> str:
    """A completion: the thought, then the schedule, by start."""
    between = " " if form is Form.WORDS else "\n"
    lines = between.join(write_event(event, form) for event in events)
    if form is Form.ELEMENTS:
        return f"<think>\n{thought}\n</think>\n<{TAG}>\n{lines}\n</{TAG}>"
    return f"<think>{thought}</think><{TAG}>{lines}</{TAG}>"


def read_answer(completion: str, form: Form) -> list[Event] | None:
    """The events of the final schedule; `None` where there is not exactly one, or it holds anything but events.

    >>> read_answer("<think><schedule>A0-3</schedule></think><schedule>B2-5</schedule>", Form.WORDS)
    [Event(name='B', start='02:00', end='05:00')]
    >>> read_answer("<schedule>B2-5, I think</schedule>", Form.WORDS) is None
    True
    """
    text = sole_tagged(completion, TAG)
    if text is None:
        return None
    pattern, read = (_WORD, _from_word) if form is Form.WORDS else (_ELEMENT, _from_element)
    events, at = [], 0
    text = text.strip()
    while at < len(text):
        match = pattern.match(text, at)
        if not match:
            return None
        events.append(read(match))
        at = match.end()
    return events


def _from_element(match: re.Match[str]) -> Event:
    return Event(match[1].strip(), match[2], match[3])


def _from_word(match: re.Match[str]) -> Event:
    return Event(match[1], f"0{match[2]}:00", f"0{match[3]}:00")
