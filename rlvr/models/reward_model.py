"""A reward model: a transformer that gives one number, its logit, for a conversation; opened, made, and asked.

The loss that such models are trained with (Bradley and Terry 1952) looks at differences alone: sigmoid(a - b) is the
probability that one is preferred to the other. A logit by itself says nothing until another is taken away from it, the
reference. A stage `reward_model` leaves in the model's folder the mean over pairs that it did not learn, so that
sigmoid(logit - reference) is the probability of being preferred to the average completion.

Weights come from safetensors alone, and code that comes with a model never runs.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.config.schema import ModelConfig
from rlvr.models.adapters import is_adapter
from rlvr.models.load import load_model, load_tokenizer, local_folder
from rlvr_envs import Message
from rlvr_rewards.errors import UserError, one_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

NUMBERS_FILE = "reward.json"
"""What a stage measured of its model, beside the weights: `reference`, `accuracy`, `num_held_out`."""
_TOKENS_AT_ONCE = 16_384
_HEAD = "score"


@dataclass(frozen=True)
class RewardModel:
    """A reward model in memory.

    Attributes:
        path: Where it was opened from.
        model: Gives a logit a row.
        tokenizer: Its own, with a chat template and a padding token.
        reference: What its folder names as the logit of an average completion; 0.0 where it names none.
    """

    path: str
    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    reference: float = 0.0

    def logits(self, conversations: Sequence[Sequence[Message]]) -> list[float | UserError]:
        """The logit of each conversation; of one that is longer than the model's context, the error that says so.

        Rows of about one length are taken together, at most 16,384 tokens of them with padding.
        """
        ids = [self._ids(messages) for messages in conversations]
        found: list[float | UserError] = [self._too_long(each) for each in ids]
        fitting = [row for row, each in enumerate(ids) if len(each) <= self._context]
        for rows in batches([len(ids[row]) for row in fitting], _TOKENS_AT_ONCE):
            taken = [fitting[row] for row in rows]
            for row, logit in zip(taken, self._forward([ids[row] for row in taken]), strict=True):
                found[row] = logit
        return found

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of a conversation; what a text spells of special tokens is taken out, for they are not text."""
        plain = [{**message, "content": self._without_special(str(message["content"]))} for message in messages]
        ids: Any = self.tokenizer.apply_chat_template(plain, return_dict=False)
        return ids

    def _without_special(self, text: str) -> str:
        for token in self.tokenizer.all_special_tokens:
            text = text.replace(str(token), "")
        return text

    def _forward(self, ids: Sequence[Sequence[int]]) -> list[float]:
        import torch

        longest, pad = max(map(len, ids)), int(self.tokenizer.pad_token_id or 0)  # pyright: ignore
        padded = [[*each, *[pad] * (longest - len(each))] for each in ids]
        mask = [[1] * len(each) + [0] * (longest - len(each)) for each in ids]
        device = self.model.device
        with torch.inference_mode():
            inputs = torch.tensor(padded, device=device), torch.tensor(mask, device=device)
            logits = self.model(input_ids=inputs[0], attention_mask=inputs[1]).logits
        return logits[:, 0].float().tolist()

    @property
    def _context(self) -> int:
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None) or 2**31

    def _too_long(self, ids: Sequence[int]) -> UserError:
        return UserError(
            f"a conversation of {len(ids)} tokens does not fit into the {self._context} of the reward model {self.path}"
        )


