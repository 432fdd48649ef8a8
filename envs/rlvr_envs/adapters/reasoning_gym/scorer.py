"""What a dataset's own scorer gives an answer, as a reward of ours.

It is theirs but for four departures:

1. The answer is what our rewards take for one: the one `<answer>` after the thought. Theirs is the last of any number.
2. No answer earns 0.0. Some scorers pay 0.01 or 0.05 for whatever is written.
3. Scorers that evaluate what a model wrote as Python see it only where it is plain (`plain`); all else earns 0.0.
4. Where a scorer raises, as some do on text that is no number, the answer earns 0.0. That it is the text, and not the
   scorer, that is at fault is known: it has paid the row's own answer in full when the row was made.
"""

import contextlib
import io
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from rlvr_envs.adapters.reasoning_gym.datasets import scoring_dataset
from rlvr_envs.adapters.reasoning_gym.plain import may_be_evaluated, refuse_unsafe_row
from rlvr_rewards import reward
from rlvr_rewards.extract import final_answer

_TUPLES = {"arc_agi": ("input", "output"), "rearc": ("input", "output")}
"""Metadata that a scorer compares with tuples, which JSON does not have."""


class Credit(StrEnum):
    """What becomes of marks that are not full."""

    OWN = "own"
    """They are given as the scorer gives them."""
    FULL = "full"
    """They are nothing: an answer is right or earns 0.0."""


@reward(runs="process", deadline_s=10.0, imports=["reasoning_gym"])
def own_score(
    completion: str,
    question: str,
    answer: str | None,
    metadata: dict[str, Any],
    *,
    dataset: str = "",
    options: str = "{}",
    credit: Credit = Credit.OWN,
) -> float:
    """What the dataset's own scorer gives the final `<answer>`; with `credit=full` full marks alone count.

    Args:
        completion: What the model wrote.
        question: The row's.
        answer: The row's; `None` where the metadata hold what is needed.
        metadata: The row's.
        dataset: The dataset's name.
        options: Its options, as JSON.
        credit: What becomes of marks that are not full.
    """
    found = final_answer(completion)
    if not found:
        return 0.0
    value = own_value(dataset, options, found, {"question": question, "answer": answer, "metadata": metadata})
    return value if credit is Credit.OWN else float(value >= 1.0)


def own_value(dataset: str, options: str, answer: str, row: Mapping[str, Any]) -> float:
    """What the dataset's own scorer gives an answer that was found.

    Raises:
        ValueError: The row holds what the scorer would evaluate, and it is not plain.
    """
    refuse_unsafe_row(dataset, row)
    if not may_be_evaluated(dataset, answer):
        return 0.0
    scorer = scoring_dataset(dataset, options)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            value = float(scorer.score_answer(answer, _as_entry(dataset, row)))
    except MemoryError:
        raise
    except Exception:  # departure 4
        return 0.0
    return 1.0 if value > 1.0 else value  # sums of weights end at 1.0000000000000002


def _as_entry(dataset: str, row: Mapping[str, Any]) -> dict[str, Any]:
    metadata = dict(row["metadata"])
    for name in _TUPLES.get(dataset, ()):
        metadata[name] = tuple(map(tuple, metadata[name]))
    return {**row, "metadata": metadata}
