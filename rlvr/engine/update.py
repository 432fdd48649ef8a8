"""What an update leaves out because it teaches nothing: each saving leaves loss and gradients as they were.

Not here: which savings are wanted (`savings`), how log-probs are computed with less (`shared_prompt`, `passes`), and
the loss, which is TRL's.

Shapes: B rows, T tokens.
"""

from typing import Any

import torch
from torch import Tensor

from rlvr.engine.kept_products import KeptProducts
from rlvr.engine.packed_attention import can_pack
from rlvr.engine.passes import LogProbs, tokens_a_pass, trimmed_log_probs
from rlvr.engine.savings import Savings
from rlvr.engine.shared_prompt import shared_log_probs


def saving_log_probs(
    model: Any,
    unwrapped: Any,
    rows: tuple[Tensor, Tensor],
    num_tokens: int,
    max_rows: int | None,
    savings: Savings,
    products: KeptProducts | None = None,
) -> LogProbs | None:
    """Log-probs of the last `num_tokens` tokens of each row with the savings; `None` where none applies.

    Args:
        model: What is called: TRL's, as accelerate wrapped it.
        unwrapped: The model inside of it.
        rows: Token ids and mask (B, T), prompts padded on the left, completions on the right.
        num_tokens: Columns of completions.
        max_rows: Rows that one pass takes at most.
        savings: Which are wanted.
        products: What sampling multiplied.
    """
    found, tokens = None, tokens_a_pass(unwrapped) if savings.trim_padding else None
    if savings.share_prompts and can_pack(unwrapped):
        found = shared_log_probs(model, unwrapped, *rows, num_tokens, max_rows, tokens, products)
    if found is None and tokens:
        found = trimmed_log_probs(model, *rows, num_tokens, max_rows, tokens)
    return found


def rows_that_teach(advantages_B: Tensor, mask_BT: Tensor) -> Tensor | None:
    """Which rows (B, bool) have an advantage and tokens that count; `None` where all have.

    One is always kept, with tokens that count where there is such a row: for a gradient, and an entropy, to exist.
    """
    counts_B = mask_BT.any(-1)
    teaching_B = (advantages_B != 0) & counts_B
    if teaching_B.all():
        return None
    if not teaching_B.any():
        teaching_B[int(counts_B.int().argmax())] = True
    return teaching_B


def put_back(found: LogProbs, teaching_B: Tensor, mask_BT: Tensor, old_BT: Tensor | None) -> LogProbs:
    """Log-probs and entropies of the rows that teach, among all rows.

    A row that does not teach adds 0 to every loss of TRL's, whatever its log-probs, and counts in its denominators as
    before: it is given the old ones (ratio 1), or 0. For its entropies stands the mean of the others, so that TRL logs
    the mean over rows that teach.
    """
    log_probs, entropies = found
    filled = torch.zeros_like(mask_BT, dtype=log_probs.dtype) if old_BT is None else old_BT.to(log_probs.dtype)
    log_probs = filled.index_put((teaching_B.nonzero().squeeze(-1),), log_probs)
    if entropies is None:
        return log_probs, None
    mask_of_found = mask_BT[teaching_B]
    mean = (entropies * mask_of_found).sum() / mask_of_found.sum().clamp(min=1)
    every = mean.detach().expand(mask_BT.shape).clone()
    every[teaching_B] = entropies
    return log_probs, every
