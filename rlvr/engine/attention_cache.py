"""Keys and values that grow by a token a row at each step of decoding, and which models keep nothing else.

Not here: the steps (`torch_sampler`, `shared_decoding`).

Shapes: B rows, H heads, T tokens, D the size of a head.
"""

from typing import Any

from torch import Tensor
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

ATTENTION_KINDS = {DynamicLayer, DynamicSlidingWindowLayer}
"""Layers that can be spread over a group and shrunk: keys and values of attention, whole or of a sliding window."""

_ROOM = 32
"""Tokens that a layer makes room for at least, each time it is full."""


class RoomyLayer(DynamicLayer):
    """A layer that writes new keys and values into room made before, where transformers' copies all at each token.

    Not for training: it writes in place.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, layer: DynamicLayer) -> None:
        super().__init__()
        assert layer.keys is not None and layer.values is not None, "a layer that holds nothing yet"
        self.lazy_initialization(layer.keys, layer.values)
        self.keys, self.values = layer.keys, layer.values
        self._rooms = [layer.keys, layer.values]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        before = self.keys.shape[-2]
        after = before + key_states.shape[-2]
        if after > self._rooms[0].shape[-2]:
            self._rooms = [_with_room(states, after) for states in (self.keys, self.values)]
        for room, states in zip(self._rooms, (key_states, value_states), strict=True):
            room[:, :, before:after] = states
        self.keys, self.values = (room[:, :, :after] for room in self._rooms)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        length = self.keys.shape[-2]
        self._rooms = [room.index_select(0, indices) for room in self._rooms]
        self.keys, self.values = (room[:, :, :length] for room in self._rooms)


def make_roomy(cache: DynamicCache) -> None:
    """Gives room to the layers that grow; those of a sliding window stay as they are."""
    cache.layers = [RoomyLayer(layer) if type(layer) is DynamicLayer else layer for layer in cache.layers]


def layer_kinds(model: Any) -> set[type]:
    """What the layers of a model remember of the tokens before."""
    return {type(layer) for layer in DynamicCache(config=model.config).layers}


def positions(mask_BT: Tensor) -> Tensor:
    """Where each token stands (B, T), counted from the first of its row; 0 for the padding before it."""
    return (mask_BT.cumsum(-1) - 1).clamp(min=0)


def _with_room(states: Tensor, length: int) -> Tensor:
    """States (B, H, T, D) at the front of a tensor with room for `length` tokens and a quarter more."""
    rows, heads, before, size = states.shape
    room = states.new_empty(rows, heads, max(length + _ROOM, length * 5 // 4), size)
    room[:, :, :before] = states
    return room
