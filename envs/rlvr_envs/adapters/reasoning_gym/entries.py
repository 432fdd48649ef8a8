"""Entries of a dataset as rows of ours: JSON, and only those whose own answer its own scorer pays in full.

Made in a worker process, where the hashes of texts are the same in every run: some datasets draw from sets, and would
otherwise give other rows for the same seed.
"""

import contextlib
import io
import json
from collections.abc import Mapping
from typing import Any

from rlvr_envs.adapters.reasoning_gym.datasets import make_dataset

_EXAMPLES = ("possible_answer", "example_answer", "example_correct_answer")
"""Where the metadata hold a right answer in place of the entry, whose question has many."""


def rows_of(dataset: str, options: str, seed: int, count: int) -> list[str]:
    """The rows of a dataset with this seed, each as JSON text; those that carry no answer worth full marks left out.

    Args:
        dataset: Its name.
        options: Its options, as JSON.
        seed: From 0 to 2**32 - 1.
        count: How many entries are made.
    """
    from rlvr_envs.adapters.reasoning_gym.scorer import own_value

    rows = []
    with contextlib.redirect_stdout(io.StringIO()):
        made = make_dataset(dataset, json.loads(options), seed, count)
        for index in range(count):
            entry = {name: made[index][name] for name in ("question", "answer", "metadata")}
            text = json.dumps(entry)
            row = json.loads(text)
            answer = gold_answer(row)
            if answer and own_value(dataset, options, answer, row) >= 1.0:
                rows.append(text)
    return rows


def gold_answer(row: Mapping[str, Any]) -> str:
    """The answer that a row carries, without the white space around it; empty where it carries none."""
    found = row["answer"]
    for name in _EXAMPLES:
        found = row["metadata"].get(name) if found is None else found
    text = found if isinstance(found, str) or found is None else json.dumps(found)
    return (text or "").strip()
