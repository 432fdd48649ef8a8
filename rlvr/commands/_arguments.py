"""Numbers on a command line that several commands take, refused with a line of their own."""

import argparse
import math
from collections.abc import Callable


def at_least(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from `least` up."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} up")
        return int(text)

    return parse


def number_from_zero(text: str) -> float:
    """A finite number that is not negative."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 up")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = number_from_zero(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value
