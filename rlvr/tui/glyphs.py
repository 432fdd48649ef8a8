"""Numbers as a few characters: bars, sparklines, glyph rows, and curves in braille. Plain functions of text.

What has no value is a gap or a dot, never a zero.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

BLOCKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


def number(value: float | None, digits: int = 3) -> str:
    """A number in few characters; a dash where there is none.

    >>> number(0.12345), number(12345.6), number(None), number(-0.0), number(float("nan"))
    ('0.123', '12346', '–', '0', 'nan')
    """
    if value is None:
        return "–"
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= 1000 and abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value + 0.0:.{digits}g}"


def fixed(value: float | None, digits: int = 2) -> str:
    """A number with so many decimals, so that they stand under each other; a large one without.

    >>> fixed(0.5), fixed(-0.0001), fixed(123456.7), fixed(None)
    ('0.50', '0.00', '123457', '–')
    """
    if value is None or not math.isfinite(value):
        return number(value)
    text = f"{value:.{digits if abs(value) < 1000 else 0}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def percent(value: float | None) -> str:
    """A share in percent.

    >>> percent(0.254), percent(None)
    ('25%', '–')
    """
    return "–" if value is None else f"{value:.0%}"


def glyph(value: float | None, low: float, high: float) -> str:
    """One character as high as a value lies between two; a dot where there is none.

    >>> "".join(glyph(value, 0, 1) for value in (0, 0.5, 1, None))
    '▁▅█·'
    """
    if value is None or not math.isfinite(value):
        return "·"
    share = 0.5 if high <= low else (value - low) / (high - low)
    return BLOCKS[int(max(0.0, min(1.0, share)) * 7 + 0.5)]


def bar(share: float, width: int) -> str:
    """A bar of so many columns, filled to a share of them in eighths.

    >>> bar(0.5, 4), bar(0.03, 4), bar(2, 3)
    ('██  ', '▏   ', '███')
    """
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    if share > 0:
        eighths = max(eighths, 1)
    full, rest = divmod(eighths, 8)
    return (("█" * full) + (_EIGHTHS[rest] if rest else "")).ljust(width)


def binned(values: Sequence[float | None], num_bins: int) -> list[float | None]:
    """The values as so many means in order, or as they are where they are fewer.

    >>> binned([1, 3, None, 5], 2), binned([1, None], 8)
    ([2.0, 5.0], [1, None])
    """
    if len(values) <= num_bins:
        return list(values)
    edges = [len(values) * index // num_bins for index in range(num_bins + 1)]
    return [_mean(values[start:end]) for start, end in pairwise(edges)]


def sparkline(values: Sequence[float | None], width: int) -> str:
    """A curve one line high over its own range, every value above the same column as in `braille`.

    >>> sparkline([0, 1, 2, None, 3], 5), sparkline([1, 2], 4), sparkline([7, 7], 4)
    ('▁▃▆ █', '▁▁██', '────')
    """
    means = binned(values, width)
    low, high = extent(means)
    shown = [means[column * len(means) // width] for column in range(width)] if means else [None] * width
    return "".join(" " if value is None else glyph(value, low, high) if high > low else "─" for value in shown)


def extent(values: Sequence[float | None]) -> tuple[float, float]:
    """The lowest and the highest of them; 0 and 0 where none has a value.

    >>> extent([None, 2.0, -1.0]), extent([None])
    ((-1.0, 2.0), (0.0, 0.0))
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    return (min(known), max(known)) if known else (0.0, 0.0)


def braille(values: Sequence[float | None], width: int, height: int, low: float, high: float) -> list[str]:
    """A curve in braille, four dots a line and two a column, the top line first; points next to each other are joined.

    Args:
        values: At most `2 * width` are drawn as they are, evenly apart, more as means.
        width, height: Of the drawing, in characters.
        low, high: What lies on the lowest and on the highest dot.

    >>> braille([0, 1], 2, 1, 0, 1)
    ['⢀⠎']
    """
    cells = [[0] * width for _ in range(height)]
    means = binned(values, 2 * width)
    rows = [(_half_column(i, len(means), width), _row_of(v, low, high, height)) for i, v in enumerate(means)]
    for x, y in rows:
        if y is not None:
            _dot(cells, x, y)
    for (x0, y0), (x1, y1) in pairwise(rows):
        if y0 is not None and y1 is not None:
            _join(cells, x0, y0, x1, y1)
    return ["".join(chr(0x2800 + cell) for cell in line) for line in cells]


def column_of(index: int, num_values: int, width: int) -> int:
    """The column, of so many, that the value with this index is drawn in.

    >>> [column_of(index, 4, 8) for index in range(4)], column_of(999, 1000, 80)
    ([1, 3, 5, 7], 79)
    """
    return _half_column(index, num_values, width) // 2


def index_at(column: int, num_values: int, width: int) -> int:
    """The value nearest to a column: the other way round.

    >>> [index_at(column_of(index, 7, 60), 7, 60) for index in range(7)]
    [0, 1, 2, 3, 4, 5, 6]
    """
    return max(0, min(num_values - 1, int((column + 0.5) * num_values / width)))


def _half_column(index: int, num_values: int, width: int) -> int:
    return min(2 * width - 1, int((index + 0.5) * 2 * width / num_values))


def _row_of(value: float | None, low: float, high: float, height: int) -> int | None:
    if value is None:
        return None
    if not math.isfinite(value):
        value = high if value > 0 else low
    share = 0.5 if high <= low else (value - low) / (high - low)
    return round((1 - max(0.0, min(1.0, share))) * (4 * height - 1))


def _join(cells: list[list[int]], x0: int, y0: int, x1: int, y1: int) -> None:
    num_dots = max(x1 - x0, abs(y1 - y0))
    for dot in range(1, num_dots):
        _dot(cells, round(x0 + (x1 - x0) * dot / num_dots), round(y0 + (y1 - y0) * dot / num_dots))


def _dot(cells: list[list[int]], x: int, y: int) -> None:
    cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
