"""Rows of different lengths passed through a model side by side, as one row without padding.

All of a model but its attention takes each token by itself, so there nothing is padded. Attention finds the rows again:
it lays them out as a grid, each after the prompt that it shares with others, and takes the grid apart when it is done.

Not here: which rows are packed, and what is made of the model's output (`shared_prompt`).

Shapes: P prompts, R rows of a pass, N tokens of all of them, T tokens of the longest, H heads, D the size of a head.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from rlvr.engine.attention_cache import layer_kinds
from rlvr_rewards.errors import one_line

_NAME = "rlvr_packed"
_MOST_DIFFERENT = 0.05
"""Of the greatest logit: bfloat16 rounds less, attention that overlooks a prompt is further off."""

_log = logging.getLogger(__name__)
_tried: "WeakKeyDictionary[Any, bool]" = WeakKeyDictionary()


def can_pack(model: Any) -> bool:
    """Whether a model's attention can be told of the rows: torch's own, of whole rows, through transformers' interface.

    That a class says so is not enough: it is tried once on each model. Activations may be recomputed (gradient
    checkpointing), but not reentrantly, which keeps no gradient of a prompt's keys and values, nor in contexts of the
    user's own.
    """
    ways = [each._gradient_checkpointing_func.keywords for each in _recomputing(model)]
    recomputable = all(way.get("use_reentrant") is False and "context_fn" not in way for way in ways)
    says_so = getattr(model, "_supports_attention_backend", False) and not model.config.sub_configs
    plain = model.config._attn_implementation == "sdpa" and layer_kinds(model) == {DynamicLayer}
    if not (recomputable and says_so and plain):
        return False
    if model not in _tried:
        _tried[model] = _packs(model)
    return _tried[model]


@contextmanager
def packed_attention(model: Any) -> Iterator[None]:
    """A model for which `can_pack` holds, called within with the keyword `packing` and neither mask nor cache.

    Activations that its backward pass recomputes, later, are computed with the same attention.
    """
    with ExitStack() as at_end:
        at_end.callback(model.set_attn_implementation, model.config._attn_implementation)
        model.set_attn_implementation(_NAME)
        for layer in _recomputing(model):
            checkpoint = layer._gradient_checkpointing_func
            at_end.callback(setattr, layer, "_gradient_checkpointing_func", checkpoint)
            recomputed = partial(checkpoint, context_fn=lambda: (nullcontext(), _attending(model.config)))
            layer._gradient_checkpointing_func = recomputed
        yield


@contextmanager
def _attending(config: Any) -> Iterator[None]:
    before, config._attn_implementation = config._attn_implementation, _NAME
    try:
        yield
    finally:
        config._attn_implementation = before


def _recomputing(model: Any) -> list[Any]:
    """The layers whose activations are recomputed, each with a `_gradient_checkpointing_func`."""
    return [each for each in model.modules() if model.training and getattr(each, "gradient_checkpointing", False)]


@dataclass
class Prompts:
    """Prompts whose keys and values rows attend to.

    Attributes:
        lengths_P: Tokens of each.
        states: Keys and values (P, H, T, D) of each layer by its number, put here by the prompts' own pass.
        passed: Whether that is over; what still attends as a prompt is then recomputed.
    """

    lengths_P: Tensor
    states: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)
    passed: bool = False


class Packing:
    """Where the tokens of a pass stand.

    Args:
        lengths_R: Tokens of each row, at least 1.
        prompts: What the rows follow; they are the prompts themselves where `prompt_of_row_R` is not given.
        prompt_of_row_R: The prompt of each row.

    Attributes:
        row_N, column_N: The row of each token, and how many tokens of it stand before.
        position_N: How many tokens stand before it, those of its prompt too.
    """

    def __init__(self, lengths_R: Tensor, prompts: Prompts, prompt_of_row_R: Tensor | None = None) -> None:
        rows, self._longest = len(lengths_R), int(lengths_R.max())
        before_R = lengths_R.cumsum(0) - lengths_R
        self.row_N = torch.arange(rows, device=lengths_R.device).repeat_interleave(lengths_R)
        tokens_N = torch.arange(len(self.row_N), device=lengths_R.device)
        self.column_N = self.position_N = tokens_N - before_R[self.row_N]
        self._place_N = self.row_N * self._longest + self.column_N
        self._token_of_place = tokens_N.new_zeros(rows * self._longest)  # an empty one: any, which no token attends to
        self._token_of_place[self._place_N] = tokens_N
        self._prompts, self._prompt_of_row_R, self._mask = prompts, prompt_of_row_R, None
        if prompt_of_row_R is not None:
            self.position_N = prompts.lengths_P[prompt_of_row_R][self.row_N] + self.column_N
            self._mask = self._mask_after(prompts.lengths_P, prompt_of_row_R)

    def _mask_after(self, lengths_P: Tensor, prompt_of_row_R: Tensor) -> Tensor:
        """Which keys, of prompt and row, each place may attend to (R or 1, 1, T, T of prompts + T)."""
        device = lengths_P.device
        prompt_RT = torch.arange(int(lengths_P.max()), device=device) < lengths_P[prompt_of_row_R, None]
        if prompt_RT.all():
            prompt_RT = prompt_RT[:1]
        own_TT = torch.ones(self._longest, self._longest, dtype=torch.bool, device=device).tril()
        grid = (len(prompt_RT), 1, self._longest, -1)
        return torch.cat([prompt_RT[:, None, None].expand(grid), own_TT.expand(grid)], -1)

    def attend(self, module: Any, query: Tensor, key: Tensor, value: Tensor, **kwargs: Any) -> Tensor:
        """Attention of (1, H, N, D); its output is (1, N, H, D)."""
        query, key, value = (self._grid(states) for states in (query, key, value))
        states, layer = self._prompts.states, module.layer_idx
        if self._prompt_of_row_R is None and not self._prompts.passed:
            if layer in states:
                raise NotImplementedError(f"layer {layer} attends twice")
            states[layer] = key, value
        elif self._prompt_of_row_R is not None:
            key, value = (
                torch.cat([of_prompts.index_select(0, self._prompt_of_row_R), own], 2)
                for of_prompts, own in zip(states[layer], (key, value), strict=True)
            )
        out_RTHD, _ = sdpa_attention_forward(module, query, key, value, self._mask, **kwargs)
        return _FromPlaces.apply(out_RTHD.flatten(0, 1), self._place_N)[None]

    def _grid(self, states_1HND: Tensor) -> Tensor:
        """To (R, H, T, D)."""
        states_NHD = states_1HND[0].transpose(0, 1)
        places = _ToPlaces.apply(states_NHD, self._token_of_place, self._place_N)
        return places.unflatten(0, (-1, self._longest)).transpose(1, 2)


class _ToPlaces(torch.autograd.Function):
    """Tokens laid out. The gradient of empty places, which is 0, is not added up: that would take six times as long."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, token_of_place: Tensor, place_N: Tensor) -> Tensor:
        ctx.save_for_backward(place_N)
        return states.index_select(0, token_of_place)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return grads[0].index_select(0, ctx.saved_tensors[0]), None, None


