"""What sampling a group means, whichever engine does it: requests in, completions with their log-probs out.

A sampler draws one turn; episodes of several are made of its turns by `rlvr.engine.turns`.
"""

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
    TURNS = "turns"
    """The turns were used up before the environment ended the episode."""
    ERROR = "error"
    """The environment failed to reply."""


@dataclass(frozen=True)
class SamplingParams:
    """How completions are drawn.

    Attributes:
        max_new_tokens: The token budget of one completion, the end-of-turn token included; of an episode of several
            turns that of all of them, with what the environment replies.
        temperature: 0 is greedy.
        top_p: The smallest set of tokens with this probability mass is kept; 1 keeps all.
        top_k: The k likeliest tokens are kept; 0 keeps all.
        min_p: Tokens under this share of the likeliest one's probability are dropped; 0 keeps all.
        min_new_tokens: Before so many tokens the turn cannot end: its tokens are not drawn, stop strings do not count.
        stop: Strings that end a completion once its text, special tokens included, holds one; they stay in it.
        alternatives: Of each token so many of the likeliest others are recorded, and the entropy; 0 records neither.
        max_turns: Turns of an episode at most, where the environment allows more; samplers draw one, and pass it over.
    """

    max_new_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    min_new_tokens: int = 0
    stop: tuple[str, ...] = ()
    alternatives: int = 0
    max_turns: int | None = None


@dataclass(frozen=True)
class Request:
    """One prompt and the seeds of its group: as many completions as seeds.

    Attributes:
        max_new_tokens: A lower budget than that of the parameters; a sampler may pass it over, and its completion is
            cut to it.
    """

    prompt_ids: Sequence[int]
    seeds: Sequence[int]
    max_new_tokens: int | None = None

    def budget(self, params: SamplingParams) -> int:
        """Tokens that each of its completions may have."""
        return params.max_new_tokens if self.max_new_tokens is None else min(self.max_new_tokens, params.max_new_tokens)


@dataclass(frozen=True)
class Turn:
    """Who said what in an episode of several turns, and which of its tokens that is.

    Attributes:
        role: `assistant`, or whose reply it is.
        content: The text, special tokens left out.
        start, end: Its tokens in the completion, with the marks of the chat template around it.
    """

    role: str
    content: str
    start: int
    end: int

    @property
    def is_own(self) -> bool:
        """Whether the model said it."""
        return self.role == "assistant"


@dataclass(frozen=True)
class Completion:
    """One sampled completion.

    Attributes:
        token_ids: The tokens, with the end-of-turn token, or all of the stop string, where one was reached. Of several
            turns all of them, with what the environment replied.
        logprobs: Of each token, in nats, under the distribution it was drawn from (greedy: under temperature 1); `None`
            of a token that the environment said.
        finish_reason: Why it ended.
        seconds: From the start of its batch until it ended.
        entropies: Of what each token was drawn from, in nats; `None` where they are not recorded, or it was not drawn.
        alternatives: For each token the likeliest others, as (id, log-prob), likeliest first; `None` likewise.
        turns: The episode, where it may have several; otherwise none.
        error: Why the environment could not reply; empty where it could.
    """

    token_ids: list[int]
    logprobs: Sequence[float | None]
    finish_reason: FinishReason
    seconds: float
    entropies: Sequence[float | None] | None = None
    alternatives: list[list[tuple[int, float]]] | None = None
    turns: tuple[Turn, ...] = ()
    error: str = ""

    @property
    def own(self) -> list[bool]:
        """Of each token whether the model said it: of one turn, every one."""
        found = [not self.turns] * len(self.token_ids)
        for turn in self.turns:
            if turn.is_own:
                found[turn.start : turn.end] = [True] * (turn.end - turn.start)
        return found

    @property
    def own_ids(self) -> list[int]:
        """The tokens that the model said."""
        if not self.turns:
            return list(self.token_ids)
        return [token for token, is_own in zip(self.token_ids, self.own, strict=True) if is_own]

    @property
    def messages(self) -> list[dict[str, str]]:
        """The turns as chat messages."""
        return [{"role": turn.role, "content": turn.content} for turn in self.turns]


class Sampler(Protocol):
    """Draws a group of completions for each request; equal requests give equal completions.

    A sampler may have `metrics`, a dict of numbers on the last call, which training logs under their names.
    """

    def sample(self, requests: Sequence[Request], params: SamplingParams) -> list[list[Completion]]: ...
