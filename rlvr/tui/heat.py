"""How sure the sampler was of each token, as a shade behind it: by log-prob or by entropy, in five steps."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from rlvr.traces.rows import Row
from rlvr.traces.text import think_and_answer
from rlvr.tui.describe import MOST_CHARACTERS
from rlvr.tui.lines import Piece
from rlvr.tui.prose import Block
from rlvr.tui.wrap import Run, safe_runs

_LOGPROB_STEPS = (0.1, 0.5, 1.2, 2.5, 4.0)
"""Of −log p in nats: from p = 0.90, 0.61, 0.30, 0.08, 0.02 downwards the shade deepens."""
_ENTROPY_STEPS = (0.2, 0.6, 1.2, 2.0, 3.0)
"""Of the entropy in nats."""


class Heat(StrEnum):
    """What the shade shows."""

    NONE = "none"
    LOGPROB = "log-prob"
    ENTROPY = "entropy"


def shade(row: Row, token: int, heat: Heat) -> str:
    """The name of a token's shade; none where the sampler was sure, or nothing was recorded."""
    values = row.logprobs if heat == Heat.LOGPROB else row.entropies
    if not values or token >= len(values):
        return ""
    value, steps = (-values[token], _LOGPROB_STEPS) if heat == Heat.LOGPROB else (values[token], _ENTROPY_STEPS)
    step = sum(value >= least for least in steps)
    return f"heat{step}" if step else ""


def heat_runs(row: Row, heat: Heat, spans: Sequence[tuple[int, int]]) -> Iterable[Block]:
    """The thought and the answer as blocks, each token with its shade and its number."""
    cut = len(think_and_answer(row.completion)[0])
    thought, answer = list(_runs(row, heat, spans, 0, cut)), list(_runs(row, heat, spans, cut, MOST_CHARACTERS))
    if thought:
        yield Block("think", [("think", "title"), (f"  {cut:,} characters", "faint")], thought)
    yield Block("answer", [("answer", "title")], answer or [("(none)", "faint", -1)])


def _runs(row: Row, heat: Heat, spans: Sequence[tuple[int, int]], start: int, stop: int) -> Iterator[Run]:
    for token, (first, end) in enumerate(spans):
        first, end = max(first, start), min(end, stop)
        if end > first:
            names = shade(row, token, heat)
            for text, special, _ in safe_runs(row.completion[first:end]):
                yield text, special or names, token


def shade_legend(heat: Heat) -> list[Piece]:
    """The shades from sure to unsure, with what they stand for."""
    ends = ("p 0.9", "0.02") if heat == Heat.LOGPROB else ("0.2", "3 nats")
    return [(f"{ends[0]} ", "faint"), *((" ", f"heat{step}") for step in range(1, 6)), (f" {ends[1]}", "faint")]
