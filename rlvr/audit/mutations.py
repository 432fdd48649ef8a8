"""The fixed catalogue of mutations: one thing about gold is changed, and it is known what that must do.

What must lose earns less than gold and does not succeed; what must not lose is the same answer written otherwise, earns
what gold earns and succeeds. A mutation returns `None` for a task that it does not apply to: a name cannot be misspelt
in a number. What is not a change of gold is a policy (`rlvr.audit.policies`).
"""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from random import Random

from rlvr.audit.case import Case, Write
from rlvr.audit.items import STRANGER, items_of

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LETTERS = re.compile(r"[A-Za-z]{2,}")
_TAG = re.compile(r"<[^<>]*>")
_UNIT = re.compile(r"(?<=[0-9]) ?(?:[A-Za-z%€£°]\S*(?: [A-Za-z]\S*)*)$")
SCALES = ("hundred", "thousand", "thousands", "million", "millions", "dozen", "dozens", "k", "bn", "tenths", "thirds")
SCALES += ("point five", "tens", "lakh", "crores", "twenty")
CHANGES = ("squared", "times two", "multiplied by two", "divided by two", "plus one", "minus one", "doubled", "halved")
CHANGES += ("raised to ten", "less two", "percent of ten")
HEDGES = ("alternatively nine", "or eight", "maybe eighty", "perhaps more", "possibly not", "instead of nine")
HEDGES += ("otherwise six", "versus eight", "if not nine", "unless wrong", "else seven", "eleven")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def _different(case: Case, text: str | None) -> str | None:
    """Gold with this as its answer; `None` where it is the right one after all, such as ten times 0."""
    return None if text is None or case.equals_gold(text) else case.form(text)


def _digits(change: Callable[[str], str]) -> Write:
    """Changes the last run of digits of an answer; a schedule's times have mutations of their own."""

    def write(case: Case, random: Random) -> str | None:
        found = list(_NUMBER.finditer(case.plain))
        if not found or case.day:
            return None
        start, end = found[-1].span()
        return _different(case, case.plain[:start] + change(case.plain[start:end]) + case.plain[end:])

    return write


def _last_digit_changed(digits: str) -> str:
    return digits[:-1] + str((int(digits[-1]) + 1) % 10)


def _digits_swapped(digits: str) -> str:
    at = next((i for i, (a, b) in enumerate(pairwise(digits)) if a != b and "." not in (a, b)), None)
    return digits if at is None else digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :]


def _decimal_moved(digits: str) -> str:
    if "." in digits:
        return digits.replace(".", "")
    return f"{digits[:-1] or '0'}.{digits[-1]}"


def _sign_flipped(case: Case, random: Random) -> str | None:
    if case.number is None:
        return None
    return _different(case, case.plain[1:] if case.plain.startswith("-") else f"-{case.plain}")


def _behind(words: tuple[str, ...]) -> Write:
    """Words behind a number that change what it says."""
    return lambda case, random: None if case.number is None else case.form(f"{case.answer} {random.choice(words)}")


def _digits_as_words(case: Case, random: Random) -> str | None:
    if not isinstance(case.number, int):
        return None
    return case.form(" ".join(DIGITS[int(digit)] for digit in case.plain if digit.isdigit()))


def _comma_misplaced(case: Case, random: Random) -> str | None:
    if not isinstance(case.number, int) or len(case.plain.lstrip("-")) < 2:
        return None
    return case.form(f"{case.plain[:-1]},{case.plain[-1]}")


def _unit_dropped(case: Case, random: Random) -> str | None:
    found = None if case.day else _UNIT.search(case.answer)
    return case.form(case.answer[: found.start()]) if found else None


def _next_answer(case: Case, random: Random) -> str | None:
    return _different(case, case.next_answer)


def _event_removed(case: Case, random: Random) -> str | None:
    if case.day is None:
        return None
    removed = random.choice(case.day.chosen)
    return case.form(case.day.write(event for event in case.day.chosen if event != removed))


def _event_added(case: Case, random: Random) -> str | None:
    if case.day is None or not (left := [event for event in case.day.events if event not in case.day.chosen]):
        return None
    return case.form(case.day.write(sorted([*case.day.chosen, random.choice(left)], key=lambda event: event.start)))


def _events_swapped(case: Case, random: Random) -> str | None:
    if case.day is None or len(case.day.chosen) < 2:
        return None
    events = list(case.day.chosen)
    at = random.randrange(len(events) - 1)
    events[at], events[at + 1] = events[at + 1], events[at]
    return case.form(case.day.write(events))


def _minute_shifted(case: Case, random: Random) -> str | None:
    if case.day is None:
        return None
    events = list(case.day.chosen)
    at = random.randrange(len(events))
    events[at] = case.day.moved(events[at])
    return case.form(case.day.write(events))


