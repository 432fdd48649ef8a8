"""How much of a reference text a completion shares with it: ROUGE and BLEU by the libraries that papers report with.

For summaries and translations, where no exact answer exists. They compare words, not meaning: a fluent lie in the
reference's words earns more than the truth in others, and optimizing either alone is known to make text worse. Gold is
a text, or a list of texts of which the best counts.

A text of more than `most_times` the characters of the longest gold (1,000 at least) earns 0.0 and is not compared:
the longest common subsequence takes time that grows with the product of both lengths, and only spam is that long.
"""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import cache
from typing import Any

from rlvr_rewards.examples import Example
from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward
from rlvr_rewards.golds import gold_texts
from rlvr_rewards.optional import optional_module

_EXAMPLE = Example("<think>so</think>A duck swims on the pond.", {"answer": "A duck swims on the pond."})
EXAMPLES = {"rouge": _EXAMPLE, "bleu": _EXAMPLE}
_ALWAYS_COMPARED = 1000
_ENDLESS_WORD = re.compile(r"([A-Za-z0-9]{60})[A-Za-z0-9]+")


class RougeKind(StrEnum):
    """What ROUGE counts."""

    ROUGE1 = "rouge1"
    """Words."""
    ROUGE2 = "rouge2"
    """Pairs of words."""
    ROUGEL = "rougeL"
    """The longest common subsequence of words."""
    ROUGELSUM = "rougeLsum"
    """The same, line by line."""


class Measure(StrEnum):
    """Which of ROUGE's numbers."""

    F1 = "f1"
    PRECISION = "precision"
    RECALL = "recall"


class BleuTokenizer(StrEnum):
    """How BLEU cuts a text into words; those of sacrebleu that fetch nothing."""

    WESTERN = "13a"
    INTERNATIONAL = "intl"
    CHINESE = "zh"
    CHARACTERS = "char"
    SPACES = "none"


@reward
def rouge(
    completion: str,
    answer: str | Sequence[str],
    *,
    kind: RougeKind = RougeKind.ROUGEL,
    measure: Measure = Measure.F1,
    use_stemmer: bool = False,
    most_times: float = 4.0,
    form: AnswerForm = AnswerForm.TEXT,
    tag: str = "answer",
) -> float:
    """ROUGE of the final text against the gold answer, 1.0 where they have the same words in the same order.

    >>> rouge("<think>so</think>A duck swims on the pond.", answer="A duck swims on the pond.")
    1.0
    >>> rouge("A duck swims.", answer="A duck swims on the pond."), rouge("No.", answer="A duck swims on the pond.")
    (0.6666666666666666, 0.0)

    Case and punctuation do not count; `use_stemmer` makes `swims` and `swim` one. It reads the letters a to z and
    digits alone: for text in other scripts take `bleu(tokenize='char')`.

    A hack: everything one might say around the reference. F1 pays little for it, `measure='recall'` would pay in full
    up to `most_times` its length.

    >>> rouge("A duck swims on the pond. " * 40, answer="A duck swims on the pond.") < 0.05
    True

    Needs rouge-score (Google's, as papers report it); nothing is downloaded.

    Source: Lin, ROUGE, 2004, in the version of the package rouge-score.

    Raises:
        ValueError: The gold answer is not text, or has no word that ROUGE reads.
    """
    golds, chosen = gold_texts(answer), RougeKind(kind).value
    text = final_answer(completion, form, tag)
    scorer = _rouge(chosen, use_stemmer)
    for gold in golds:
        if not re.search(r"[A-Za-z0-9]", gold):
            raise ValueError(f"the gold answer {gold[:80]!r} has no word that ROUGE reads: take bleu(tokenize='char')")
    if text is None or _is_too_long(text, golds, most_times):
        return 0.0
    scores = [scorer.score(_without_endless_words(gold), _without_endless_words(text))[chosen] for gold in golds]
    number = "fmeasure" if measure == Measure.F1 else Measure(measure).value
    return max(float(getattr(score, number)) for score in scores)


@reward
def bleu(
    completion: str,
    answer: str | Sequence[str],
    *,
    tokenize: BleuTokenizer = BleuTokenizer.WESTERN,
    lowercase: bool = False,
    most_times: float = 4.0,
    form: AnswerForm = AnswerForm.TEXT,
    tag: str = "answer",
) -> float:
    """BLEU of the final text against the gold answer over 100, for one sentence: 1.0 where they are the same.

    >>> bleu("<think>so</think>A duck swims on the pond.", answer="A duck swims on the pond.")
    1.0
    >>> [round(bleu(text, answer="A duck swims on the pond."), 3) for text in ("A duck swims in the pond.", "No")]
    [0.411, 0.0]

    Each n-gram counts at most as often as the reference has it, and a text shorter than it is marked down. Settings are
    sacrebleu's; `tokenize` is one of `13a`, `intl`, `zh`, `char`, `none`, which fetch nothing.

    A hack: one common word again and again counts once.

    >>> bleu("the the the the the the the", answer="The cat is on the mat, I say.") < 0.1
    True

    Needs sacrebleu.

    Source: Papineni et al., 2002; Post, arXiv 1804.08771 (sacrebleu), with its exponential smoothing and, as its own
    sentence scores have it, the orders of n-grams that the text is long enough for.

    Raises:
        ValueError: The gold answer is not text.
    """
    golds = gold_texts(answer)
    text = final_answer(completion, form, tag)
    if text is None or _is_too_long(text, golds, most_times):
        return 0.0
    scorer = _bleu(BleuTokenizer(tokenize).value, lowercase)
    score = scorer.sentence_score(text, golds).score / 100.0
    _forget_texts()
    return min(1.0, round(score, 12))  # exp and log of 1 give 1.0000000000000004


def _is_too_long(text: str, golds: Sequence[str], most_times: float) -> bool:
    return len(text) > max(_ALWAYS_COMPARED, most_times * max(map(len, golds)))


def _without_endless_words(text: str) -> str:
    """Words cut after 60 letters: the stemmer calls itself once for each `y` in a row."""
    return _ENDLESS_WORD.sub(r"\1", text)


@cache
def _rouge(kind: str, use_stemmer: bool) -> Any:
    return optional_module("rouge_score.rouge_scorer", "rouge-score").RougeScorer([kind], use_stemmer=use_stemmer)


@cache
def _bleu(tokenize: str, lowercase: bool) -> Any:
    metrics = optional_module("sacrebleu.metrics", "sacrebleu")
    return metrics.BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=True)


def _forget_texts() -> None:
    """sacrebleu's tokenizers keep the last 65,536 texts each: in training that is memory for nothing."""
    for forget in _caches():
        forget()


@cache
def _caches() -> list[Callable[[], None]]:
    names = (f"sacrebleu.tokenizers.tokenizer_{name}" for name in ("13a", "intl", "zh", "char", "re"))
    things = [thing for name in names for thing in vars(optional_module(name, "sacrebleu")).values()]
    calls = [vars(thing).get("__call__") for thing in things if isinstance(thing, type)]
    return [forget for call in calls if (forget := getattr(call, "cache_clear", None))]
