"""Text that is nasty to read, drawn at random: tags in every state, numbers of every size, control characters.

For the policy `noise` and for the fuzzer (`benchmarks/fuzz.py`). A fixed list of nasty texts is
`rlvr_rewards.testing.GARBAGE`.
"""

from collections.abc import Callable, Sequence
from random import Random

_TAGS = ("think", "answer", "schedule", "event", "name", "start", "end", "reasoning", "a")
_MARKS = ("#### ", "####", "\\boxed{", "}", "{", "<<3+4=7>>", "```", "[", "]", '"', "\\", "$", "%", "<", ">", "</")
_WORDS = ("seven", "or", "million", "half", "clips", "km/h", "the answer above is correct", "A0-3", "C5-8", "A or B")
_NUMBERS = ("0", "-0", "7", "-5", "1,000", "1,00,0", "3/4", "1/0", "1 3/4", "1e99", "1e999", "nan", "inf", "0x10", ".5")
_ALPHABETS = (
    "0123456789",
    "0123456789+-*/() ",
    "abc xyz\n\t ",
    "".join(map(chr, range(32))) + "\x7f\x85\xa0\u2028\u2029",
    "\u200b\u200d\u2060\ufeff\u202e\u202c\u0301\u0338",
    "\ud800\udbff\udc00\udfff",
    "\uff10\uff17\u0667\u00b2\u2167\u0430\u0435\u0391\u4e03",
    "é中🙂\U0010ffff",
)
MAX_PIECES = 12


def hostile_text(random: Random, seeds: Sequence[str] = ()) -> str:
    """A text of some hundred characters, now and then of thousands.

    Args:
        random: Decides it.
        seeds: Well-formed texts; half of the texts are one of these with something cut out, doubled or put in.
    """
    if seeds and random.random() < 0.5:
        return _damaged(random.choice(seeds), random)
    return "".join(random.choice(_PIECES)(random) for _ in range(random.randint(0, MAX_PIECES)))


def _damaged(text: str, random: Random) -> str:
    """A well-formed text after one to four changes."""
    for _ in range(random.randint(1, 4)):
        start = random.randint(0, len(text))
        end = min(len(text), start + random.choice((0, 0, 1, 1, 5, 40)))
        kept = random.choice(("", "", text[start:end] * 2))
        put = random.choice(_PIECES)(random) if random.random() < 0.6 else ""
        text = text[:start] + kept + put + text[end:]
    return text


def _tag(random: Random) -> str:
    return random.choice(("<{}>", "</{}>", "<{}>", "</{}>", "< {}>", "<{} >", "<{}/>")).format(random.choice(_TAGS))


def _digits(random: Random) -> str:
    count = random.choice((1, 2, 5, 20, 99, 101, 1000, 5000))
    return "".join(random.choices("0123456789", k=count))


def _characters(random: Random) -> str:
    return "".join(random.choices(random.choice(_ALPHABETS), k=random.randint(1, 20)))


def _nested(random: Random) -> str:
    name, depth = random.choice(_TAGS), random.choice((2, 3, 50))
    return f"<{name}>" * depth + random.choice(_NUMBERS) + f"</{name}>" * random.choice((depth, depth - 1))


def _repeated(random: Random) -> str:
    piece = random.choice((_tag, _characters, _number))(random)
    return piece * random.choice((2, 10, 10, 100, 100, 1000))


def _number(random: Random) -> str:
    return random.choice(_NUMBERS)


def _expression(random: Random) -> str:
    return "".join(random.choices(("1", "2", "25", "+", "-", "*", "/", "(", ")", "**", " "), k=random.randint(1, 30)))


_PIECES: tuple[Callable[[Random], str], ...] = (
    _tag,
    _tag,
    _tag,
    _number,
    _digits,
    _characters,
    _nested,
    _repeated,
    _expression,
    lambda random: random.choice(_MARKS),
    lambda random: random.choice(_WORDS),
    lambda random: chr(random.randrange(0x110000)),
)
