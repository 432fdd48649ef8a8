"""Between chat messages and tokens: a prompt's ids, a completion's text, a reply's ids, the tokens that end a turn."""

from collections.abc import Sequence
from typing import Any, NoReturn

from rlvr_envs import Message
from rlvr_rewards.errors import UserError, one_line


def prompt_ids(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """The tokens of a prompt, up to where the assistant's turn begins."""
    return tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, return_dict=False)


def completion_of(tokenizer: Any, token_ids: Sequence[int]) -> str:
    """A completion's text, special tokens left out."""
    return tokenizer.decode(token_ids, skip_special_tokens=True)


class Replies:
    """What stands between two turns of the assistant's, as tokens: a reply, and the chat template's marks around it.

    Tokens that were sampled are never made anew from their text, which may give others: a conversation goes on by
    tokens put behind those there are. A template that rewrites earlier turns (Qwen3's leaves their thoughts out) does
    not here: the model goes on from what it said.

    Args:
        tokenizer: With a chat template.
    """

    _SAID = "rlvr's assistant said this"

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._ids: dict[tuple[tuple[str, str], ...], list[int]] = {}

    def ids(self, replies: Sequence[Message], last_id: int | None) -> list[int]:
        """The tokens from the end of a turn up to where the next begins.

        Args:
            replies: Messages of a `user` or `tool`; mostly one.
            last_id: The last token of the turn; where it ended the turn, its end is not written again.

        Raises:
            UserError: The chat template takes no such message, or loses it.
        """
        key = tuple((reply["role"], reply["content"]) for reply in replies)
        if key not in self._ids:
            self._ids[key] = self.tokenizer.encode(self._text(replies), add_special_tokens=False)
        ids = self._ids[key]
        ended_otherwise = last_id in self.tokenizer.all_special_ids and ids[0] == self.tokenizer.eos_token_id
        return ids[1:] if last_id == ids[0] or ended_otherwise else list(ids)

    def _text(self, replies: Sequence[Message]) -> str:
        messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": self._SAID}, *replies]
        role = replies[0]["role"]
        try:
            whole = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # Jinja's errors and those that a template raises itself
            raise UserError(
                f"the model's chat template takes no reply of the role {role!r} ({one_line(error)}): choose "
                "another role in the environment's options, or another model"
            ) from None
        _, said, after = whole.partition(self._SAID)
        if not said or not after or any(reply["content"].strip() not in after for reply in replies):
            raise UserError(f"the model's chat template loses a reply of the role {role!r}: {after[:80]!r}")
        return after


def end_of_turn_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a turn: the tokenizer's and those that the model's generation config names."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = configured if isinstance(configured, list) else [configured]
    return sorted({i for i in [*ids, tokenizer.eos_token_id] if i is not None})


def pad_id(tokenizer: Any) -> int:
    """The padding token; `load_tokenizer` saw to it that there is one."""
    return int(tokenizer.pad_token_id)


def reads_back(tokenizer: Any, messages: Sequence[Message]) -> bool:
    """Whether a conversation's tokens begin with those of its prompt.

    Not so where the completion's first characters merge with the template's last, such as a newline after a newline: a
    sampled text like that would be learned after another prompt than it was sampled from.
    """
    prompt = prompt_ids(tokenizer, messages[:-1])
    return tokenizer.apply_chat_template(list(messages), return_dict=False)[: len(prompt)] == prompt


def check_template(path: str, tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> None:
    """Refuses a chat template that would not teach the completion as it is: the last message of each conversation.

    The tokens of the whole must begin with those of the prompt, and what follows must hold the completion's own text
    and end the turn.

    Raises:
        UserError: The template rewrites the prompt or the completion, or ends no turn.
    """
    for messages in conversations:
        prompt = prompt_ids(tokenizer, messages[:-1])
        whole = tokenizer.apply_chat_template(list(messages), return_dict=False)
        if whole[: len(prompt)] != prompt:
            _refuse(path, "rewrites the prompt once an answer follows it")
        completion = whole[len(prompt) :]
        if messages[-1]["content"].strip() not in completion_of(tokenizer, completion):
            _refuse(path, "changes the text of the answer")
        if tokenizer.eos_token_id not in completion:
            _refuse(path, f"does not end a turn with the end-of-sequence token {tokenizer.eos_token!r}")


def _refuse(path: str, what: str) -> NoReturn:
    raise UserError(f"model {path}: its chat template {what}, so SFT would teach something else: give it a plain one")
