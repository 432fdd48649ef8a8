"""Demonstrations to learn from: a JSONL of conversations whose last turn is the assistant's.

A line is `{"messages": [{"role": …, "content": …}, …]}`, or `{"prompt": …, "completion": …}` with text or messages in
each. Other keys are ignored. Not here: the other formats and the mixing of sets, which come with the pipeline.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlvr_envs import Message
from rlvr_envs.jsonl import read_jsonl
from rlvr_rewards.errors import UserError


def read_demonstrations(path: Path) -> Iterator[list[Message]]:
    """The conversations of a file, in order.

    Raises:
        UserError: The file cannot be read, or a line is no such conversation; file and line are named.
    """
    for number, row in read_jsonl(path):
        messages = _messages(row)
        if not _is_conversation(messages):
            raise UserError(
                f"{path} line {number}: no demonstration: give messages that end with the assistant's, "
                "or a prompt and a completion"
            )
        yield [{"role": message["role"], "content": message["content"]} for message in messages]


def _messages(row: dict[str, Any]) -> list[Any]:
    if "messages" in row:
        return _turns("", row["messages"])
    return [*_turns("user", row.get("prompt")), *_turns("assistant", row.get("completion"))]


def _turns(role: str, content: Any) -> list[Any]:
    """Messages as they are; text as one message of a role. Anything else is no turn."""
    if isinstance(content, str) and role:
        return [{"role": role, "content": content}]
    return content if isinstance(content, list) else []


def _is_conversation(messages: list[Any]) -> bool:
    return len(messages) > 1 and all(map(_is_message, messages)) and messages[-1]["role"] == "assistant"


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and all(isinstance(message.get(key), str) for key in ("role", "content"))