class _FromPlaces(torch.autograd.Function):
    """And taken up again."""

    @staticmethod
    def forward(ctx: Any, places: Tensor, place_N: Tensor) -> Tensor:
        ctx.save_for_backward(place_N)
        ctx.num_places = len(places)
        return places.index_select(0, place_N)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        empty = grads[0].new_zeros(ctx.num_places, *grads[0].shape[1:])
        return empty.index_copy_(0, ctx.saved_tensors[0], grads[0]), None


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packing: Packing,
    position_bias: Tensor | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    if attention_mask is not None or position_bias is not None:
        raise NotImplementedError("a model that makes a mask or a bias of its own")
    return packing.attend(module, query, key, value, **kwargs), None


AttentionInterface.register(_NAME, _attend)


@torch.no_grad()
def _packs(model: Any) -> bool:
    """Whether rows after prompts, packed, come to what each comes to whole."""
    prompts, rows, prompt_of_row = [[1, 2, 3], [2, 1]], [[3, 1], [2], [1, 3, 2]], [0, 1, 0]
    device, was_training = model.device, model.training
    lengths_P, lengths_R = (torch.tensor([*map(len, each)], device=device) for each in (prompts, rows))
    known = Prompts(lengths_P)
    model.eval()
    try:
        with packed_attention(model):
            _logits(model, prompts, Packing(lengths_P, known))
            packed = _logits(model, rows, Packing(lengths_R, known, torch.tensor(prompt_of_row, device=device)))
        texts = [(prompts[prompt] + row, len(row)) for row, prompt in zip(rows, prompt_of_row, strict=True)]
        whole = [
            model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits[0, -n:] for ids, n in texts
        ]
        difference, scale = (packed - torch.cat(whole)).abs().max(), torch.cat(whole).abs().max()
        return len(known.states) == model.config.num_hidden_layers and bool(difference <= _MOST_DIFFERENT * scale)
    except Exception as error:  # a model that cannot fails in its own way, and is passed through otherwise
        _log.info("rows of a %s are not packed: %s", type(model).__name__, one_line(error))
        return False
    finally:
        model.train(was_training)


def _logits(model: Any, rows: Sequence[Sequence[int]], packing: Packing) -> Tensor:
    ids = torch.tensor([[token for row in rows for token in row]], device=model.device)
    return model(input_ids=ids, position_ids=packing.position_N[None], packing=packing, use_cache=False).logits[0]
