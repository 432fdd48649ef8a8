"""Traces on a console: a table of steps, a table of a step's groups, and one group's completions to read.

Nothing of a task or a model is read as markup, and nothing of it reaches the terminal as a control sequence.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from rlvr.console import table
from rlvr.traces.fields import content_text
from rlvr.traces.rows import row_of
from rlvr.traces.summary import Summary
from rlvr.traces.text import pieces, think_and_answer, visible


def summary_table(title: str, first_columns: Sequence[str], found: Iterable[tuple[Sequence[Any], Summary]]) -> Table:
    """A line for each summary, after the cells that say what it is of."""
    found = list(found)
    parts = list(dict.fromkeys(name for _, summary in found for name in summary.parts))
    if all(summary.parts.get("success") == summary.success for _, summary in found):
        parts = [name for name in parts if name != "success"]  # a reward that pays for success: the column is there
    columns = [*first_columns, "n", "reward", *map(visible, parts), "success", "zero-var", "tokens", "errors"]
    lines = [[*cells, *_cells(summary, parts)] for cells, summary in found]
    made = table(visible(title), columns, lines)
    made.box, made.collapse_padding = box.SIMPLE_HEAD, True
    for column in made.columns[len(first_columns) :]:
        column.justify = "right"
    return made


def _cells(summary: Summary, parts: Sequence[str]) -> list[Any]:
    tokens = None if summary.tokens is None else f"{summary.tokens:.0f}"
    means = [summary.parts.get(name) for name in parts]
    return [
        summary.num_completions,
        summary.reward,
        *means,
        summary.success,
        _percent(summary.zero_variance),
        tokens,
        _percent(summary.errors),
    ]


def show_group(to: Console, title: str, rows: Sequence[dict[str, Any]]) -> None:
    """A group's task and gold, then each completion with what it earned, its thought apart from its answer."""
    first = rows[0]
    to.print(Rule(_safe(title), align="left"))
    if first["task"]:
        _block(to, "task", first["task"])
    for message in row_of(first).messages:
        is_message = isinstance(message, dict)
        _block(to, str(message.get("role")) if is_message else "prompt", content_text(_content(message)))
    if first["gold"]:
        _block(to, "gold", first["gold"])
    for row in rows:
        to.print(Rule(_safe(_headline(row)), align="left"))
        _show_completion(to, row)


def _content(message: Any) -> Any:
    return message.get("content") if isinstance(message, dict) else message


def _show_completion(to: Console, row: dict[str, Any]) -> None:
    episode = row_of(row).episode
    for turn in episode:
        is_own = turn["role"] == "assistant"
        _block(to, str(turn["role"]) if is_own else f"reply of {turn['role']}", turn["content"], "bold" * is_own)
    if not episode:
        _show_text(to, row["completion"] or "")
    for name, error in row["errors"].items():
        to.print(_safe(f"error in {name}: {error}", "red"), soft_wrap=True)
    if row["kept"] is False:
        to.print(_safe(f"not kept: {row['why_not_kept']}", "yellow"), soft_wrap=True)
    if row["info"] not in (None, "{}"):
        to.print(_safe(f"info {row['info']}", "dim"), soft_wrap=True)


def _show_text(to: Console, completion: str) -> None:
    thought, answer = think_and_answer(completion)
    if thought.strip():
        _block(to, "think", thought, "dim")
    _block(to, "answer", answer if answer.strip() else "(none)", "bold" if answer.strip() else "dim")


def _headline(row: dict[str, Any]) -> str:
    """Such as `sample 2 · reward 1.2 · advantage +0.53 · correct 1, format 1 · solved · stop, 23 tokens`."""
    attempt = f", attempt {row['attempt']}" if row["attempt"] else ""
    parts = ", ".join(f"{name} {_number(value)}" for name, value in row["parts"].items())
    facts = [
        f"sample {row['sample']}{attempt}",
        f"reward {_number(row['reward'])}",
        "" if row["advantage"] is None else f"advantage {row['advantage']:+.3f}",
        parts,
        {True: "solved", False: "not solved", None: "success unknown"}[row["success"]],
        ", ".join(filter(None, (row["finish_reason"], _tokens(row["completion_tokens"])))),
    ]
    return " · ".join(fact for fact in facts if fact)


def _block(to: Console, title: str, text: str, style: str = "") -> None:
    to.print(_safe(title, "bold cyan"))
    to.print(_safe(text, style), soft_wrap=True)


def _safe(text: str, style: str = "") -> Text:
    made = Text(style=style)
    for piece, is_escape in pieces(text):
        made.append(piece, style="reverse" if is_escape else "")
    return made


def _tokens(count: int | None) -> str:
    return "" if count is None else f"{count} tokens"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _percent(value: float | None) -> str | None:
    return None if value is None else f"{value:.0%}"
