"""Completions in words and blocks: what a page of one, of several side by side, and a preview have in common."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from rlvr.traces.rows import Row
from rlvr.traces.text import counted, think_and_answer, visible
from rlvr.tui.glyphs import bar, number
from rlvr.tui.lines import Piece
from rlvr.tui.prose import Block
from rlvr.tui.wrap import Run, marked_runs, safe_runs

MOST_CHARACTERS = 300_000
"""Of one text, on the screen; the rest is said to be there, and `o` opens all of it."""
_TAGGED = re.compile(r"<(\w{1,40})>([^<]*)</\1>\s*\Z")
_PART = 7


def message_text(message: Any) -> str:
    """What a chat message says; content in pieces is joined."""
    content = message.get("content") if isinstance(message, dict) else message
    if isinstance(content, list):
        return "\n".join(str(piece.get("text", piece)) if isinstance(piece, dict) else str(piece) for piece in content)
    return "" if content is None else str(content)


def question(row: Row) -> str:
    """The last that was asked: the prompt's last message of a user, else the task as JSON."""
    for message in reversed(row.messages):
        if not isinstance(message, dict) or message.get("role", "user") == "user":
            return message_text(message)
    return json.dumps(row.task, ensure_ascii=False)


def parsed(text: str | None) -> str:
    """The answer as it is compared: what stands in the tag at the end of a text, else its last line.

    >>> parsed("<think>3+4</think><answer> 7 </answer>"), parsed("It is\\n7"), parsed("<think>3"), parsed(None)
    ('7', '7', '', '')
    """
    _, answer = think_and_answer(text or "")
    answer = answer.strip()[-2000:]
    if match := _TAGGED.search(answer):
        return match[2].strip()
    return answer.rpartition("\n")[2].strip()


def capped(text: str) -> tuple[str, str]:
    """As much of a text as is shown, and what is said of the rest."""
    if len(text) <= MOST_CHARACTERS:
        return text, ""
    return text[
        :MOST_CHARACTERS
    ], f"{len(text) - MOST_CHARACTERS:,} more characters are not shown here: o opens all in $PAGER"


def advantage_pieces(advantage: float | None, largest: float, width: int = 3) -> list[Piece]:
    """A number with its sign, and a bar as long as it is large beside the group's largest."""
    if advantage is None:
        return [("–".rjust(6) + " " * (width + 1), "faint")]
    share = abs(advantage) / largest if largest else 0.0
    names = "dim" if advantage == 0 else ("good" if advantage > 0 else "bad") + (" bold" if share > 0.66 else "")
    return [(f"{advantage:+.2f}".rjust(6), names), (" ", ""), (bar(share, width), names)]


def part_pieces(value: float | None, error: bool) -> list[Piece]:
    """A part as a small bar with its value; an error instead where there was one."""
    if error:
        return [("error".ljust(_PART), "bad")]
    if value is None:
        return [("–".ljust(_PART), "faint")]
    return [(bar(abs(value), 2), "bad" if value < 0 else "key"), (f" {number(value, 2)}".ljust(_PART - 2), "")]


def solved(row: Row) -> Piece:
    """Whether it solved its task, as one sign."""
    return {True: ("✓", "good"), False: ("✗", "bad"), None: ("–", "faint")}[row.success]


def facts(row: Row) -> list[Piece]:
    """Such as `reward 1.2  advantage +0.53  ✓ solved  stop, 23 tokens`."""
    pieces: list[Piece] = [("reward ", "dim"), (number(row.reward), "bold")]
    if row.advantage is not None:
        pieces += [
            ("  advantage ", "dim"),
            (f"{row.advantage:+.3f}", "good" if row.advantage > 0 else "bad" if row.advantage < 0 else ""),
        ]
    said = {True: "solved", False: "not solved", None: "success unknown"}[row.success]
    pieces += [("  ", ""), solved(row), (f" {said}", "")]
    tokens = "" if row.completion_tokens is None else f"{row.completion_tokens} tokens"
    ended = ", ".join(word for word in (visible(row.finish_reason or ""), tokens) if word)
    pieces += [("  ", ""), (ended, "warn" if row.finish_reason == "length" else "dim")] if ended else []
    if row.kept is False:
        pieces += [("  not kept", "warn")]
    return pieces


