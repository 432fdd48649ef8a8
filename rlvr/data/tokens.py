"""An example as tokens, and which of them are learned; a chat template that would teach something else is refused.

What is learned of a conversation:

    completion   what follows the prompt, up to the end of the turn; of several turns, the assistant's
    assistant    every turn of the assistant's, as the template's `{% generation %}` marks them
    all          every token

Of a plain text every token is learned, and the end-of-sequence token after it. A completion of several turns is put
together turn by turn, as an episode is when it is sampled (`rlvr.engine.turns`): earlier turns keep their thoughts,
whatever the template makes of a conversation that is over. Not here: cutting and packing, which are
TRL's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from rlvr.data.forms import Example
from rlvr.models.chat import Replies
from rlvr_rewards.errors import UserError, one_line

IGNORED = -100
"""The label of a token that is not learned, as torch and TRL have it."""
Learned = Literal["completion", "assistant", "all"]


@dataclass(frozen=True)
class Tokens:
    """One example, T tokens long.

    Attributes:
        ids: The tokens.
        labels: The same where they are learned, `IGNORED` elsewhere.
    """

    ids: list[int]
    labels: list[int]


def encode(example: Example, tokenizer: Any, learned: Learned, template: str | None = None) -> Tokens:
    """The tokens of an example.

    Args:
        example: A conversation or a plain text.
        tokenizer: With a chat template.
        learned: Of a conversation.
        template: The chat template to use instead of the tokenizer's own.

    Raises:
        UserError: The chat template refuses the example, or nothing of it would be learned.
    """
    if example.text:
        ids = [*tokenizer(example.text)["input_ids"]]
        ids += [] if ids and ids[-1] == tokenizer.eos_token_id else [tokenizer.eos_token_id]
        return Tokens(ids, list(ids))
    if learned == "completion" and _has_replies(example):
        return _episode(example, tokenizer, template)
    try:
        whole = tokenizer.apply_chat_template(
            list(example.messages),
            chat_template=template,
            return_dict=True,
            return_assistant_tokens_mask=learned == "assistant",
        )
        ids = list(whole["input_ids"])
        mask = _learned_mask(example, tokenizer, learned, whole, template)
    except Exception as error:  # Jinja's errors and those that a template raises itself
        raise UserError(f"{example.where}: the chat template refuses it: {one_line(error)}") from None
    labels = [token if kept else IGNORED for token, kept in zip(ids, mask, strict=True)]
    if all(label == IGNORED for label in labels):
        raise UserError(f"{example.where}: nothing of it would be learned with learn = {learned!r}: take the row out")
    return Tokens(ids, labels)


def _has_replies(example: Example) -> bool:
    """Whether somebody else speaks between the turns to be learned."""
    roles = [message["role"] for message in example.messages[example.num_prompt :]]
    return roles[:1] == ["assistant"] and set(roles) != {"assistant"}


def _episode(example: Example, tokenizer: Any, template: str | None) -> Tokens:
    """The tokens of a prompt and of the turns that follow it, of which the assistant's are learned."""
    prompt, said = example.messages[: example.num_prompt], example.messages[example.num_prompt :]
    replies = Replies(tokenizer)
    try:
        ids = tokenizer.apply_chat_template(
            list(prompt), chat_template=template, add_generation_prompt=True, return_dict=False
        )
        labels = [IGNORED] * len(ids)
        for is_own, turns in groupby(said, key=lambda message: message["role"] == "assistant"):
            for text in ("\n".join(turn["content"] for turn in turns),) if is_own else ():
                own = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
                ids, labels = [*ids, *own], [*labels, *own]
            heard = [] if is_own else replies.ids(list(turns), ids[-1])
            ids, labels = [*ids, *heard], [*labels, *[IGNORED] * len(heard)]
    except Exception as error:  # Jinja's errors and those that a template raises itself
        raise UserError(f"{example.where}: the chat template refuses it: {one_line(error)}") from None
    return Tokens(list(ids), labels)


def _learned_mask(
    example: Example, tokenizer: Any, learned: Learned, whole: Any, template: str | None
) -> Sequence[int]:
    num_tokens = len(whole["input_ids"])
    if learned == "all":
        return [1] * num_tokens
    if learned == "assistant":
        return whole["assistant_masks"]
    prompt = tokenizer.apply_chat_template(
        list(example.messages[: example.num_prompt]),
        chat_template=template,
        add_generation_prompt=True,
        return_dict=False,
    )
    pairs = zip(prompt, whole["input_ids"], strict=False)
    same = next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(prompt), num_tokens))
    return [0] * same + [1] * (num_tokens - same)


def assistant_template(path: str, tokenizer: Any) -> str | None:
    """The chat template that marks the assistant's turns; `None` where the tokenizer's own does.

    TRL knows such templates for the common families.

    Raises:
        UserError: Neither marks them, or the mark leaves out the token that ends the turn.
    """
    from trl.chat_template_utils import (
        get_training_chat_template,
        has_generation_markers,
        is_chat_template_stop_token_trained,
    )

    template = None
    if not has_generation_markers(tokenizer.chat_template):
        try:
            template = get_training_chat_template(tokenizer)
        except ValueError:
            raise UserError(
                f"model {path}: its chat template does not mark the assistant's turns, and TRL has no marked one: "
                'put {% generation %} … {% endgeneration %} around them, or learn = "completion"'
            ) from None
    if not is_chat_template_stop_token_trained(tokenizer, chat_template=template):
        raise UserError(
            f"model {path}: its chat template ends the assistant's turn outside of {{% generation %}}, so the model "
            'would never learn to stop: move {% endgeneration %} behind it, or learn = "completion"'
        )
    return template


def check_rendering(path: str, tokenizer: Any, example: Example) -> None:
    """Refuses a chat template that loses a message of an example, and tokens that begin twice.

    Of an assistant's earlier turn only what follows its thought is looked for: templates drop the thought by design.

    Raises:
        UserError: It does; the row and what was made of it are shown.
    """
    if example.text:
        _refuse_two_starts(path, tokenizer, example, tokenizer(example.text)["input_ids"])
        return
    try:
        text = tokenizer.apply_chat_template(list(example.messages), tokenize=False)
        ids = tokenizer.apply_chat_template(list(example.messages), return_dict=False)
    except Exception as error:  # Jinja's errors and those that a template raises itself
        raise UserError(f"{example.where}: the chat template of model {path} refuses it: {one_line(error)}") from None
    for message in example.messages:
        said = message["content"].rpartition("</think>")[2].strip()
        if said not in text:
            raise UserError(
                f"{example.where}: the chat template of model {path} loses what the {message['role']} says: it makes "
                f"{_short(text)} of it: give a template that has the role, or take those messages out"
            )
    _refuse_two_starts(path, tokenizer, example, ids)


def _refuse_two_starts(path: str, tokenizer: Any, example: Example, ids: Sequence[int]) -> None:
    start = tokenizer.bos_token_id
    if start is not None and list(ids[:2]) == [start, start]:
        where = "the text has" if example.text else "its chat template adds"
        raise UserError(
            f"{example.where}: with model {path} it begins with {tokenizer.bos_token!r} twice, since {where} one more: "
            f"{_short(tokenizer.decode(ids))}: take one away"
        )


def _short(text: str) -> str:
    return repr(text if len(text) <= 160 else text[:157] + "…")


def special_ids(tokenizer: Any) -> list[int]:
    """Tokens that are no text of the vocabulary learned: ends of turns, and tags that were added as one token each."""
    return sorted({*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()})
