"""Drawing tokens from logits: how a distribution is restricted, and one token of it from a uniform number.

Shapes: B rows, V vocabulary, T tokens.
"""

from collections.abc import Sequence

import torch

from rlvr.engine.sampling import SamplingParams


def draw(
    logits_BV: torch.Tensor, uniforms_B: torch.Tensor, params: SamplingParams
) -> tuple[torch.Tensor, torch.Tensor]:
    """One token a row and its log-prob: by inversion of the distribution's cumulative sum at a uniform number."""
    logprobs_BV = distribution(logits_BV, params)
    if params.temperature == 0:
        tokens_B = logprobs_BV.argmax(-1)
    else:
        cumulative_BV = logprobs_BV.exp().cumsum(-1)
        targets_B1 = uniforms_B[:, None] * cumulative_BV[:, -1:]
        tokens_B = (
            torch.searchsorted(cumulative_BV, targets_B1, right=True).squeeze(-1).clamp(max=logits_BV.size(-1) - 1)
        )
    return tokens_B, logprobs_BV.gather(-1, tokens_B[:, None]).squeeze(-1)


def distribution(logits_BV: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """Log-probs (B, V) of what a token is drawn from; of greedy sampling those under temperature 1."""
    if params.temperature == 0:
        return logits_BV.log_softmax(-1)
    return restricted(logits_BV / params.temperature, params).log_softmax(-1)


def restricted(logits_BV: torch.Tensor, params: SamplingParams) -> torch.Tensor:
    """Logits with the tokens that min-p, top-k or top-p leave out at minus infinity; in this order, which is vLLM's."""
    if params.top_k == 0 and params.top_p == 1.0 and params.min_p == 0.0:
        return logits_BV
    from transformers import LogitsProcessorList, MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    warpers = LogitsProcessorList()
    if params.min_p > 0:
        warpers.append(MinPLogitsWarper(params.min_p))
    if params.top_k:
        warpers.append(TopKLogitsWarper(params.top_k))
    if params.top_p < 1:
        warpers.append(TopPLogitsWarper(params.top_p))
    return warpers(torch.empty(0, dtype=torch.long), logits_BV)  # pyright: ignore[reportArgumentType]


def uniforms(seeds: Sequence[int], num_tokens: int) -> torch.Tensor:
    """A row of uniform numbers in [0, 1) for each seed, made on the CPU so that every device draws the same."""
    return torch.stack([torch.rand(num_tokens, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