def parts_runs(row: Row) -> Iterable[Run]:
    """A line for each part with its value, and the error of each that failed."""
    names = list(dict.fromkeys([*row.parts, *row.errors]))
    width = max((len(visible(name)) for name in names), default=0)
    for name in names:
        value = row.parts.get(name)
        yield visible(name).ljust(width + 2), "dim", -1
        if name not in row.errors:
            yield bar(abs(value or 0.0), 8), "bad" if (value or 0) < 0 else "key", -1
            yield f" {number(value)}\n", "", -1
        else:
            yield "error ", "bad bold", -1
            yield from safe_runs(f"{row.errors[name]}\n", "bad")
    if row.kept is False:
        yield "not kept: ", "warn", -1
        yield from safe_runs(f"{row.why_not_kept or 'no reason given'}\n", "warn")


def answer_runs(row: Row) -> Iterable[Run]:
    """The parsed answer beside gold, on two lines."""
    ours, gold = parsed(row.completion), parsed(row.gold)
    same = bool(ours) and ours == gold
    yield "answer  ", "dim", -1
    yield from safe_runs(f"{ours or '(none)'}\n", "good bold" if same else "bold" if ours else "faint")
    yield "gold    ", "dim", -1
    yield from safe_runs(gold or "(none recorded)", "good" if same else "")


def text_blocks(text: str, spans: Sequence[tuple[int, int, str]] = (), folded: bool = False) -> list[Block]:
    """A completion's thought and its answer as blocks of their own; spans mark places in the text."""
    text, more = capped(text)
    thought, answer = think_and_answer(text)
    cut = len(thought)
    blocks = []
    if thought.strip():
        inside = [span for span in spans if span[0] < cut]
        title: list[Piece] = [("think", "title"), (f"  {counted(len(thought), 'character')}", "faint")]
        blocks.append(Block("think", title, list(marked_runs(thought, inside, "think")), folded))
    after = [(max(start - cut, 0), end - cut, names) for start, end, names in spans if end > cut]
    runs = list(marked_runs(answer, after)) if answer.strip() else [("(none)", "faint", -1)]
    blocks.append(Block("answer", [("answer", "title")], runs))
    if more:
        blocks.append(Block("more", [(more, "warn")]))
    return blocks


def turn_blocks(turns: Sequence[Any], own: Sequence[Sequence[Run]] = ()) -> Iterable[Block]:
    """What followed in more turns: who spoke, tool calls and the replies to them as such.

    Args:
        turns: Chat messages.
        own: The texts of the assistant's, in order, where they are shown otherwise than plain.
    """
    shown = iter(own)
    for number_, turn in enumerate(turns, start=1):
        role = str(turn.get("role", "turn")) if isinstance(turn, dict) else "turn"
        calls = turn.get("tool_calls") or [] if isinstance(turn, dict) else []
        runs = list(
            safe_runs(
                capped(
                    message_text(turn)
                    if isinstance(turn, dict) and "content" in turn
                    else json.dumps(turn, ensure_ascii=False)
                )[0]
            )
        )
        for call in calls if isinstance(calls, list) else []:
            runs += [("\n" if runs else "", "", -1), ("call ", "accent bold", -1), *safe_runs(_call(call), "accent")]
        runs = list(next(shown, runs)) if role == "assistant" else runs
        label = "reply of a tool" if role == "tool" else role
        name = f" {turn['name']}" if isinstance(turn, dict) and turn.get("name") else ""
        yield Block(
            "turn",
            [(f"turn {number_}  ", "faint"), (visible(label + name), "accent" if role == "tool" else "title")],
            runs,
        )


def _call(call: Any) -> str:
    function = call.get("function", call) if isinstance(call, dict) else call
    if not isinstance(function, dict):
        return str(function)
    arguments = function.get("arguments", "")
    given = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return f"{function.get('name', '?')}({given})"


def prompt_blocks(row: Row, folded: bool) -> Iterable[Block]:
    """The prompt, a block a message."""
    for message in row.messages:
        role = visible(str(message.get("role", "prompt"))) if isinstance(message, dict) else "prompt"
        text, more = capped(message_text(message))
        first = visible(text.strip().partition("\n")[0])[:60] if folded else ""
        title: list[Piece] = [(role, "title"), (f"  {first}", "faint")]
        yield Block("prompt", title, [*safe_runs(text), *([(f"\n{more}", "warn", -1)] if more else [])], folded)


def json_block(name: str, value: Any, folded: bool = True) -> list[Block]:
    """A value as JSON under its name; none where there is nothing in it."""
    if value in (None, {}, [], ""):
        return []
    text = capped(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1))[0]
    return [
        Block(
            name,
            [
                (name, "title"),
                (f"  {visible(text[:60]).splitlines()[0] if folded and isinstance(value, str) else ''}", "faint"),
            ],
            list(safe_runs(text, "dim")),
            folded,
        )
    ]
