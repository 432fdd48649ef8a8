"""Merging: adapters added to the weights of the base that they were trained on, one after the other.

A stage that trains an adapter leaves the adapter and the path of its base, which may be an adapter again. Whoever opens
that (the next stage, `evaluate`, `rlvr eval`, the stage `merge`) merges the chain here, first trained first: a DoRA
adapter's scale is that of the weights it was trained on, so that order matters. The sum is taken in float32 and rounded
to the base's precision; small updates may fall to that rounding in 16 bits, which `Merge` measures on real text.

A QLoRA adapter was trained on 4-bit weights. It is merged into the base's 16-bit ones: adding to 4-bit weights would
round the update away. How far that is from what was trained is measured too (`rlvr.models.load.open_as_trained`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlvr.models.adapters import base_of, is_adapter
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

TOLERANCE = {"float32": 1e-6, "float16": 1e-3, "bfloat16": 1e-2}
"""The largest mean KL (nats a token) between a model with an adapter and with it merged, by precision."""
TOLERANCE_4BIT = 0.5
"""The same between a model as QLoRA trained it, on 4-bit weights, and merged into 16-bit ones: what 4 bits may cost.

That of the gate of 4-bit GGUF files. It is wide: the arithmetic of merging is checked by `TOLERANCE`, in one precision.
"""
_POSITIONS = 32
"""How many of a text's last tokens are compared: logits of all would fill the memory where the vocabulary is large."""


@dataclass(frozen=True)
class Merge:
    """What merging one adapter changed, as mean KL in nats a token over real text.

    Attributes:
        path: The adapter.
        effect: How far the adapter moves the model that it was trained on.
        gap: How far the merged model is from the one with the adapter; NaN where one of them is.
        agreement: The share of tokens with the same most likely next one.
    """

    path: str
    effect: float
    gap: float
    agreement: float


def adapter_chain(path: str) -> tuple[str, list[str]]:
    """The whole model that a path leads to, and the adapters on it in the order of training; none for a whole model.

    Raises:
        UserError: An adapter does not name its base, or a chain of them leads back to itself.
    """
    adapters: list[str] = []
    while is_adapter(path):
        if path in adapters:
            raise UserError(f"model {path}: its adapters name each other as their base: none of them can be opened")
        adapters.insert(0, path)
        path = base_of(path)
    return path, adapters


def attached(base: "PreTrainedModel", path: str) -> Any:
    """A base model with an adapter on it, unmerged."""
    from peft import PeftModel

    return PeftModel.from_pretrained(base, path)


def merged(adapted: Any, path: str) -> "PreTrainedModel":
    """The base of an attached adapter, with its update added to the weights."""
    model = adapted.merge_and_unload()
    model.requires_grad_(True)  # PEFT froze the base, which a stage without an adapter trains
    model.name_or_path = model.config._name_or_path = path  # what the next adapter names as its base
    return model


def merge_measured(
    base: "PreTrainedModel", adapters: Sequence[str], texts: Sequence[Sequence[int]]
) -> Iterator[tuple["PreTrainedModel", Merge]]:
    """Merges adapters one by one; after each, the model so far and how well it agrees with the unmerged one.

    Args:
        base: The model that the first was trained on; changed in place.
        adapters: Their folders, in the order of training.
        texts: Token ids to compare logits on.
    """
    before = logprobs_of(base, texts)
    for path in adapters:
        adapted = attached(base, path)
        wanted = logprobs_of(adapted, texts)
        base = merged(adapted, path)
        found = logprobs_of(base, texts)
        yield base, Merge(path, mean_kl(wanted, before), mean_kl(wanted, found), agreement(wanted, found))
        before = found


def logprobs_of(model: Any, texts: Sequence[Sequence[int]]) -> list["torch.Tensor"]:
    """The log-probs of every next token at the last positions of each text: float32, [T, V] each, on the CPU."""
    import torch

    model.eval()
    with torch.no_grad():
        return [
            model(torch.tensor([list(ids)], device=model.device), logits_to_keep=_POSITIONS)
            .logits[0, -_POSITIONS:]
            .float()
            .log_softmax(-1)
            .cpu()
            for ids in texts
        ]


def mean_kl(wanted: Sequence["torch.Tensor"], found: Sequence["torch.Tensor"]) -> float:
    """KL(wanted || found) in nats, averaged over all positions."""
    import torch

    each = [(p.exp() * (p - q)).sum(-1) for p, q in zip(wanted, found, strict=True)]
    return float(torch.cat(each).mean())


def agreement(wanted: Sequence["torch.Tensor"], found: Sequence["torch.Tensor"]) -> float:
    """The share of positions with the same most likely token."""
    import torch

    return float(torch.cat([(p.argmax(-1) == q.argmax(-1)).float() for p, q in zip(wanted, found, strict=True)]).mean())
