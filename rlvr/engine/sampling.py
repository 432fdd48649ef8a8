"""What sampling a group means, whichever engine does it: requests in, completions with their log-probs out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

MAX_ROWS = 256
"""Completions under way at once, unless a sampler is told otherwise."""
MOST_ALTERNATIVES = 16
"""Alternatives of a token that can be recorded; vLLM names 20 log-probs a token at most."""


class FinishReason(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    """The model ended its turn, or wrote a stop string."""
    LENGTH = "length"
    """The token budget was used up: the text is cut short."""


@dataclass(frozen=True)
class SamplingParams:
    """How completions are drawn.

    Attributes:
        max_new_tokens: The token budget of one completion, the end-of-turn token included.
        temperature: 0 is greedy.
        top_p: The smallest set of tokens with this probability mass is kept; 1 keeps all.
        top_k: The k likeliest tokens are kept; 0 keeps all.
        min_p: Tokens under this share of the likeliest one's probability are dropped; 0 keeps all.
        min_new_tokens: Before so many tokens the turn cannot end: its tokens are not drawn, stop strings do not count.
        stop: Strings that end a completion once its text, special tokens included, holds one; they stay in it.
        alternatives: Of each token so many of the likeliest others are recorded, and the entropy; 0 records neither.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    min_new_tokens: int = 0
    stop: tuple[str, ...] = ()
    alternatives: int = 0


@dataclass(frozen=True)
class Request:
    """One prompt and the seeds of its group: as many completions as seeds."""

    prompt_ids: Sequence[int]
    seeds: Sequence[int]


@dataclass(frozen=True)
class Completion:
    """One sampled completion.

    Attributes:
        token_ids: The tokens, with the end-of-turn token, or all of the stop string, where one was reached.
        logprobs: Of each token, in nats, under the distribution it was drawn from (greedy: under temperature 1).
        finish_reason: Why it ended.
        seconds: From the start of its batch until it ended.
        entropies: Of what each token was drawn from, in nats; `None` where they are not recorded.
        alternatives: For each token the likeliest others, as (id, log-prob), likeliest first; `None` likewise.
    """

    token_ids: list[int]
    logprobs: list[float]
    finish_reason: FinishReason
    seconds: float
    entropies: list[float] | None = None
    alternatives: list[list[tuple[int, float]]] | None = None


class Sampler(Protocol):
    """Draws a group of completions for each request; equal requests give equal completions.

    A sampler may have `metrics`, a dict of numbers on the last call, which training logs under their names.
    """

    def sample(self, requests: Sequence[Request], params: SamplingParams) -> list[list[Completion]]: ...
