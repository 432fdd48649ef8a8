"""Whether prompts and completions fit into a model's context: roughly before it loads, exactly once it has."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rlvr.config.schema import SCRATCH, ModelConfig
from rlvr.models.chat import prompt_ids
from rlvr.models.load import local_folder, no_chat_template
from rlvr.models.shape import model_folder, shape_of
from rlvr_envs import Environment, Message, Task
from rlvr_rewards.errors import UserError
from rlvr_rewards.row import turns_of

_SAMPLE_TASKS = 20
_LONGEST_PROMPTS = 50
_TEMPLATE_TOKENS = 12
"""What a chat template adds to a prompt of one message and its answer: ChatML's marks and names of roles."""


@dataclass(frozen=True)
class Lengths:
    """The longest prompt and the longest gold of some training tasks, in tokens; the chat template's own are a guess.

    Attributes:
        exact: Whether the model's tokenizer counted; otherwise every byte counts as a token, the most there can be.
    """

    prompt: int
    gold: int
    exact: bool


def sample_lengths(env: Environment, config: ModelConfig, seed: int) -> Lengths:
    """The lengths of the first training tasks, with the model's tokenizer where it is on this machine.

    Raises:
        UserError: The tasks cannot be had.
    """
    count, exact = _counter(config)
    tasks = [task for rows in env.streams("train", seed).values() for task in islice(rows, _SAMPLE_TASKS)]
    prompts = [sum(count(message["content"]) for message in env.messages(task)) for task in tasks]
    return Lengths(
        _TEMPLATE_TOKENS + max(prompts, default=0), max((count(_said(env, task)) for task in tasks), default=0), exact
    )


def _said(env: Environment, task: Task) -> str:
    """All that stands in a gold completion, the environment's replies too."""
    return "\n".join(str(turn["content"]) for turn in turns_of(env.gold(task)))


def _counter(config: ModelConfig) -> tuple[Callable[[str], int], bool]:
    file = (model_folder(config.path) or Path()) / "tokenizer.json" if config.path != SCRATCH else Path("none")
    if not file.is_file():
        return (lambda text: len(text.encode("utf-8", "replace"))), False
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers raises plain Exception
        raise UserError(f"model {config.path}: tokenizer.json cannot be read ({error}): get the model again") from None
    return (lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)), True


def check_budget(stage: str, max_new_tokens: int, config: ModelConfig) -> None:
    """Refuses a completion budget that leaves no room for a prompt, where the model's context is known."""
    shape = shape_of(config)
    if shape and max_new_tokens >= shape.context_length:
        raise UserError(
            f"stage {stage}: max_new_tokens {max_new_tokens} leaves no room for a prompt in the "
            f"{shape.context_length} tokens of {_context_of(config)}"
        )


def fits(tokenizer: Any, model: Any, messages: Sequence[Message], max_new_tokens: int) -> bool:
    """Whether a prompt and its completion fit into the model's context."""
    context = _context(model)
    return context is None or len(prompt_ids(tokenizer, messages)) + max_new_tokens <= context


def check_prompts(
    who: str, tokenizer: Any, model: Any, prompts: Iterable[Sequence[Message]], max_new_tokens: int
) -> None:
    """Refuses prompts that, with their completions, are longer than the model's context.

    The 50 longest in characters are counted in tokens.

    Args:
        who: Whose prompts they are, for the message.
        tokenizer: Of the model.
        model: The model.
        prompts: The messages of each.
        max_new_tokens: The budget of a completion; 0 where the messages hold it.

    Raises:
        UserError: The longest does not fit; the message says by how much.
    """
    context = _context(model)
    if context is None:
        return
    longest = sorted(prompts, key=lambda messages: -sum(len(m["content"]) for m in messages))[:_LONGEST_PROMPTS]
    tokens = max((len(prompt_ids(tokenizer, messages)) for messages in longest), default=0)
    if tokens + max_new_tokens > context:
        what = f"a prompt of {tokens} tokens and max_new_tokens {max_new_tokens} do"
        mend = f"set that to at most {context - tokens}" if tokens < context else "shorten it"
        if not max_new_tokens:
            what, mend = f"an example of {tokens} tokens does", "shorten it"
        raise UserError(
            f"{who}: {what} not fit into the model's context of {context} tokens: {mend}, or take a model "
            "with a longer context (of a scratch model, model.scratch.context_length)"
        )


def check_chat_template(config: ModelConfig) -> None:
    """Refuses a model's folder without a tokenizer or chat template; says nothing of a model that is not here yet."""
    folder = local_folder(config.path) if config.path != SCRATCH else None
    if folder is None:
        return
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        has_template = (folder / "chat_template.jinja").is_file() or bool(settings.get("chat_template"))
    except FileNotFoundError:
        raise UserError(f"model {config.path}: it has no tokenizer_config.json: get its tokenizer as well") from None
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"model {config.path}: tokenizer_config.json cannot be read ({error})") from None
    if not has_template:
        raise no_chat_template(config.path)


def _context_of(config: ModelConfig) -> str:
    return "model.scratch.context_length" if config.path == SCRATCH else f"the context of {config.path}"


def _context(model: Any) -> int | None:
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)
