"""Decoding on a CPU with the keys and values of a prompt kept once for its group, and read once for all of it.

transformers keeps them for each row, torch's attention on a CPU is slow where a row has but one new token, and a small
model's step is mostly the calling of operations. Here a step is as few of them as it can be: projections of the same
input are one product, and the queries of a group attend to their prompt as one product, each row's to what it drew
itself, under one softmax over both. It gives what transformers' own step gives, up to rounding.

Not here: drawing and the prompt's own pass (`torch_sampler`), and the update, where `shared_prompt` passes a group's
prompt once.

Shapes: P prompts, G rows of a prompt at most, B rows, H heads of keys, R heads of queries to each, T tokens, D the size
of a head, C the width of the model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, rms_norm
from transformers.cache_utils import DynamicCache, DynamicLayer

from rlvr.engine.attention_cache import layer_kinds
from rlvr.engine.prepacked import Projection, prepacked_linear

MODEL_TYPES = {"llama", "qwen2", "qwen3", "smollm3"}
"""Models whose layers are those of `_Layer`; what another one adds to them would be left out."""
GROUPS = (
    ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    ("self_attn.o_proj",),
    ("mlp.gate_proj", "mlp.up_proj"),
    ("mlp.down_proj",),
)
"""The linear layers of such a layer; those of one input, which are one product here, together."""
Keeping = Callable[[int, int, Projection], Projection]
"""Given a layer, a group of its linear layers and their joint projection: one that keeps what it gives."""


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
        self._is_grid = torch.equal(self.grid_PG.flatten(), rows_B)

    def select(self, rows_B: Tensor) -> "SharedPrompt":
        """Of some rows; prompts that none of them has are left out."""
        kept_P, prompt_of_row_B = self.prompt_of_row_B[rows_B].unique(return_inverse=True)
        if len(kept_P) == len(self.bias_P1T):
            return SharedPrompt(self.states, self.bias_P1T, prompt_of_row_B)
        states = [(keys[kept_P], values[kept_P]) for keys, values in self.states]
        return SharedPrompt(states, self.bias_P1T[kept_P], prompt_of_row_B)

    def attended(self, query_BHRD: Tensor, layer: int, keys_BHTD: Tensor, values_BHTD: Tensor) -> Tensor:
        """What each row's scaled query finds in its prompt and in the keys and values of its own, (B, H, R, D)."""
        prompt_keys, prompt_values = self.states[layer]
        of_prompt = (self._grid(query_BHRD) @ prompt_keys.transpose(-1, -2)).add_(self.bias_P1T)
        scores = torch.cat([self._rows(of_prompt), query_BHRD @ keys_BHTD.transpose(-1, -2)], -1)
        shares, own_shares = scores.softmax(-1).split([prompt_keys.shape[2], keys_BHTD.shape[2]], -1)
        return self._rows(self._grid(shares) @ prompt_values) + own_shares @ values_BHTD

    def _grid(self, of_rows: Tensor) -> Tensor:
        """From (B, H, R, …) to (P, H, G R, …)."""
        prompts, group = self.grid_PG.shape
        grid = of_rows if self._is_grid else of_rows.index_select(0, self.grid_PG.flatten())
        return grid.unflatten(0, (prompts, group)).transpose(1, 2).flatten(2, 3)

    def _rows(self, of_grid: Tensor) -> Tensor:
        """And back."""
        rows = of_grid.unflatten(2, (self.grid_PG.shape[1], -1)).transpose(1, 2).flatten(0, 1)
        return rows if self._is_grid else rows.index_select(0, self.place_B)


def can_share_decoding(model: Any) -> bool:
    """Whether a model decodes so: float32 on a CPU, keys and values of whole prompts, nothing added to scores."""
    of_transformers = type(model.get_decoder()).__module__.startswith("transformers.models.")
    known = of_transformers and model.config.model_type in MODEL_TYPES
    plain = known and layer_kinds(model) == {DynamicLayer} and not getattr(model, "is_quantized", False)
    on_cpu = model.device.type == "cpu" and model.dtype == torch.float32
    return plain and on_cpu and model.config._attn_implementation in ("sdpa", "eager")


def shared_prompt(cache: DynamicCache, mask_PT: Tensor, prompt_of_row_B: Tensor) -> tuple[SharedPrompt, DynamicCache]:
    """The prompts of a prefilled cache, and an empty cache for what the rows draw."""
    layers: Any = cache.layers
    states = [(layer.keys.float(), layer.values.float()) for layer in layers]  # autocast may have halved them
    bias_P1T = torch.zeros(mask_PT.shape).masked_fill(mask_PT == 0, -torch.inf)[:, None, None]
    own = DynamicCache([(keys[prompt_of_row_B, :, :0], values[prompt_of_row_B, :, :0]) for keys, values in states])
    return SharedPrompt(states, bias_P1T, prompt_of_row_B), own


