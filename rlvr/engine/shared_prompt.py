"""Log-probs of completions, with the prompt of a group computed once rather than for each of its completions.

The prompts of a batch are passed through the model once each; their keys and values are spread over the completions,
which follow in passes of similar length (`passes`). The numbers are those of passing each row whole, up to rounding.
Positions count from a prompt's first token, as in sampling, not from its padding.

Shapes: P different prompts, B rows, T tokens.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicLayer

from rlvr.engine.attention_cache import layer_kinds, positions, spread
from rlvr.engine.passes import LogProbs, in_order, passes_of


def can_share(model: Any) -> bool:
    """Whether a model remembers what it read as keys and values alone, and may keep them while it trains."""
    recomputes = model.training and getattr(model, "is_gradient_checkpointing", False)
    return not recomputes and layer_kinds(model) == {DynamicLayer}


def shared_log_probs(
    model: Any,
    input_ids_BT: Tensor,
    mask_BT: Tensor,
    num_tokens: int,
    max_rows: int | None,
    tokens: int | None,
) -> LogProbs | None:
    """Log-probs of the last `num_tokens` tokens of each row, and the entropies (nats) of what they were drawn from.

    Args:
        model: A model with TRL's fused head (`trl.trainer.utils.add_fused_lm_head`), for which `can_share` holds.
        input_ids_BT: Prompts padded on the left, completions on the right.
        mask_BT: 1 where a token is.
        num_tokens: Columns of completions.
        max_rows: Rows that one pass takes at most.
        tokens: About how many of completions one pass takes, which is then cut to the longest; `None`: no cutting.

    Returns:
        Two tensors (B, `num_tokens`), 0 where padded, the second `None` where the head computes no entropies; or `None`
        where no prompt occurs twice.
    """
    unique, prompt_of_row_B = torch.unique(
        torch.stack([input_ids_BT, mask_BT], dim=-1)[:, :-num_tokens], dim=0, return_inverse=True
    )
    if len(unique) == len(input_ids_BT) or unique.shape[1] < 2:
        return None
    ids_PT, prompt_mask_PT = unique.unbind(-1)
    cache = model(  # the last token of a prompt goes with the completions, whose first token it predicts
        input_ids=ids_PT[:, :-1],
        attention_mask=prompt_mask_PT[:, :-1],
        position_ids=positions(prompt_mask_PT)[:, :-1],
        use_cache=True,
        logits_to_keep=1,
    ).past_key_values
    lengths_B = mask_BT[:, -num_tokens:].sum(-1)
    passes = passes_of(lengths_B, max_rows, tokens)
    outs = []
    for rows_B in passes:
        length = max(1, int(lengths_B[rows_B].max())) if tokens else num_tokens
        prompt_cache = spread(cache, prompt_of_row_B[rows_B])
        out = _completion_pass(model, input_ids_BT[rows_B], mask_BT[rows_B], num_tokens, length, prompt_cache)
        outs.append((out.log_probs, out.entropy))
    return in_order(outs, passes, num_tokens)


def _completion_pass(
    model: Any, input_ids_BT: Tensor, mask_BT: Tensor, num_tokens: int, length: int, cache: Any
) -> Any:
    """What the fused head says of the first `length` tokens of each completion: log-probs, entropies (B, `length`)."""
    end = input_ids_BT.shape[1] - num_tokens + length
    mask_BT = mask_BT[:, :end]
    ids_BT = input_ids_BT[:, end - length - 1 : end]
    return model(
        input_ids=ids_BT,
        attention_mask=mask_BT,
        position_ids=positions(mask_BT)[:, -length - 1 :],
        past_key_values=cache,
        labels=ids_BT.masked_fill(mask_BT[:, -length - 1 :] == 0, -100),
        fused_lm_head=True,
    )
