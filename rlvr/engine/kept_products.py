"""What sampling multiplied by the model's weights, kept for the update that multiplies the same tokens by the same.

A third of an update's arithmetic is the forward products of its linear layers, each of which sampling made before. Here
they are looked up; norms, attention and gradients are computed as ever, so that loss and gradients are those of
multiplying again, up to rounding. It takes 4 bytes for each output of each token, and pays where a product takes longer
than reading what it gave, as on a CPU.

Not here: which rows a pass of the update takes (`shared_prompt`).

Shapes: B rows, T tokens, N tokens of a pass, C inputs, F outputs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from rlvr.engine.packed_attention import can_pack
from rlvr.engine.prepacked import Projection
from rlvr.engine.savings import MOST_PRODUCT_BYTES
from rlvr.engine.shared_decoding import GROUPS, can_share_decoding


def can_keep_products(model: Any, args: Any) -> bool:
    """Whether an update of the model takes the very steps that sampling takes, so that products can be looked up.

    Args:
        model: The policy.
        args: TRL's arguments of the training.
    """
    changes = getattr(model.config, "attention_dropout", 0.0) or args.neftune_noise_alpha  # in training alone
    apart = args.gradient_checkpointing or args.per_device_train_batch_size == 1 or hasattr(model, "peft_config")
    if changes or apart or not can_share_decoding(model) or not can_pack(model):
        return False
    return all(_is_plain(each) for layer in _linear_layers(model) for group in layer for each in group)


class KeptProducts(TrainerCallback):
    """The products of all tokens sampled since the optimizer's last step; later ones are written over them.

    Each token has a place, the same in all layers. A step has as many as its first call may need, where so much memory
    is allowed; what does not fit is not kept, and multiplied again. So what a step keeps depends on that step alone:
    a resumed run keeps what the undisturbed one does.

    Args:
        model: One for which `can_keep_products` holds.
        most_bytes: Of memory.
    """

    def __init__(self, model: Any, most_bytes: int = MOST_PRODUCT_BYTES) -> None:
        self._model, self._groups = model, _linear_layers(model)
        self._widths = [[sum(each.out_features for each in group) for group in layer] for layer in self._groups]
        self._most = most_bytes // (4 * sum(map(sum, self._widths)))
        self._kept: list[list[Tensor]] = []
        self._allocated = self._room = self._used = 0
        self._now = slice(0)
        self._places_of_row: dict[tuple[int, ...], Tensor] = {}

    def reserve(self, count: int) -> bool:
        """Whether there is room for so many tokens; the first call of a step takes the memory for its own."""
        if self._used == 0:
            if self._allocated < count <= self._most:
                self._kept, self._allocated = [], count  # the memory of before is free first
                self._kept = [[torch.empty(count, width) for width in layer] for layer in self._widths]
            self._room = min(count, self._allocated)
        return self._used + count <= self._room

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self._used, self._places_of_row = 0, {}

    def on_train_end(self, *args: Any, **kwargs: Any) -> None:
        self._kept, self._allocated, self._used, self._places_of_row = [], 0, 0, {}

    def places(self, count: int) -> Tensor:
        """Takes places for so many tokens, which are passed through the model next."""
        self._now = slice(self._used, self._used + count)
        self._used += count
        return torch.arange(self._now.start, self._now.stop)

    def keeping(self, layer: int, group: int, projection: Projection) -> Projection:
        """The joint projection of a layer's group of linear layers, whose outputs (N, F) are kept."""
        kept = self._kept[layer][group]

        def project(x_NC: Tensor) -> Tensor:
            kept[self._now] = found_NF = projection(x_NC)
            return found_NF

        return project

    @contextmanager
    def watching(self, count: int) -> Iterator[Tensor]:
        """Within, so many tokens (B, T) are passed through the model as ever, and its products kept; their places."""

        def keep(kept: Tensor) -> Callable[..., None]:
            def hook(layer: Any, args: Any, found_BTF: Tensor) -> None:
                kept[self._now] = found_BTF.flatten(0, 1)

            return hook

        with ExitStack() as hooks:
            for layer, kept in self._layers_and_products():
                hooks.callback(layer.register_forward_hook(keep(kept)).remove)
            yield self.places(count)

    def note(self, ids: Sequence[int], places_T: Tensor) -> None:
        """Says where the tokens of a row are, prompt and completion, all but the last one, which no product is of."""
        if (places_T >= 0).all():
            self._places_of_row[tuple(ids)] = places_T

    def of_rows(self, model: Any, input_ids_BT: Tensor, mask_BT: Tensor) -> list[Tensor | None]:
        """The places that were noted of each row; `None` where none were, or of another model."""
        noted = self._places_of_row if model is self._model else {}
        rows = (ids_T[mask_T > 0].tolist() for ids_T, mask_T in zip(input_ids_BT, mask_BT, strict=True))
        return [noted.get(tuple(row)) for row in rows]

    @contextmanager
    def given(self, places_N: Tensor) -> Iterator[None]:
        """Within, the model takes one pass (1, N, C), whose products are looked up: of tokens at these places."""
        with ExitStack() as patches:
            for layer, kept in self._layers_and_products():
                layer.forward = _looked_up(layer, kept, places_N)
                patches.callback(delattr, layer, "forward")  # the method of its class is seen again
            yield

    def _layers_and_products(self) -> Iterator[tuple[Any, Tensor]]:
        """Each linear layer with what is kept of it (places, F)."""
        for groups, kept in zip(self._groups, self._kept, strict=True):
            for group, of_group in zip(groups, kept, strict=True):
                yield from zip(group, of_group.split([each.out_features for each in group], -1), strict=True)


def _linear_layers(model: Any) -> list[list[list[Any]]]:
    """Of each layer of a model, those that share an input together."""
    layers = model.get_decoder().layers
    return [[[layer.get_submodule(name) for name in group] for group in GROUPS] for layer in layers]


def _is_plain(layer: Any) -> bool:
    """Whether it multiplies and nothing else: it has no adapter, and nobody has put another method in its place."""
    return type(layer) is torch.nn.Linear and "forward" not in vars(layer)


def _looked_up(layer: Any, kept: Tensor, places_N: Tensor) -> Callable[[Tensor], Tensor]:
    def forward(x_1NC: Tensor) -> Tensor:
        return _Linear.apply(x_1NC, layer.weight, layer.bias, kept.index_select(0, places_N)[None])

    return forward


class _Linear(torch.autograd.Function):
    """A linear layer whose output is known: its gradients alone are computed."""

    @staticmethod
    def forward(ctx: Any, x_1NC: Tensor, weight: Tensor, bias: Tensor | None, known_1NF: Tensor) -> Tensor:
        wants_x, wants_weight, *_ = ctx.needs_input_grad
        ctx.save_for_backward(x_1NC if wants_weight else None, weight if wants_x else None)
        return known_1NF

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x_1NC, weight), grad_NF = ctx.saved_tensors, grads[0].squeeze(0)
        return (
            None if weight is None else (grad_NF @ weight)[None],
            None if x_1NC is None else grad_NF.T @ x_1NC.squeeze(0),
            grad_NF.sum(0) if ctx.needs_input_grad[2] else None,
            None,
        )
