"""One completion on its way through a reward: what functions may ask for, and what was found so far."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr_rewards.errors import UserError

Message = Mapping[str, Any]
Completion = str | Sequence[Message]
"""A completion as text, or as the chat messages that TRL hands over."""

ABSENT: Any = object()
"""Stands in a column of a batch for a row that has no such column; a batch function gets `None` there."""


@dataclass(slots=True)
class Row:
    """A completion, the columns of its task, and the ledger of parts and errors.

    Attributes:
        values: Everything that can be injected: `completion`, `prompt`, `task`, and each column by its name.
        index: Position in the batch, for functions that score a whole batch at once.
        ahead: What was computed before the algebra is walked, by the function's node: its value for each completion, or
            the exception that it failed with there; one exception where it failed for all.
        num_failures: How often a part failed; grows also where the same part fails again.
    """

    values: Mapping[str, Any]
    index: int = 0
    ahead: Mapping[Any, Sequence[Any] | Exception] = field(default_factory=dict)
    parts: dict[str, float | None] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    num_failures: int = 0

    def computed(self, node: Any) -> Any:
        """What was computed ahead of this row by a node; raises what it failed with."""
        values = self.ahead[node]
        value = values if isinstance(values, Exception) else values[self.index]
        if isinstance(value, Exception):
            raise value.with_traceback(None)
        return value

    def fail(self, part: str, message: str) -> None:
        """Records that a part failed, and why."""
        self.parts[part] = None
        self.errors[part] = message
        self.num_failures += 1


def completion_text(completion: Completion) -> str:
    """The text of a completion, whether it came as a string or as chat messages.

    Of messages, those of the assistant count, joined by a newline; content in typed pieces gives its text pieces.

    >>> completion_text([{"role": "assistant", "content": "<answer>7</answer>"}])
    '<answer>7</answer>'

    Raises:
        UserError: It is neither.
    """
    if isinstance(completion, str):
        return completion
    is_messages = type(completion) is list and all(type(each) is dict for each in completion)  # mostly: soon told
    if not is_messages and not _are_messages(completion):
        raise UserError(f"a completion is text or a list of chat messages, not {repr(completion)[:80]}")
    said = [m for m in completion if m.get("role", "assistant") == "assistant"]
    return "\n".join(_content_text(m.get("content")) for m in said)


def _are_messages(completion: Any) -> bool:
    return isinstance(completion, Sequence) and all(isinstance(message, Mapping) for message in completion)


def turns_of(completion: Completion) -> Sequence[Message]:
    """A completion as the conversation after the prompt: text is one turn of the assistant's.

    >>> turns_of("7")
    [{'role': 'assistant', 'content': '7'}]
    """
    return [{"role": "assistant", "content": completion}] if isinstance(completion, str) else completion


def _content_text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(piece.get("text", "") for piece in content if isinstance(piece, Mapping))
