r"""Reading a number as people and models write it, exactly: no floats, so `0.1` is one tenth and `1,000` is `1000`.

    number   = sign? currency? (whole | decimal | exponent | fraction | mixed) unit? "."?
    -5   −5   +5   007   1,000   1,234,567.50   .5   5.   2.50e3   3/4   1 3/4   $5   -$5   $-5   \$5   5 €   50%   50\%
    72 clips   5 km   30 km/h   20 °C   3 square feet

1. A percent sign is a unit like any other: `50%` is 50, never 0.5, as the golds of GSM8K have it.
2. Units are dropped and never compared: up to three words of Latin letters. Words that change the value or hedge it
   (`5 million`, `5 dozens`, `7 tenths`, `5k`, `7th`, `2x`, `2pi`, `7 halved`, `7 divided by two`, `7 point five`,
   `7 or eight`, `7 maybe`) are not units, and the text is no number, nor is it where the last of them is a number
   (`7 alternatively nine`; `7 five dollar bills` is 7). `quarters` is a unit: coins.
3. The Unicode minus sign counts as a sign; dashes do not.

Not accepted: number words (`seven`), expressions and equations (`3+4`, `x = 7`, `1.5/2`), misplaced separators
(`1,00,0`, `1 000`, `1_000`, `1.000,5`), ranges (`3-4`), `(5)` for minus five, digits outside ASCII, `inf` and `nan`,
LaTeX beyond `\$` and `\%`, exponents of three digits or more (`1e999`), and anything longer than 100 characters, so
that no text can make the reader slow or large.
"""

import re
from fractions import Fraction
from typing import Any

MAX_CHARACTERS = 100

NUMBER = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})+|[0-9]+)"
_LEAD = r"(?P<sign>[-+−]?)(?:\\?[$€£¥₹] ?)?(?P<inner_sign>[-+−]?)"
_FRACTION = r"(?:(?P<mixed>[0-9]+) )?(?P<top>[0-9]+)/(?P<bottom>[0-9]+)"
_DECIMAL = rf"(?P<whole>{NUMBER})?(?:\.(?P<decimals>[0-9]*))?(?:[eE](?P<exponent>[-+]?[0-9]{{1,2}}))?"
_LETTERS = r"[A-Za-zÀ-ÖØ-öø-ÿµΩ]+"
_UNIT = rf" ?(?P<unit>\\?%|[$€£¥₹°]|°?{_LETTERS}(?:/{_LETTERS})?[²³]?(?: {_LETTERS}){{0,2}})?\.?"
_READABLE = re.compile(rf"{_LEAD}(?:{_FRACTION}|{_DECIMAL}){_UNIT}")

_NO_UNIT = re.compile(
    r"\b(?:(?:hundred|thousand|million|billion|trillion|dozen|lakh|crore)s?|k|mln|bn|pi|e|i|n|x|y|z|st|nd|rd|th"
    r"|half|halves|(?:third|fifth|sixth|seventh|eighth|ninth)s?|(?:ten|hundred|thousand|million)ths?"
    r"|squared|cubed|doubled|tripled|halved|raised|point|plus|minus|times|by|over"
    r"|or|and|to|not|but|through|alternatively|otherwise|instead|maybe|perhaps|possibly|versus|vs|unless|if|else)\b"
    r"|\b(?:zero|one|two|three|four|five|six|seven|eight|nine|tens?|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty)\Z",
    re.IGNORECASE,
)


def read_number(text: str) -> int | Fraction | None:
    r"""The number that the whole text writes, or `None` where it writes none; see the module for what is accepted.

    >>> [str(read_number(text)) for text in ("-5", "1,000", "$3.50", "3/4", "1 3/4", "72 clips", "50%")]
    ['-5', '1000', '7/2', '3/4', '7/4', '72', '50']
    >>> [read_number(text) for text in ("seven", "3+4", "1,00,0", "3-4", "nan", "1e999", "5 million", "7 or 8", "1/0")]
    [None, None, None, None, None, None, None, None, None]
    """
    text = text.strip()
    if len(text) > MAX_CHARACTERS:
        return None
    if text.isdigit() and text.isascii():  # most answers: spared the pattern
        return int(text)
    found = _READABLE.fullmatch(text)
    if found is None or (found["sign"] and found["inner_sign"]) or _NO_UNIT.search(found["unit"] or ""):
        return None
    size = _fraction(found) if found["bottom"] else _decimal(found)
    return -size if size is not None and (found["sign"] or found["inner_sign"]) in ("-", "−") else size


def gold_number(gold: Any) -> int | Fraction:
    """The gold answer as a number; text is read like an answer.

    >>> gold_number("1,000"), gold_number(7), gold_number(0.1)
    (1000, 7, Fraction(1, 10))

    Raises:
        ValueError: It is not a number. A gold that cannot be read is a fault of the data, never a wrong answer.
    """
    readable = isinstance(gold, str | int | float) and not isinstance(gold, bool)
    number = read_number(str(gold)) if readable else None
    if number is None:
        raise ValueError(f"the gold answer {str(gold)[:80]!r} is not a number")
    return number


def _fraction(found: re.Match[str]) -> Fraction | None:
    bottom = int(found["bottom"])
    return Fraction(int(found["mixed"] or 0) * bottom + int(found["top"]), bottom) if bottom else None


def _decimal(found: re.Match[str]) -> int | Fraction | None:
    whole, decimals = (found["whole"] or "").replace(",", ""), found["decimals"] or ""
    if not whole and not decimals:
        return None
    shift = int(found["exponent"] or 0) - len(decimals)
    digits = int(whole + decimals)
    return digits * 10**shift if shift >= 0 else Fraction(digits, 10**-shift)
