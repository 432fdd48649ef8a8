"""llama.cpp as a sampler like the others: prompts and seeds in, groups of completions out.

Logits come from llama.cpp, tokens are drawn from them as `TorchSampler` draws them, with the same random streams: a
file that is the model it was made from gives the completions that the model gives, so that the two can be compared pair
by pair. A completion ends where llama.cpp ends it.

Shapes: B rows (completions under way), V vocabulary.
"""

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlvr.engine.sampling import Completion, FinishReason, Request, SamplingParams
from rlvr.engine.stops import StopStrings
from rlvr.gguf.llama_model import LlamaContext, LlamaModel

if TYPE_CHECKING:
    import numpy as np
    import torch

    from rlvr.engine.token_record import Others, TokenRecord

_MAX_ROWS = 64
_MAX_TOKENS = 65_536
"""Of all sequences under way together: what their keys and values take is a few gigabytes in a model of 7 B."""


@dataclass
class _Row:
    """One completion under way."""

    owner: tuple[int, int]
    prompt: Sequence[int]
    seed: int
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    record: "TokenRecord | None" = None

    def completion(self, reason: FinishReason, started: float) -> Completion:
        seconds, noted = time.perf_counter() - started, self.record
        return Completion(
            self.token_ids, self.logprobs, reason, seconds, noted and noted.entropies, noted and noted.alternatives
        )

    def note(self, entropy: float, others: "Others") -> None:
        """Keeps what is recorded beside the token drawn next."""
        from rlvr.engine.token_record import TokenRecord

        self.record = self.record or TokenRecord()
        self.record.add(entropy, others)


class LlamaSampler:
    """Samples from an open GGUF file.

    Args:
        model: The file; it stays open.
        tokenizer: Of the file; only stop strings need it.
    """

    def __init__(self, model: LlamaModel, tokenizer: Any = None) -> None:
        self.model, self.tokenizer = model, tokenizer

    def sample(self, requests: Sequence[Request], params: SamplingParams) -> list[list[Completion]]:
        """A group for each request, in order; see `Sampler`."""
        rows = [
            _Row((index, number), request.prompt_ids, seed)
            for index, request in enumerate(requests)
            for number, seed in enumerate(request.seeds)
        ]
        done: dict[tuple[int, int], Completion] = {}
        longest = max(len(request.prompt_ids) for request in requests) + params.max_new_tokens
        at_once = max(1, min(_MAX_ROWS, len(rows), _MAX_TOKENS // longest))
        with closing(self.model.context(longest, at_once)) as context:
            for first in range(0, len(rows), at_once):
                done |= self._sample_rows(context, rows[first : first + at_once], params)
        return [[done[index, number] for number in range(len(r.seeds))] for index, r in enumerate(requests)]

    def _sample_rows(
        self, context: LlamaContext, rows: Sequence[_Row], params: SamplingParams
    ) -> dict[tuple[int, int], Completion]:
        """Rows to their ends, all decoded together; each is the sequence of its number."""
        from rlvr.engine.drawing import uniforms

        started = time.perf_counter()
        uniforms_BT = uniforms([row.seed for row in rows], params.max_new_tokens)
        logits_BV = self._prefill(context, rows)
        alive, done = list(range(len(rows))), {}
        stops = StopStrings.of(params, self.tokenizer)
        for position in range(params.max_new_tokens):
            if position < params.min_new_tokens:
                logits_BV[:, self.model.end_ids] = -math.inf
            tokens_B, logprobs_B = _drawn(logits_BV, uniforms_BT[alive, position], params)
            if params.alternatives:
                for sequence, noted in zip(alive, _beside(logits_BV, tokens_B, params), strict=True):
                    rows[sequence].note(*noted)
            ended = set()
            for sequence, token, logprob in zip(alive, tokens_B, logprobs_B, strict=True):
                rows[sequence].token_ids.append(token)
                rows[sequence].logprobs.append(logprob)
                if self.model.ends_turn(token) or (stops and stops.ended_by_the_last_of(rows[sequence].token_ids)):
                    done[rows[sequence].owner] = rows[sequence].completion(FinishReason.STOP, started)
                    ended.add(sequence)
            alive = [sequence for sequence in alive if sequence not in ended]
            if not alive or position + 1 == params.max_new_tokens:
                break
            logits_BV = context.decode([self._next(rows[sequence], sequence) for sequence in alive])
        return done | {rows[s].owner: rows[s].completion(FinishReason.LENGTH, started) for s in alive}

    def _prefill(self, context: LlamaContext, rows: Sequence[_Row]) -> "np.ndarray":
        """The logits after each row's prompt, [B, V]; a prompt that several rows share is decoded once."""
        import numpy as np

        context.clear()
        first_with: dict[int, int] = {}
        entries = []
        for sequence, row in enumerate(rows):
            if first_with.setdefault(row.owner[0], sequence) == sequence:
                last = len(row.prompt) - 1
                entries += [(token, place, sequence, place == last) for place, token in enumerate(row.prompt)]
        logits = dict(zip(first_with, context.decode(entries), strict=True))
        for sequence, row in enumerate(rows):
            if (source := first_with[row.owner[0]]) != sequence:
                context.copy(source, sequence)
        return np.stack([logits[row.owner[0]] for row in rows])

    @staticmethod
    def _next(row: _Row, sequence: int) -> tuple[int, int, int, bool]:
        return row.token_ids[-1], len(row.prompt) + len(row.token_ids) - 1, sequence, True


def _drawn(
    logits_BV: "np.ndarray", uniforms_B: "torch.Tensor", params: SamplingParams
) -> tuple[list[int], list[float]]:
    import torch

    from rlvr.engine.drawing import draw

    tokens_B, logprobs_B = draw(torch.from_numpy(logits_BV), uniforms_B, params)
    return tokens_B.tolist(), logprobs_B.tolist()


def _beside(logits_BV: "np.ndarray", tokens: Sequence[int], params: SamplingParams) -> list[tuple[float, "Others"]]:
    import torch

    from rlvr.engine.drawing import distribution
    from rlvr.engine.token_record import beside

    return beside(distribution(torch.from_numpy(logits_BV), params), tokens, params.alternatives)
