"""Between chat messages and tokens: the prompt's ids, a completion's text, and the tokens that end a turn."""

from collections.abc import Sequence
from typing import Any

from rlvr_envs import Message


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The tokens of a prompt, up to where the assistant's turn begins."""
    return tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)


def completion_of(tokenizer: Any, token_ids: Sequence[int]) -> str:
    """A completion's text, special tokens left out."""
    return tokenizer.decode(token_ids, skip_special_tokens=True)


def end_of_turn_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a turn: the tokenizer's and those that the model's generation config names."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({i for i in [*ids, tokenizer.eos_token_id] if i is not None})


def pad_id(tokenizer: Any) -> int:
    """The padding token; `load_tokenizer` saw to it that there is one."""
    return int(tokenizer.pad_token_id)