def _name_misspelt(case: Case, random: Random) -> str | None:
    """One letter of the answer changed, outside of tags; in a schedule of letters, one event's for one not given."""
    if case.day and all(len(event.name) == 1 for event in case.day.events):
        first, *rest = case.day.chosen
        return case.form(case.day.write([first._replace(name="Z"), *rest]))
    tags = [found.span() for found in _TAG.finditer(case.answer)]
    words = [found for found in _LETTERS.finditer(case.answer) if not any(a <= found.start() < b for a, b in tags)]
    if not words or case.number is not None:
        return None
    at = random.choice(words).start() + 1
    return case.form(case.answer[:at] + ("q" if case.answer[at] != "q" else "x") + case.answer[at + 1 :])


def _item_removed(case: Case, random: Random) -> str | None:
    items = items_of(case)
    if items is None:
        return None
    at = random.randrange(len(items.found))
    return _different(case, items.write([*items.found[:at], *items.found[at + 1 :]]))


def _item_added(case: Case, random: Random) -> str | None:
    items = items_of(case)
    return items and _different(case, items.write([*items.found, items.stranger]))


def _field_renamed(case: Case, random: Random) -> str | None:
    items = items_of(case)
    if items is None or items.kind is not dict:
        return None
    (name, value), *others = items.found
    return case.form(items.write([(f"{name}s", value), *others]))


def _field_given_twice(case: Case, random: Random) -> str | None:
    """A wrong value, and later the right one under the same name: readers differ in which one they take."""
    items = items_of(case)
    if items is None or items.kind is not dict:
        return None
    return case.form(case.answer.replace("{", "{" + f'{json.dumps(items.found[0][0])}: "{STRANGER}", ', 1))


LOSES: dict[str, Write] = {
    # digits
    "last digit changed": _digits(_last_digit_changed),
    "last digit dropped": _digits(lambda digits: digits[:-1]),
    "sign flipped": _sign_flipped,
    "off by one above": _digits(lambda digits: str(Decimal(digits) + 1)),
    "off by one below": _digits(lambda digits: str(Decimal(digits) - 1)),
    "ten times": _digits(lambda digits: f"{digits}0" if "." not in digits else f"{Decimal(digits) * 10:f}"),
    "digits swapped": _digits(_digits_swapped),
    "decimal moved": _digits(_decimal_moved),
    "a half too much": _digits(lambda digits: str(Decimal(digits) + Decimal("0.5"))),
    "a billionth too much": _digits(lambda digits: digits + ("" if "." in digits else ".") + "000000001"),
    "comma misplaced": _comma_misplaced,
    # words
    "digits as words": _digits_as_words,
    "scaled by a word": _behind(SCALES),
    "changed by words": _behind(CHANGES),
    "hedged by words": _behind(HEDGES),
    "unit dropped": _unit_dropped,
    "name misspelt": _name_misspelt,
    # the whole answer
    "answer of the next row": _next_answer,
    # lists and records
    "item removed": _item_removed,
    "item added": _item_added,
    "field renamed": _field_renamed,
    "field given twice": _field_given_twice,
    # schedules
    "event removed": _event_removed,
    "event added": _event_added,
    "two events swapped": _events_swapped,
    "one minute shifted": _minute_shifted,
}
"""What is another answer after it."""


def _separated(case: Case, random: Random) -> str | None:
    if not isinstance(case.number, int) or abs(case.number) < 1000:
        return None
    return case.form(f"{case.number:,}" if "," not in case.answer else case.plain)


def _zeros_behind(case: Case, random: Random) -> str | None:
    if case.number is None or not _NUMBER.fullmatch(case.plain.lstrip("-")):
        return None
    return case.form(f"{case.plain}0" if "." in case.plain else f"{case.plain}.00")


def _in_dollars(case: Case, random: Random) -> str | None:
    if case.number is None or not _NUMBER.fullmatch(case.plain.lstrip("-")):
        return None
    return case.form(f"-${case.answer[1:]}" if case.answer.startswith("-") else f"${case.answer}")


def _space_around(case: Case, random: Random) -> str | None:
    return case.form(f"\n {case.answer}\t") if case.pieces.opening else None


def _tags_in_capitals(case: Case, random: Random) -> str | None:
    return _TAG.sub(lambda tag: tag[0].upper(), case.gold) if case.allows_any_case else None


def _space_between_events(case: Case, random: Random) -> str | None:
    return case.day and case.form(" \n\t ".join(case.day.write([event]) for event in case.day.chosen))


def _fields_reversed(case: Case, random: Random) -> str | None:
    items = items_of(case)
    if items is None or items.kind is not dict or len(items.found) < 2:
        return None
    return case.form(items.write(items.found[::-1]))


def _space_inside(case: Case, random: Random) -> str | None:
    items = items_of(case)
    return None if items is None or items.kind is str else case.form(items.write(items.found, indent=4))


KEEPS: dict[str, Write] = {
    "white space around the answer": _space_around,
    "white space around all of it": lambda case, random: f" \n{case.gold}\n\n",
    "white space between events": _space_between_events,
    "white space inside JSON": _space_inside,
    "fields in another order": _fields_reversed,
    "tags in capitals": _tags_in_capitals,
    "thousands separators": _separated,
    "trailing zeros": _zeros_behind,
    "currency sign": _in_dollars,
}
"""What is the same answer after it."""
