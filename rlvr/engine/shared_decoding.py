"""Decoding on a CPU with the keys and values of a prompt kept once for its group, and read once for all of it.

transformers keeps them for each row, and torch's attention on a CPU is slow where a row has but one new token. Here the
queries of a group attend to their prompt as one matrix product, and each row's to what it drew itself; by the
log-sum-exp of their scores both parts are weighed into what attention over all of it gives, up to rounding.

    out = w a + (1 - w) b    w = sigmoid(lse_a - lse_b)    a: over the prompt, b: over the row's own tokens

Not here: drawing (`torch_sampler`), and the update, where `shared_prompt` passes a group's prompt once.

Shapes: P prompts, G rows of a prompt at most, B rows, H heads of keys, R heads of queries to each, T tokens, D the size
of a head.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import DynamicCache, DynamicLayer

from rlvr.engine.attention_cache import layer_kinds, make_roomy

MODEL_TYPES = {"llama", "qwen2", "qwen3", "smollm3"}
"""Models whose attention is scaled scores, softmax and values alone; with what others add to it they would be wrong."""

_NAME = "rlvr_shared_prompt"


@dataclass
class SharedPrompt:
    """The prompts of the rows under way.

    Attributes:
        states: Keys and values (P, H, T, D) of each layer.
        bias_P1T: Minus infinity where a prompt is padded, otherwise 0, with a dimension for heads.
        prompt_of_row_B: Whose they are.
    """

    states: list[tuple[Tensor, Tensor]]
    bias_P1T: Tensor
    prompt_of_row_B: Tensor

    def __post_init__(self) -> None:
        """Lays the rows out as a grid (P, G), in which a prompt of fewer rows repeats some row."""
        prompts, rows_B = len(self.bias_P1T), torch.arange(len(self.prompt_of_row_B))
        counts_P = self.prompt_of_row_B.bincount(minlength=prompts)
        first_P = counts_P.cumsum(0) - counts_P
        order_B = self.prompt_of_row_B.argsort(stable=True)
        column_B = rows_B - first_P[self.prompt_of_row_B[order_B]]
        self.grid_PG = torch.zeros(prompts, int(counts_P.max()), dtype=torch.long)
        self.grid_PG[self.prompt_of_row_B[order_B], column_B] = order_B
        self.place_B = torch.empty_like(rows_B)
        self.place_B[order_B] = self.prompt_of_row_B[order_B] * self.grid_PG.shape[1] + column_B

    def select(self, rows_B: Tensor) -> "SharedPrompt":
        """Of some rows; prompts that none of them has are left out."""
        kept_P, prompt_of_row_B = self.prompt_of_row_B[rows_B].unique(return_inverse=True)
        if len(kept_P) == len(self.bias_P1T):
            return SharedPrompt(self.states, self.bias_P1T, prompt_of_row_B)
        states = [(keys[kept_P], values[kept_P]) for keys, values in self.states]
        return SharedPrompt(states, self.bias_P1T[kept_P], prompt_of_row_B)

    def attended(self, query_BHRD: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """What each row's query finds in its prompt, and the log-sum-exp of its scores."""
        prompts, group = self.grid_PG.shape
        _, heads, repeats, size = query_BHRD.shape
        grid = query_BHRD[self.grid_PG.flatten()].view(prompts, group, heads, repeats, size).transpose(1, 2)
        found, lse = _attended(grid.reshape(prompts, heads, -1, size), *self.states[layer], self.bias_P1T)
        by_row = (prompts, heads, group, repeats, -1)
        return self._rows(found.view(by_row)), self._rows(lse.view(by_row))

    def _rows(self, grid: Tensor) -> Tensor:
        return grid.transpose(1, 2).flatten(0, 1)[self.place_B]


def can_share_decoding(model: Any) -> bool:
    """Whether a model decodes so: float32 on a CPU, keys and values of whole prompts, nothing added to scores."""
    plain = model.config.model_type in MODEL_TYPES and layer_kinds(model) == {DynamicLayer}
    on_cpu = model.device.type == "cpu" and model.dtype == torch.float32
    return plain and on_cpu and model.config._attn_implementation in ("sdpa", "eager")


def shared_prompt(cache: DynamicCache, mask_PT: Tensor, prompt_of_row_B: Tensor) -> tuple[SharedPrompt, DynamicCache]:
    """The prompts of a prefilled cache, and an empty cache for what the rows draw."""
    layers: Any = cache.layers
    states = [(layer.keys, layer.values) for layer in layers]
    bias_P1T = torch.zeros(mask_PT.shape).masked_fill(mask_PT == 0, -torch.inf)[:, None, None]
    own = DynamicCache([(keys[prompt_of_row_B, :, :0], values[prompt_of_row_B, :, :0]) for keys, values in states])
    make_roomy(own)
    return SharedPrompt(states, bias_P1T, prompt_of_row_B), own


@contextmanager
def decoding(model: Any, shares: bool) -> Iterator[None]:
    """For the time of the block, a model's attention is the one here; its calls are given `shared_prompt`."""
    before = model.config._attn_implementation
    if shares:
        model.set_attn_implementation(_NAME)
    try:
        yield
    finally:
        if shares:
            model.set_attn_implementation(before)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    shared_prompt: SharedPrompt,
    **_: Any,
) -> tuple[Tensor, None]:
    """As transformers calls it, with one new token a row."""
    rows, heads, _one, size = query.shape
    query_BHRD = query.view(rows, key.shape[1], -1, size) * scaling
    own, own_lse = _attended(query_BHRD, key, value)
    of_prompt, prompt_lse = shared_prompt.attended(query_BHRD, module.layer_idx)
    found = torch.lerp(own, of_prompt, (prompt_lse - own_lse).sigmoid())
    return found.view(rows, 1, heads, size), None


def _attended(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
    scores = query @ keys.transpose(-1, -2)
    if bias is not None:
        scores += bias
    lse = scores.logsumexp(-1, keepdim=True)
    return scores.sub_(lse).exp_() @ values, lse


AttentionInterface.register(_NAME, _attend)