def batches(lengths: Sequence[int], tokens_at_once: int) -> Iterator[list[int]]:
    """Rows of about one length together, the shortest first, each batch with its padding within `tokens_at_once`.

    >>> list(batches([3, 9, 2, 8], 18))
    [[2, 0], [3, 1]]
    """
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if batch and lengths[row] * (len(batch) + 1) > tokens_at_once:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def as_reward_model(model: "PreTrainedModel", tokenizer: Any, seed: int) -> "PreTrainedModel":
    """A causal language model's layers under a new head that gives one number; the layers are shared, not copied.

    Args:
        model: Of which the layers are taken.
        tokenizer: Of the model: its padding is what a row may end with.
        seed: What the new head's weights are drawn from.

    Raises:
        UserError: transformers has no such model for this architecture.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    config = type(model.config).from_dict(model.config.to_dict())
    config.num_labels = 1
    config.get_text_config().pad_token_id = int(tokenizer.pad_token_id)
    try:
        with torch.device("meta"):
            made: Any = AutoModelForSequenceClassification.from_config(config)
        prefix = made.base_model_prefix
        width = getattr(made, _HEAD).in_features
        layers = getattr(model, prefix)
    except (ValueError, AttributeError) as error:
        raise UserError(f"model {model.name_or_path} cannot become a reward model: {one_line(error)}") from None
    generator = torch.Generator().manual_seed(seed % 2**63)

    class Head(torch.nn.Linear):
        """In float32 over layers in any precision: PEFT keeps what it trains so, and casts nothing for it."""

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return super().forward(input.to(self.weight.dtype))

    head = Head(width, 1, bias=False, device="cpu")
    deviation = getattr(config.get_text_config(), "initializer_range", 0.02)
    torch.nn.init.normal_(head.weight, std=deviation, generator=generator)
    setattr(made, prefix, layers)
    setattr(made, _HEAD, head.to(next(layers.parameters()).device))
    made.name_or_path = made.config._name_or_path = model.name_or_path
    return made


def open_reward_model(path: str, device: str = "auto") -> RewardModel:
    """The reward model in a folder or on the hub; opened once and kept, until its files change.

    Args:
        path: A folder, an adapter's folder, or a hub id.
        device: Such as `cuda:1`; `auto`: a GPU where there is one.

    Raises:
        UserError: It cannot be opened, or is no reward model.
    """
    return _opened(path, device, _stamp(path))


@lru_cache(maxsize=4)
def _opened(path: str, device: str, stamp: tuple[Any, ...]) -> RewardModel:
    import torch

    chosen = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    config = ModelConfig(path=path, dtype="float32" if chosen == "cpu" else "auto")
    try:
        tokenizer = load_tokenizer(path, config)
        model = _load_adapter(path, config, tokenizer) if is_adapter(path) else _load(path, config)
        model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
        model = model.to(chosen).eval()  # pyright: ignore[reportArgumentType]
    except UserError:
        raise
    except Exception as error:  # transformers, PEFT and torch raise many kinds; all mean that it cannot be opened
        raise UserError(f"reward model {path} cannot be opened: {one_line(error)}") from error
    return RewardModel(path, model, tokenizer, float(numbers_of(path).get("reference", 0.0)))


def _load(path: str, config: ModelConfig) -> Any:
    from transformers import AutoModelForSequenceClassification

    folder = str(local_folder(path) or path)
    options: dict[str, Any] = {"dtype": config.dtype, "trust_remote_code": False, "use_safetensors": True}
    found: Any = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True, **options)
    model, loading = found
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])[0]
        raise UserError(f"model {path} is no reward model: it has no weights {missing}: name one that a stage trained")
    if model.config.num_labels != 1:
        raise UserError(f"model {path} gives {model.config.num_labels} numbers, and a reward model gives one")
    return model


def _load_adapter(path: str, config: ModelConfig, tokenizer: Any) -> Any:
    """A reward model that was trained as an adapter, merged; its head came whole with the adapter."""
    from peft import PeftModel

    from rlvr.models.adapters import base_of

    base = as_reward_model(load_model(base_of(path), config), tokenizer, seed=0)
    adapted: Any = PeftModel.from_pretrained(base, path)
    return adapted.merge_and_unload()


def numbers_of(path: str) -> dict[str, float]:
    """What a stage measured of its reward model; nothing where it is of elsewhere."""
    try:
        found = json.loads((Path(path).expanduser() / NUMBERS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _stamp(path: str) -> tuple[Any, ...]:
    folder = Path(path).expanduser()
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
