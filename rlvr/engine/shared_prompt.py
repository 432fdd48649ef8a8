"""Log-probs of completions, with the prompt of a group computed once rather than for each of its completions.

The prompts of a batch are passed through the model once each; their keys and values are spread over the completions,
which follow in passes of similar length, so that little of them is padding. The numbers are those of passing each row
whole, up to rounding. Positions count from a prompt's first token, as in sampling, not from its padding.

Shapes: P different prompts, B rows, T tokens.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from transformers.cache_utils import DynamicLayer

from rlvr.engine.attention_cache import layer_kinds, spread

_TOKENS_A_PASS = {"cpu": 2048, "cuda": 32768}
"""About how many completion tokens make a pass: enough to keep the device busy, few enough to be of like length."""


def can_share(model: Any) -> bool:
    """Whether a model remembers what it read as keys and values alone, and may keep them while it trains."""
    recomputes = model.training and getattr(model, "is_gradient_checkpointing", False)
    return not recomputes and layer_kinds(model) == {DynamicLayer}


def shared_log_probs(
    model: Any, input_ids_BT: torch.Tensor, mask_BT: torch.Tensor, num_tokens: int, max_rows: int | None = None
) -> tuple[torch.Tensor, torch.Tensor | None] | None:
    """Log-probs of the last `num_tokens` tokens of each row, and the entropies (nats) of what they were drawn from.

    Args:
        model: A model with TRL's fused head (`trl.trainer.utils.add_fused_lm_head`), for which `can_share` holds.
        input_ids_BT: Prompts padded on the left, completions on the right.
        mask_BT: 1 where a token is.
        num_tokens: Columns of completions.
        max_rows: Rows that one pass takes at most.

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
        position_ids=_positions(prompt_mask_PT)[:, :-1],
        use_cache=True,
        logits_to_keep=1,
    ).past_key_values
    lengths_B = mask_BT[:, -num_tokens:].sum(-1)
    passes = list(_passes(lengths_B, max_rows))
    outs = [
        _completion_pass(model, input_ids_BT[rows], mask_BT[rows], num_tokens, length, spread(cache, prompts))
        for rows, length in passes
        for prompts in [prompt_of_row_B[rows]]
    ]
    order_B = torch.cat([rows for rows, _ in passes]).argsort()
    log_probs = _in_order([out.log_probs for out in outs], num_tokens, order_B)
    entropies = None if outs[0].entropy is None else _in_order([out.entropy for out in outs], num_tokens, order_B)
    return log_probs, entropies


def _passes(lengths_B: torch.Tensor, max_rows: int | None) -> Iterator[tuple[torch.Tensor, int]]:
    """The rows of each pass, shortest first, and the length of the longest of them."""
    num_passes = max(1, round(int(lengths_B.sum()) / _TOKENS_A_PASS.get(lengths_B.device.type, 32768)))
    if max_rows is not None:
        num_passes = max(num_passes, -(-len(lengths_B) // max_rows))
    for rows in lengths_B.argsort(stable=True).tensor_split(num_passes):
        yield rows, max(1, int(lengths_B[rows[-1]]))


def _completion_pass(
    model: Any, input_ids_BT: torch.Tensor, mask_BT: torch.Tensor, num_tokens: int, length: int, cache: Any
) -> Any:
    """What the fused head says of the first `length` tokens of each completion: log-probs, entropies (B, `length`)."""
    end = input_ids_BT.shape[1] - num_tokens + length
    mask_BT = mask_BT[:, :end]
    ids_BT = input_ids_BT[:, end - length - 1 : end]
    return model(
        input_ids=ids_BT,
        attention_mask=mask_BT,
        position_ids=_positions(mask_BT)[:, -length - 1 :],
        past_key_values=cache,
        labels=ids_BT.masked_fill(mask_BT[:, -length - 1 :] == 0, -100),
        fused_lm_head=True,
    )


def _in_order(outs: Sequence[torch.Tensor], num_tokens: int, order_B: torch.Tensor) -> torch.Tensor:
    return torch.cat([pad(out, (0, num_tokens - out.shape[1])) for out in outs])[order_B]


def _positions(mask_BT: torch.Tensor) -> torch.Tensor:
    return (mask_BT.cumsum(-1) - 1).clamp(min=0)
