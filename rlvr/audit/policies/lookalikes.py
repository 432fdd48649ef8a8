"""The right answer in characters that look like it and are not it, and with ones that cannot be seen."""

import re
from collections.abc import Mapping
from random import Random

from rlvr.audit.case import Case
from rlvr.audit.policy import policy

_FULL_WIDTH = {str(digit): chr(0xFF10 + digit) for digit in range(10)}
_ARABIC = {str(digit): chr(0x0660 + digit) for digit in range(10)}
_SUPERSCRIPT = dict(zip("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))
_TAG = re.compile(r"(<[^<>]*>)")
_CYRILLIC = dict(zip("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ", strict=True))


@policy
def full_width_digits(case: Case, random: Random) -> str | None:
    """Every digit in its full-width form."""
    return _written(case, _FULL_WIDTH)


@policy
def arabic_digits(case: Case, random: Random) -> str | None:
    """Every digit in its Arabic-Indic form."""
    return _written(case, _ARABIC)


@policy
def superscript_digits(case: Case, random: Random) -> str | None:
    """Every digit as a superscript."""
    return _written(case, _SUPERSCRIPT)


@policy
def cyrillic_letters(case: Case, random: Random) -> str | None:
    """Letters of the answer, but not of tags in it, that Cyrillic has too."""
    text = "".join(_replaced(part, _CYRILLIC) for part in _TAG.split(case.answer))
    return None if text == case.answer else case.form(text)


@policy
def lookalike_tag(case: Case, random: Random) -> str | None:
    """The answer's tag with Cyrillic letters."""
    pieces = case.pieces
    opening, closing = _translated(pieces.opening, _CYRILLIC), _translated(pieces.closing, _CYRILLIC)
    if opening == pieces.opening:
        return None
    return f"{pieces.thought}{pieces.between}{opening}{case.answer}{closing}{pieces.after}"


@policy
def zero_width_character(case: Case, random: Random) -> str:
    """One that takes no room, somewhere in the answer."""
    return _inserted(case, random, "\u200b\u200d\u2060\ufeff")


@policy
def control_character(case: Case, random: Random) -> str:
    """One that prints nothing, somewhere in the answer."""
    return _inserted(case, random, "\x00\x07\x08\x1b\x7f")


@policy
def unpaired_surrogate(case: Case, random: Random) -> str:
    """Half a character, as a tokenizer that was cut short leaves it."""
    return _inserted(case, random, "\ud800\udfff")


@policy
def combining_mark(case: Case, random: Random) -> str:
    """An accent on nothing, or a stroke through a digit."""
    return _inserted(case, random, "\u0301\u0338\u20d2")


def _written(case: Case, characters: Mapping[str, str]) -> str | None:
    text = _translated(case.answer, characters)
    return None if text == case.answer else case.form(text)


def _replaced(part: str, characters: Mapping[str, str]) -> str:
    return part if part.startswith("<") else _translated(part, characters)


def _translated(text: str, characters: Mapping[str, str]) -> str:
    return "".join(characters.get(character, character) for character in text)


def _inserted(case: Case, random: Random, characters: str) -> str:
    at = random.randrange(len(case.answer) + 1)
    return case.form(case.answer[:at] + random.choice(characters) + case.answer[at:])
