"""Examples as the dataset that TRL's `SFTTrainer` takes ready-made: tokens, labels, and the channel of each token.

Made here and not by TRL, because one of its datasets is of one form, and because a packed row holds tokens of several
channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rlvr.data.forms import Example
from rlvr.data.tokens import IGNORED, Tokens
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

MAX_CHANNELS = 64
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Packing:
    """How examples share a row, with TRL's names: at most `length` tokens, by its strategy."""

    length: int
    strategy: str


def channels_of(examples: Sequence[Example]) -> list[str]:
    """The names of the channels, sorted; those without one are `other`, and where none has one there are none.

    Raises:
        UserError: There are more than 64.
    """
    names = sorted({example.channel for example in examples})
    if len(names) > MAX_CHANNELS:
        raise UserError(
            f"{examples[0].where}: task_type has {len(names)} values, and a channel's loss is logged for at most "
            f"{MAX_CHANNELS}: give coarser ones, or rename the column"
        )
    return [name or "other" for name in names] if names != [""] else []


def token_dataset(
    tokens: Sequence[Tokens], examples: Sequence[Example], channels: Sequence[str], packing: Packing | None
) -> "Dataset":
    """Columns `input_ids` and `labels`, with channels `channels` (a number a token), packed `seq_lengths` too."""
    from datasets import Dataset

    columns: dict[str, list[Any]] = {
        "input_ids": [np.asarray(each.ids, dtype=np.int32) for each in tokens],
        "labels": [np.asarray(each.labels, dtype=np.int32) for each in tokens],
    }
    if channels:
        numbers = [channels.index(example.channel or "other") for example in examples]
        columns["channels"] = [
            np.full(len(each.ids), number, dtype=np.int8) for each, number in zip(tokens, numbers, strict=True)
        ]
    dataset = Dataset.from_dict(columns)
    if packing is None:
        return dataset
    from trl import pack_dataset

    return pack_dataset(dataset, packing.length, packing.strategy)


def cut(tokens: Tokens, length: int | None) -> Tokens | None:
    """The first tokens of an example; `None` where none of them is learned."""
    if length is None or len(tokens.ids) <= length:
        return tokens
    kept = Tokens(tokens.ids[:length], tokens.labels[:length])
    return None if all(label == IGNORED for label in kept.labels) else kept


def without_held_out(items: Sequence[_Item], share: float, seed: int) -> tuple[list[_Item], list[_Item]]:
    """A set without the share that is held out of it, and that share: at least one item of two or more."""
    if not share or len(items) < 2:
        return list(items), []
    count = min(max(1, round(share * len(items))), len(items) - 1)
    chosen = set(Random(seed).sample(range(len(items)), count))
    kept = [item for number, item in enumerate(items) if number not in chosen]
    return kept, [items[number] for number in sorted(chosen)]
