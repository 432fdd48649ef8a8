"""A row as a preference: a prompt, a completion that is better, and one that is worse.

    prompt, chosen, rejected    text or messages in each
    chosen, rejected            two conversations that begin alike: what they share is the prompt

Not here: where preferences come from; `rlvr.data.pairs` makes them of sampled groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rlvr.data.forms import turns
from rlvr.data.rows import Row, read_rows
from rlvr.data.sources import DataSource
from rlvr_envs import Message


@dataclass(frozen=True)
class Preference:
    """A prompt with two continuations, each one or more messages that end with the assistant's."""

    where: str
    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]


def read_preferences(source: DataSource) -> Iterator[Preference]:
    """The preferences of a set, in order.

    Raises:
        UserError: It cannot be read, or a row is no preference; the row is named, and what it lacks.
    """
    for row in read_rows(source):
        yield _preference(row)


def _preference(row: Row) -> Preference:
    for column in ("chosen", "rejected"):
        if column not in row.columns:
            raise row.error(
                f"no preference: it has no {column!r}, only {', '.join(row.columns) or 'no column'}: name it, such as "
                f'columns = {{ {column} = "…" }}'
            )
    chosen, rejected = turns(row, "chosen", "assistant"), turns(row, "rejected", "assistant")
    prompt: tuple[Message, ...] = ()
    if chosen[0]["role"] == "assistant":
        if "prompt" not in row.columns:
            raise row.error("no preference: it has no 'prompt', and its completions do not begin with one")
        prompt = turns(row, "prompt", "user")
    else:
        shared = _num_shared(chosen, rejected)
        prompt, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    _check(row, prompt, chosen, rejected)
    return Preference(row.where, prompt, chosen, rejected)


def _num_shared(chosen: Sequence[Message], rejected: Sequence[Message]) -> int:
    """How many messages two conversations begin with in common, the last of either not counted."""
    shared = 0
    for first, second in zip(chosen[:-1], rejected[:-1], strict=False):
        if first != second:
            break
        shared += 1
    return shared


def _check(row: Row, prompt: Sequence[Message], chosen: Sequence[Message], rejected: Sequence[Message]) -> None:
    if not any(message["content"].strip() for message in prompt):
        raise row.error("its prompt is empty, or its conversations do not begin alike: give the prompt")
    for name, messages in (("chosen", chosen), ("rejected", rejected)):
        if not messages or messages[-1]["role"] != "assistant":
            raise row.error(f"its {name} must end with the assistant's turn")
        if not messages[-1]["content"].strip():
            raise row.error(f"its {name} is empty: give the completion, or take the row out")
    if [m["content"].strip() for m in chosen] == [m["content"].strip() for m in rejected]:
        raise row.error("its chosen and rejected are the same, so nothing is preferred: take the row out")
