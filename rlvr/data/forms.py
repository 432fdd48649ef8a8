"""A row as something to imitate: a conversation, of which the end is learned, or a plain text, of which all is.

    messages                    [{"role": …, "content": …}, …], the last the assistant's
    conversations               the same as ShareGPT writes it: [{"from": "human", "value": …}, …]
    prompt, completion          text or messages in each
    text                        as it stands, without a chat template

`task_type` names the channel of a row. Other columns are passed over. Not here: preferences, and wording of prompts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rlvr.data.rows import Row, read_rows
from rlvr.data.sources import DataSource
from rlvr_envs import Message

CHANNEL = "task_type"
_SHAREGPT = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}


@dataclass(frozen=True)
class Example:
    """One thing to imitate.

    Attributes:
        where: The row that it comes from, in words.
        messages: The conversation; empty for a plain text.
        num_prompt: How many messages are the prompt.
        text: The plain text; empty for a conversation.
        channel: Under which name its loss is logged; empty where it has none.
    """

    where: str
    messages: tuple[Message, ...] = ()
    num_prompt: int = 0
    text: str = ""
    channel: str = ""


def read_examples(source: DataSource) -> Iterator[Example]:
    """The examples of a set, in order.

    Raises:
        UserError: It cannot be read, or a row is no example; the row is named, and what it lacks.
    """
    for row in read_rows(source):
        channel = row.columns.get(CHANNEL)
        channel = (source.channel or "") if channel is None else str(channel)
        if "messages" in row.columns or "conversations" in row.columns:
            messages = conversation(row)
            yield Example(row.where, messages, len(messages) - 1, channel=channel)
        elif "prompt" in row.columns or "completion" in row.columns:
            yield _prompt_and_completion(row, channel)
        elif "text" in row.columns:
            yield Example(row.where, text=nonempty(row, "text"), channel=channel)
        else:
            raise row.error(
                f"no demonstration: it has {', '.join(row.columns) or 'no column'}: give messages, prompt and "
                'completion, or text, or say which columns they are, such as columns = { prompt = "question" }'
            )


def conversation(row: Row) -> tuple[Message, ...]:
    """The conversation of a row, checked: it holds a prompt, and ends with the assistant."""
    column = "messages" if "messages" in row.columns else "conversations"
    messages = turns(row, column, "")
    if len(messages) < 2 or messages[-1]["role"] != "assistant":
        raise row.error(f"no demonstration: its {column} must hold a prompt, and end with the assistant's turn")
    if not messages[-1]["content"].strip():
        raise row.error(f"the last turn of its {column} is empty: give the answer, or take the row out")
    return messages


def _prompt_and_completion(row: Row, channel: str) -> Example:
    prompt, completion = turns(row, "prompt", "user"), turns(row, "completion", "assistant")
    if completion[-1]["role"] != "assistant":
        raise row.error("no demonstration: its completion must end with the assistant's turn")
    if not completion[-1]["content"].strip():
        raise row.error("its completion is empty: give the answer, or take the row out")
    return Example(row.where, (*prompt, *completion), len(prompt), channel=channel)


def turns(row: Row, column: str, role: str) -> tuple[Message, ...]:
    """Messages of a column as they are; text as one message of a role.

    Raises:
        UserError: The column is missing, or holds neither.
    """
    value = row.columns.get(column)
    if isinstance(value, str) and role:
        return ({"role": role, "content": value},)
    if value is None:
        raise row.error(f"no demonstration: it has no {column!r}")
    if not isinstance(value, list) or not value:
        raise row.error(f"its {column} is no list of messages" + (", and no text" if role else ""))
    return tuple(_message(row, column, number, each) for number, each in enumerate(value, start=1))


def _message(row: Row, column: str, number: int, message: Any) -> Message:
    if isinstance(message, dict) and "from" in message:
        message = {"role": _SHAREGPT.get(message["from"], message["from"]), "content": message.get("value")}
    if not isinstance(message, dict) or any(not isinstance(message.get(key), str) for key in ("role", "content")):
        raise row.error(f"message {number} of its {column} needs a role and a content, both text")
    return {"role": message["role"], "content": message["content"]}


def nonempty(row: Row, column: str) -> str:
    value = row.columns[column]
    if not isinstance(value, str) or not value.strip():
        raise row.error(
            f"its {column} is {'empty' if value in ('', None) else 'no text'}: mend it, or take the row out"
        )
    return value
