"""Log-probs of completions, with the prompt of a group computed once rather than for each of its completions.

The different prompts of a batch are passed through the model together, and then the completions, in passes of similar
length (`passes`), each packed so that little of it is padding (`packed_attention`). The numbers are those of passing
each row whole, up to rounding. Positions count from a prompt's first token, as in sampling, not from its padding.

Shapes: P different prompts, B rows, T tokens, R rows of a pass, N tokens of a pass.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from rlvr.engine.kept_products import KeptProducts
from rlvr.engine.packed_attention import Packing, Prompts, packed_attention
from rlvr.engine.passes import LogProbs, in_order, passes_of


def shared_log_probs(
    model: Any,
    unwrapped: Any,
    input_ids_BT: Tensor,
    mask_BT: Tensor,
    num_tokens: int,
    max_rows: int | None,
    tokens: int | None,
    products: KeptProducts | None = None,
) -> LogProbs | None:
    """Log-probs of the last `num_tokens` tokens of each row, and the entropies (nats) of what they were drawn from.

    Args:
        model: What is called: a model with TRL's fused head (`trl.trainer.utils.add_fused_lm_head`).
        unwrapped: The model inside of it, for which `rlvr.engine.packed_attention.can_pack` holds.
        input_ids_BT: Prompts padded on the left, completions on the right.
        mask_BT: 1 where a token is.
        num_tokens: Columns of completions.
        max_rows: Rows, and prompts, that one pass takes at most.
        tokens: About how many of completions one pass takes, whose padding is then left out; `None`: it is kept.
        products: What sampling multiplied, in place of which nothing is multiplied again; not where padding is kept.

    Returns:
        Two tensors (B, `num_tokens`), 0 where padded, the second `None` where the head computes no entropies; or `None`
        where no prompt occurs twice.
    """
    unique, prompt_of_row_B = torch.unique(
        torch.stack([input_ids_BT, mask_BT], dim=-1)[:, :-num_tokens], dim=0, return_inverse=True
    )
    prompt_lengths_P = unique[..., 1].sum(-1) - 1  # its last token goes with the completions, and predicts their first
    if len(unique) == len(input_ids_BT) or not prompt_lengths_P.all():
        return None
    if max_rows is not None and len(unique) > max_rows:
        parts = [(prompt_of_row_B // max_rows == n).nonzero().squeeze(-1) for n in range(-(-len(unique) // max_rows))]
        limits = (num_tokens, max_rows, tokens, products)
        outs = [shared_log_probs(model, unwrapped, input_ids_BT[part], mask_BT[part], *limits) for part in parts]
        return None if any(out is None for out in outs) else in_order([out for out in outs if out], parts, num_tokens)
    lengths_B = mask_BT[:, -num_tokens:].sum(-1).clamp(min=1)
    if tokens is None:
        lengths_B = torch.full_like(lengths_B, num_tokens)
    known = _Known(products if tokens else None, unwrapped, input_ids_BT, mask_BT)
    parts = [part for part in (known.rows_B.nonzero().squeeze(-1), (~known.rows_B).nonzero().squeeze(-1)) if len(part)]
    passes = [part[rows_R] for part in parts for rows_R in passes_of(lengths_B[part], max_rows, tokens)]
    with packed_attention(unwrapped):
        with known.prompts(prompt_of_row_B, prompt_lengths_P):
            prompts = _prompt_pass(model, unique[..., 0], prompt_lengths_P)
        outs = []
        for rows_R in passes:
            packing = Packing(lengths_B[rows_R], prompts, prompt_of_row_B[rows_R])
            with known.completions(rows_R, prompt_lengths_P[prompt_of_row_B[rows_R]]):
                outs.append(_completion_pass(model, packing, rows_R[packing.row_N], input_ids_BT, mask_BT, num_tokens))
    places, log_probs, entropies = zip(*outs, strict=True)

    def in_rows(parts: Any) -> Tensor:
        found_N = torch.cat(parts)
        empty = found_N.new_zeros(len(lengths_B) * num_tokens)
        return empty.index_copy(0, torch.cat(places), found_N).view(-1, num_tokens)

    return in_rows(log_probs), None if entropies[0] is None else in_rows(entropies)


class _Known:
    """Which rows' products are known, and where.

    Attributes:
        rows_B: Whether those of a row are, its prompt's too.
    """

    def __init__(self, products: KeptProducts | None, model: Any, input_ids_BT: Tensor, mask_BT: Tensor) -> None:
        self._products = products
        none: list[Tensor | None] = [None] * len(input_ids_BT)
        self._places_B = products.of_rows(model, input_ids_BT, mask_BT) if products else none
        known = [places is not None for places in self._places_B]
        self.rows_B = torch.tensor(known, dtype=torch.bool, device=input_ids_BT.device)

    def prompts(self, prompt_of_row_B: Tensor, lengths_P: Tensor) -> AbstractContextManager[None]:
        """For the pass of the prompts: any row of each says where its tokens are."""
        places_P: list[Tensor | None] = [None] * len(lengths_P)
        for prompt, places in zip(prompt_of_row_B.tolist(), self._places_B, strict=True):
            if places is not None:
                places_P[prompt] = places[: int(lengths_P[prompt])]
        return self._given(places_P)

    def completions(self, rows_R: Tensor, prompt_lengths_R: Tensor) -> AbstractContextManager[None]:
        """For a pass of these rows, after the prompts of these lengths."""
        if self._products is None:
            return nullcontext()
        pairs = zip(rows_R.tolist(), prompt_lengths_R.tolist(), strict=True)
        places_R = [(self._places_B[row], length) for row, length in pairs]
        return self._given([None if places is None else places[length:] for places, length in places_R])

    def _given(self, parts: list[Tensor | None]) -> AbstractContextManager[None]:
        """Looks all of a pass up, or nothing where a part of it is not known."""
        known = [part for part in parts if part is not None]
        if self._products is None or len(known) < len(parts):
            return nullcontext()
        return self._products.given(torch.cat(known))


def _prompt_pass(model: Any, ids_PT: Tensor, lengths_P: Tensor) -> Prompts:
    """Passes the prompts without the last token of each."""
    prompts = Prompts(lengths_P)
    packing = Packing(lengths_P, prompts)
    first_P = ids_PT.shape[1] - 1 - lengths_P
    model(
        input_ids=ids_PT[packing.row_N, first_P[packing.row_N] + packing.column_N][None],
        position_ids=packing.position_N[None],
        packing=packing,
        use_cache=False,
        logits_to_keep=1,
    )
    prompts.passed = True
    return prompts


def _completion_pass(
    model: Any, packing: Packing, row_N: Tensor, input_ids_BT: Tensor, mask_BT: Tensor, num_tokens: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Of a pass, where its tokens belong among (B, `num_tokens`), what the fused head says of them, and entropies."""
    before_N = input_ids_BT.shape[1] - num_tokens - 1 + packing.column_N
    labels_N = input_ids_BT[row_N, before_N + 1].masked_fill(mask_BT[row_N, before_N + 1] == 0, -100)
    out = model(
        input_ids=input_ids_BT[row_N, before_N][None],
        position_ids=packing.position_N[None],
        packing=packing,
        shift_labels=labels_N[None],
        fused_lm_head=True,
    )
    entropies = None if out.entropy is None else out.entropy[0]
    return row_N * num_tokens + packing.column_N, out.log_probs[0], entropies
