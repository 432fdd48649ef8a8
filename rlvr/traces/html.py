"""A run as one HTML file: curves, groups and completions, searchable, from disk, without network or anything beside it.

The data is JSON inside the page in which every `<`, `>` and `&` is an escape, and the script puts it on the page as
text alone; a content security policy forbids whatever else a text might try. The page itself is `page.html`.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from rlvr.traces.index import GroupKey, Row, StepSummary, TraceIndex
from rlvr.traces.text import cut, visible

MOST_ROWS = 5000
"""Completions in a page, so that a browser opens it at once."""
_MOST_CHARACTERS = 20_000
_PLACE = "/*DATA*/"


def write_html(
    index: TraceIndex,
    to: BinaryIO,
    chosen: Callable[[StepSummary], bool] = lambda step: True,
    group: int | None = None,
    most_rows: int = MOST_ROWS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes the page; returns how many completions are in it.

    Where there are more than `most_rows`, groups are taken evenly over steps and groups, and the page says so.

    Args:
        chosen: Which steps.
        group: Only the group of this number.
        progress: Told the number of groups read, and of all.
    """
    steps = [step for step in index.steps() if chosen(step)]
    keys, num_rows = _keys(index, steps, group, most_rows)
    groups = []
    for done, key in enumerate(keys, start=1):
        if rows := index.rows(key):
            groups.append(_group(key, rows))
        progress(done, len(keys))
    written = sum(len(each["rows"]) for each in groups)
    page = {
        "name": visible(index.name),
        "note": "" if written >= num_rows else f"{written:,} of {num_rows:,} completions, evenly; curves are of all",
        "problems": index.problems,
        "curves": _curves(index, steps),
        "groups": groups,
    }
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    before, after = template.split(_PLACE)
    to.write((before + _as_script(page) + after).encode("utf-8", "backslashreplace"))
    return written


def _keys(
    index: TraceIndex, steps: Sequence[StepSummary], group: int | None, most_rows: int
) -> tuple[list[GroupKey], int]:
    """The groups to show, and how many completions there are in all."""
    total = sum(step.num_rows or 0 for step in steps)
    if group is not None:
        found = [index.groups(step.stage, step.split, step.step) for step in steps]
        keys = [each.key for groups in found for each in groups if each.key.group == group]
        return keys, sum(len(each.samples) for groups in found for each in groups if each.key.group == group)
    num_groups = sum(step.num_groups or 0 for step in steps)
    most_groups = num_groups if total <= most_rows else max(1, math.floor(most_rows * num_groups / total))
    share = most_groups / max(1, num_groups)
    keys, owed = [], 0.0
    for step in steps:
        owed += (step.num_groups or 0) * share
        if (take := math.floor(owed + 1e-9)) > 0:
            groups = index.groups(step.stage, step.split, step.step)
            keys += [groups[place].key for place in _evenly(len(groups), take)]
            owed -= take
    return keys, total


def _evenly(count: int, most: int) -> list[int]:
    if count <= most:
        return list(range(count))
    return [index * count // most for index in range(most)]


def _curves(index: TraceIndex, steps: Sequence[StepSummary]) -> list[dict[str, Any]]:
    found = []
    for stage, split in dict.fromkeys((step.stage, step.split) for step in steps):
        curves = {visible(name): curve for name, curve in index.curves(stage, split).items() if len(curve) > 1}
        if curves:
            found.append({"title": visible(f"{stage} · {split}"), "curves": curves})
    return found


def _group(key: GroupKey, rows: Sequence[Row]) -> dict[str, Any]:
    first = rows[0]
    return {
        "stage": visible(key.stage),
        "split": visible(key.split),
        "step": key.step,
        "group": key.group,
        "attempt": key.attempt,
        "task": visible(first.task_id or ""),
        "env": visible(first.env or ""),
        "messages": [_message(message) for message in first.messages],
        "gold": _shown(first.gold or ""),
        "rows": [_row(row) for row in rows],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "sample": row.sample,
        "reward": _number(row.reward),
        "advantage": _number(row.advantage),
        "success": row.success,
        "parts": {visible(name): _number(value) for name, value in row.parts.items()},
        "errors": {visible(name): _shown(error) for name, error in row.errors.items()},
        "length": row.completion_tokens,
        "finish": visible(row.finish_reason or ""),
        "why": "" if row.kept is not False else visible(row.why_not_kept or "not kept"),
        "completion": _shown(row.completion),
        "turns": [_message(turn) for turn in row.turns or ()],
        "episode": bool(row.episode),
    }


def _message(message: Any) -> dict[str, str]:
    if not isinstance(message, dict):
        return {"role": "", "content": _shown(str(message))}
    content = message.get("content")
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return {"role": visible(str(message.get("role", ""))), "content": _shown(text)}


def _shown(text: str) -> str:
    """Text with its control characters visible, and its end left out where it is very long."""
    text, num_left = cut(text, _MOST_CHARACTERS)
    return visible(text) + (f"\n… {num_left:,} more characters" if num_left else "")


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _as_script(value: Any) -> str:
    """JSON that ends no script and opens no tag."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    escapes = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
    return text.translate(str.maketrans(escapes))
