"""How sure the sampler was of each token: a shade behind it by log-prob or entropy; of one, all that was recorded."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from rlvr.traces.rows import Row
from rlvr.traces.text import counted, think_and_answer, visible
from rlvr.tui.describe import MOST_CHARACTERS, turn_blocks
from rlvr.tui.glyphs import number
from rlvr.tui.lines import Piece
from rlvr.tui.prose import Block
from rlvr.tui.tokens import Vocabulary
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
    found = values[token] if values and token < len(values) else None
    if found is None:
        return ""
    value, steps = (-found, _LOGPROB_STEPS) if heat == Heat.LOGPROB else (found, _ENTROPY_STEPS)
    step = sum(value >= least for least in steps)
    return f"heat{step}" if step else ""


def heat_runs(row: Row, heat: Heat, spans: Sequence[tuple[int, int]]) -> Iterable[Block]:
    """The thought and the answer as blocks, or the turns, each of the model's tokens with its shade and its number."""
    if row.episode:
        yield from _turns(row, heat, spans)
        return
    cut = len(think_and_answer(row.completion)[0])
    thought, answer = list(_runs(row, heat, spans, 0, cut)), list(_runs(row, heat, spans, cut, MOST_CHARACTERS))
    if thought:
        yield Block("think", [("think", "title"), (f"  {counted(cut, 'character')}", "faint")], thought)
    yield Block("answer", [("answer", "title")], answer or [("(none)", "faint", -1)])


def _turns(row: Row, heat: Heat, spans: Sequence[tuple[int, int]]) -> Iterator[Block]:
    own, at = [], 0
    for turn in row.episode:
        if turn["role"] == "assistant":
            own.append(list(_runs(row, heat, spans, at, at + len(turn["content"]))))
            at += len(turn["content"]) + 1
    yield from turn_blocks(row.episode, own)


def _runs(row: Row, heat: Heat, spans: Sequence[tuple[int, int]], start: int, stop: int) -> Iterator[Run]:
    for token, (first, end) in enumerate(spans):
        first, end = max(first, start), min(end, stop)
        if end > first:
            names = shade(row, token, heat)
            for text, special, _ in safe_runs(row.completion[first:end]):
                yield text, special or names, token


def shade_legend(heat: Heat) -> list[Piece]:
    """The shades from sure to unsure, with what they stand for: a line of its own, so that it is of no one token."""
    sure, unsure = ("p above 0.9", "below 0.02") if heat == Heat.LOGPROB else ("entropy below 0.2", "above 3 nats")
    shades = [(" ", ""), *((f" {step} ", f"heat{step}") for step in range(1, 6)), (" ", "")]
    return [("shades  ", "dim"), (f"sure, {sure}", "faint"), *shades, (f"{unsure}, unsure", "faint")]


def token_line(row: Row, token: int, spans: Sequence[tuple[int, int]]) -> list[Piece]:
    """Such as `token 3 of 40  "1"  p 0.317  log-prob -1.15  entropy 0.92`: of the one under the cursor."""
    start, end = spans[token] if token < len(spans) else (0, 0)
    text = _quoted(row.completion[start:end]) if end > start else "(not in the text)"
    pieces: list[Piece] = [(f"token {token + 1} of {len(row.token_ids or [])}  ", "dim"), (text, "bold")]
    if row.logprobs and token < len(row.logprobs) and (logprob := row.logprobs[token]) is not None:
        pieces += [("  p ", "dim"), (number(math.exp(logprob)), "bold"), ("  log-prob ", "dim"), (number(logprob), "")]
    if row.entropies and token < len(row.entropies) and (entropy := row.entropies[token]) is not None:
        pieces += [("  entropy ", "dim"), (number(entropy), "")]
    return pieces


def alternatives_line(row: Row, token: int, spelling: Vocabulary | None) -> list[Piece]:
    """What else the token could have been, the likeliest first, each with its probability."""
    if row.alternatives is None:
        return [("alternatives are not recorded: record_alternatives = 3 in a stage keeps them", "faint")]
    pieces: list[Piece] = [("instead  ", "dim")]
    others = row.alternatives[token] if token < len(row.alternatives) else []
    for token_id, logprob in others:
        spelled = spelling.spelled.get(token_id) if spelling else None
        text = f"#{token_id}" if spelled is None else _quoted(spelled.decode("utf-8", "replace"))
        pieces += [(text, ""), (f" {number(math.exp(logprob))}   ", "dim")]
    return pieces if others else [*pieces, ("nothing else could be drawn", "faint")]


def _quoted(text: str) -> str:
    """A token's text on one line, blanks and breaks seen."""
    return visible(json.dumps(text, ensure_ascii=False))[:24]
