"""Rejection sampling (Yuan et al. 2023, arXiv 2308.01825): of sampled groups, the completions that were verified.

Kept is what solves its task (or earns enough), each text once a task, at most a few of a task, the shorter first, and
nothing of a task that the evaluation asks, by its id or by its words. Not here: sampling, scoring and training.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rlvr_envs import Message


class Verdict(StrEnum):
    """What becomes of a completion; all but the first are reasons against it."""

    KEPT = "kept"
    FAILED = "failed"
    """It does not solve its task, or earns too little, or its reward failed."""
    CUT_SHORT = "cut_short"
    """The token budget ended it."""
    DUPLICATE = "duplicate"
    """The same text was kept for the task before."""
    OVER_CAP = "over_cap"
    """Enough of its task were kept before."""
    CONTAMINATED = "contaminated"
    """The evaluation asks its task."""
    MERGED = "merged_with_prompt"
    """In tokens its beginning merges with the end of the prompt; only a tokenizer can say so."""


@dataclass(frozen=True)
class Sample:
    """One completion.

    Attributes:
        task_id: Of its task.
        prompt: What was asked.
        text: What was written.
        tokens: How long it is.
        reward: `None` where a part failed or none applied.
        success: Whether it solves the task; `None` where that could not be said.
        finished: Whether the model ended its turn itself.
        turns: The episode after the prompt, where there are several turns; the text is then what the model said.
    """

    task_id: str
    prompt: Sequence[Message]
    text: str
    tokens: int
    reward: float | None
    success: bool | None
    finished: bool
    turns: Sequence[Message] = ()

    @property
    def said(self) -> tuple[Message, ...]:
        """What follows the prompt, as messages."""
        return tuple(self.turns) or ({"role": "assistant", "content": self.text},)


@dataclass(frozen=True)
class Asked:
    """What an evaluation asks: the ids of its tasks, and their words."""

    ids: frozenset[str]
    words: frozenset[str]

    def asks(self, sample: Sample) -> bool:
        return sample.task_id in self.ids or words_of(sample.prompt) in self.words


def words_of(prompt: Sequence[Message]) -> str:
    """The words of the user's turns, whatever their case and the space between them."""
    return " ".join(word for m in prompt if m["role"] == "user" for word in m["content"].casefold().split())


def verified(
    samples: Iterable[Sample], asked: Asked, max_per_task: int, min_reward: float | None
) -> tuple[list[Sample], Counter[Verdict]]:
    """The samples to learn from, in the order of their tasks, and how many were kept and dropped, by why.

    Args:
        samples: Of all tasks.
        asked: What the evaluation asks.
        max_per_task: The most that are kept of one task.
        min_reward: The least that a sample must earn; `None`: it must solve its task.
    """
    tasks: dict[str, list[Sample]] = {}
    for sample in samples:
        tasks.setdefault(sample.task_id, []).append(sample)
    kept, verdicts = [], Counter[Verdict]()
    for of_task in tasks.values():
        texts: set[str] = set()
        for sample in sorted(of_task, key=lambda each: each.tokens):
            verdict = _verdict(sample, asked, texts, max_per_task, min_reward)
            verdicts[verdict] += 1
            if verdict is Verdict.KEPT:
                texts.add(" ".join(sample.text.split()))
                kept.append(sample)
    return kept, verdicts


def _verdict(sample: Sample, asked: Asked, texts: set[str], max_per_task: int, min_reward: float | None) -> Verdict:
    earned = (
        sample.reward is not None and sample.reward >= min_reward if min_reward is not None else bool(sample.success)
    )
    if not earned:
        return Verdict.FAILED
    if not sample.finished:
        return Verdict.CUT_SHORT
    if asked.asks(sample):
        return Verdict.CONTAMINATED
    if " ".join(sample.text.split()) in texts:
        return Verdict.DUPLICATE
    return Verdict.OVER_CAP if len(texts) >= max_per_task else Verdict.KEPT