class SharedDecoder:
    """A model for which `can_share_decoding` holds, with the weights that it has now, one token a row at a time.

    Args:
        model: The model.
        prepacks: Whether its weights are packed for products of few rows.
        keeping: Keeps what its layers multiply, where that is wanted.
    """

    def __init__(self, model: Any, prepacks: bool = True, keeping: Keeping | None = None) -> None:
        decoder, joint = model.get_decoder(), partial(_joint, prepacks=prepacks)
        self.embed, self.rotary, self.norm = decoder.embed_tokens, decoder.rotary_emb, decoder.norm
        self.head = joint(model.get_output_embeddings())
        self.layers = [_Layer(layer, joint) for layer in decoder.layers]
        if keeping:
            for number, layer in enumerate(self.layers):
                layer.keep(partial(keeping, number))

    def logits(self, tokens_B: Tensor, positions_B: Tensor, cache: DynamicCache, prompt: SharedPrompt) -> Tensor:
        """Of the token after each row's (B, V); its keys and values are put into the cache."""
        x_BC = self.embed(tokens_B)
        cos_B1D, sin_B1D = (each.squeeze(0)[:, None] for each in self.rotary(x_BC, positions_B[None]))
        first, second = sin_B1D.chunk(2, -1)
        turn = (cos_B1D, torch.cat([-first, second], -1))  # a head's halves change places, the second with its sign
        for layer in self.layers:
            x_BC = layer(x_BC, turn, cache, prompt)
        return self.head(self.norm(x_BC))


class _Layer:
    """x + attention(norm(x)), then x + mlp(norm(x)), with the projections of each norm as one product."""

    def __init__(self, layer: Any, joint: Callable[..., Projection]) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.index, self.size, self.scale = attention.layer_idx, attention.head_dim, attention.scaling
        self.repeats = attention.num_key_value_groups
        self.norm, self.mlp_norm = layer.input_layernorm, layer.post_attention_layernorm
        self.qkv, self.out = joint(attention.q_proj, attention.k_proj, attention.v_proj), joint(attention.o_proj)
        self.gate_up, self.down, self.act = joint(mlp.gate_proj, mlp.up_proj), joint(mlp.down_proj), mlp.act_fn
        self.num_heads = attention.k_proj.out_features // self.size
        self.head_norms = None
        if hasattr(attention, "q_norm"):
            norms = [attention.q_norm] * (self.num_heads * self.repeats) + [attention.k_norm] * self.num_heads
            self.head_norms = torch.stack([norm.weight for norm in norms]), attention.q_norm.variance_epsilon
        self.rotates = getattr(attention, "use_rope", True)  # SmolLM3 has layers that know no positions

    def keep(self, keeping: Callable[[int, Projection], Projection]) -> None:
        self.qkv, self.out = keeping(0, self.qkv), keeping(1, self.out)
        self.gate_up, self.down = keeping(2, self.gate_up), keeping(3, self.down)

    def __call__(self, x_BC: Tensor, turn: tuple[Tensor, Tensor], cache: Any, prompt: SharedPrompt) -> Tensor:
        x_BC = x_BC + self.out(self._attended(_normed(self.norm, x_BC), turn, cache, prompt))
        gate, up = self.gate_up(_normed(self.mlp_norm, x_BC)).chunk(2, -1)
        return x_BC + self.down(self.act(gate) * up)

    def _attended(self, x_BC: Tensor, turn: tuple[Tensor, Tensor], cache: Any, prompt: SharedPrompt) -> Tensor:
        rows, queries = len(x_BC), self.num_heads * self.repeats
        found = self.qkv(x_BC).view(rows, -1, self.size)
        placed, value = found.split([queries + self.num_heads, self.num_heads], 1)
        if self.head_norms is not None:
            weights_RD, epsilon = self.head_norms
            placed = rms_norm(placed, (self.size,), None, epsilon) * weights_RD
        if self.rotates:
            cos, sin = turn
            placed = placed * cos + placed.roll(self.size // 2, -1) * sin
        query, key = placed.split([queries, self.num_heads], 1)
        keys, values = cache.layers[self.index].update(key[:, :, None], value[:, :, None])
        query_BHRD = (query * self.scale).view(rows, self.num_heads, self.repeats, self.size)
        return prompt.attended(query_BHRD, self.index, keys, values).flatten(1)


def _normed(norm: Any, x: Tensor) -> Tensor:
    return rms_norm(x, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _joint(*projections: Any, prepacks: bool) -> Projection:
    """One projection that gives what each gives, side by side."""
    weights, biases = zip(*(_weight_and_bias(each) for each in projections), strict=True)
    weight = weights[0] if len(weights) == 1 else torch.cat(weights)
    bias = biases[0] if len(biases) == 1 or biases[0] is None else torch.cat(biases)
    return prepacked_linear(weight, bias) if prepacks else partial(linear, weight=weight, bias=bias)


def _weight_and_bias(projection: Any) -> tuple[Tensor, Tensor | None]:
    """Of a layer with an adapter, the weight is what it makes of each unit vector."""
    bias = projection.bias
    if type(projection) is torch.nn.Linear:
        return projection.weight, bias
    found = projection(torch.eye(projection.in_features))
    return (found if bias is None else found - bias).T, bias
