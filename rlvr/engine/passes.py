"""The rows of an update dealt out to passes through the model, of similar length so that little of them is padding.

Shapes: B rows, T tokens.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from rlvr.engine.attention_cache import positions

_TOKENS_A_PASS = 32768
"""About how many tokens make a pass on an accelerator: enough to keep it busy, few enough to be of like length."""

_NUMBERS_A_PASS = 2**17
"""Tokens times the width of the model that make a pass on a CPU: 512 KiB in float32, which its inner cache holds."""

LogProbs = tuple[Tensor, Tensor | None]
"""Of each row's completion the log-probs of its tokens, and the entropies (nats) of what they were drawn from."""


def tokens_a_pass(model: Any) -> int:
    """About how many tokens make a pass through a model, where it is."""
    if model.device.type != "cpu":
        return _TOKENS_A_PASS
    return max(1, _NUMBERS_A_PASS // model.config.get_text_config().hidden_size)


def passes_of(lengths_B: Tensor, max_rows: int | None, tokens: int | None) -> list[Tensor]:
    """The rows of each pass: where they are trimmed, the shortest first and about as many tokens in each.

    Args:
        lengths_B: Tokens of each row that a pass computes.
        max_rows: Rows that a pass takes at most.
        tokens: About how many a pass takes, which is then cut to its longest row; `None`: rows stay in order, in as few
            passes as allowed.
    """
    most = max_rows or len(lengths_B)
    if tokens is None:
        return list(torch.arange(len(lengths_B), device=lengths_B.device).split(most))
    order_B = lengths_B.argsort(stable=True)
    until_B = lengths_B[order_B].cumsum(0)
    count = max(1, round(int(until_B[-1]) / tokens))
    pass_of_row_B = (until_B - 1) * count // until_B[-1]
    passes = order_B.split(pass_of_row_B.unique_consecutive(return_counts=True)[1].tolist())
    return [part for rows_R in passes for part in rows_R.split(most)]


def trimmed_log_probs(
    model: Any, input_ids_BT: Tensor, mask_BT: Tensor, num_tokens: int, max_rows: int | None, tokens: int
) -> LogProbs:
    """Log-probs of the last `num_tokens` tokens of each row; every pass is cut to its longest prompt and completion.

    Args and result as of `rlvr.engine.shared_prompt.shared_log_probs`.
    """
    passes = passes_of(mask_BT.sum(-1), max_rows, tokens)
    outs = []
    for rows_B in passes:
        present_T = mask_BT[rows_B].any(0).nonzero().squeeze(-1)
        first, end = int(present_T[0]), int(present_T[-1]) + 1
        ids_BT, pass_mask_BT = input_ids_BT[rows_B, first:end], mask_BT[rows_B, first:end]
        length = max(1, end - (input_ids_BT.shape[1] - num_tokens))
        labels_BT = ids_BT.masked_fill(pass_mask_BT == 0, -100)
        labels_BT[:, :-length] = -100
        out = model(
            input_ids=ids_BT,
            attention_mask=pass_mask_BT,
            position_ids=positions(pass_mask_BT),
            labels=labels_BT,
            fused_lm_head=True,
        )
        outs.append((out.log_probs[:, -length:], None if out.entropy is None else out.entropy[:, -length:]))
    return in_order(outs, passes, num_tokens)


def in_order(outs: Sequence[LogProbs], passes: Sequence[Tensor], num_tokens: int) -> LogProbs:
    """What the passes gave, (B, `num_tokens`), row `b` where row `b` was; 0 where padded."""
    order_B = torch.cat(list(passes)).argsort()

    def gathered(parts: Sequence[Tensor]) -> Tensor:
        return torch.cat([pad(part, (0, num_tokens - part.shape[1])) for part in parts])[order_B]

    log_probs = gathered([log_probs for log_probs, _ in outs])
    entropies = [entropies for _, entropies in outs if entropies is not None]
    return log_probs, gathered(entropies) if entropies else None
