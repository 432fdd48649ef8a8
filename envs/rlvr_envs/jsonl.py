"""Rows from a JSONL file, one JSON object a line; what cannot be read is named by its file and line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rlvr_rewards import UserError


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The line numbers, from 1, and their objects; blank lines are passed over.

    Raises:
        UserError: There is no such file, it holds no row, or a line is not a JSON object in UTF-8.
    """
    try:
        lines = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    is_empty = True
    with lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                is_empty = False
                yield number, _read_object(path, number, line)
    if is_empty:
        raise UserError(f"{path}: the file is empty: it needs one JSON object a line")


def _read_object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} line {number}: not UTF-8: {error.reason} at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} line {number}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise UserError(f"{path} line {number}: a JSON object is needed, not {type(row).__name__}")
    return row
