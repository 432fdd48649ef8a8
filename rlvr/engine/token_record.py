"""What is recorded of a token beside its log-prob: how unsure the sampler was, and what else it could have drawn.

For a person who reads the traces; nothing is learned from it. Shapes: B rows (completions under way), V vocabulary.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch

Others = list[tuple[int, float]]
"""Tokens with their log-probs in nats, the likeliest first."""


@dataclass
class TokenRecord:
    """Of the tokens of one completion so far.

    Attributes:
        entropies: Of what each was drawn from, in nats.
        alternatives: The likeliest tokens that it could have been instead.
    """

    entropies: list[float] = field(default_factory=list)
    alternatives: list[Others] = field(default_factory=list)

    def add(self, entropy: float, others: Others) -> None:
        self.entropies.append(entropy)
        self.alternatives.append(others)


def beside(logprobs_BV: torch.Tensor, tokens: Sequence[int], num_others: int) -> list[tuple[float, Others]]:
    """For each row the entropy of what its token was drawn from, and the likeliest tokens that it is not.

    Args:
        logprobs_BV: Of every token, in nats; minus infinity for one that could not be drawn.
        tokens: What was drawn in each row.
        num_others: How many tokens to name; fewer where fewer could be drawn.
    """
    entropies_B = torch.special.entr(logprobs_BV.exp()).sum(-1)
    top = logprobs_BV.topk(min(num_others + 1, logprobs_BV.size(-1)), dim=-1)
    found = []
    rows = zip(tokens, entropies_B.tolist(), top.indices.tolist(), top.values.tolist(), strict=True)
    for token, entropy, ids, logprobs in rows:
        found.append((entropy, others_of(zip(ids, logprobs, strict=True), token, num_others)))
    return found


def others_of(likeliest: Iterable[tuple[int, float]], token: int, num_others: int) -> Others:
    """Of the likeliest tokens with their log-probs, in any order, those that are not the one drawn and could have been.

    >>> others_of([(5, -0.5), (7, -3.0), (6, -1.0), (8, float("-inf"))], 6, 3)
    [(5, -0.5), (7, -3.0)]
    """
    found = [(other, logprob) for other, logprob in likeliest if other != token and logprob > -math.inf]
    return sorted(found, key=lambda each: -each[1])[:num_others]
