"""The final answer as a list or a set of items: the same, or how much of it is right.

All share these settings: `separator`, what stands between items; `ignore_case`; `numbers`, whether items that are
numbers are compared as such (`1.50` and `3/2`; not with a comma between items, which would cut `1,000` in two);
`distinct`, whether an item given twice counts once, as in a set. A gold answer is a list, or text cut by the same rule.
Blank items are dropped, and so is one pair of `[ ]` or `{ }` around all of them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rlvr_rewards.errors import UserError
from rlvr_rewards.examples import Example
from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward
from rlvr_rewards.numerals import read_number

_EXAMPLE = Example("<answer>duck, cow, cow</answer>", {"answer": ["duck", "cow", "cow"]})
EXAMPLES = dict.fromkeys(("exact_list", "list_precision", "list_recall", "list_f1"), _EXAMPLE)
Items = list[Any]


@reward
def exact_list(
    completion: str,
    answer: str | Sequence[Any],
    *,
    ordered: bool = True,
    separator: str = ",",
    ignore_case: bool = False,
    numbers: bool = False,
    distinct: bool = False,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    """1.0 where the final answer has the gold answer's items and no others, in the same order unless `ordered=False`.

    >>> exact_list("<answer>duck, cow</answer>", answer=["duck", "cow"])
    1.0
    >>> [exact_list(f"<answer>{text}</answer>", answer="duck, cow") for text in ("cow, duck", "duck")]
    [0.0, 0.0]
    >>> exact_list("<answer>{cow, duck, cow}</answer>", answer=["duck", "cow"], ordered=False, distinct=True)
    1.0

    A hack: more items than asked for are not the answer.

    >>> exact_list("<answer>duck, cow, horse</answer>", answer=["duck", "cow"], ordered=False)
    0.0

    Raises:
        ValueError: The gold answer has no items.
    """
    gold, found = _gold_and_found(completion, answer, separator, ignore_case, numbers, distinct, form, tag)
    return float(found == gold if ordered else Counter(found) == Counter(gold))


@reward
def list_precision(
    completion: str,
    answer: str | Sequence[Any],
    *,
    separator: str = ",",
    ignore_case: bool = False,
    numbers: bool = False,
    distinct: bool = False,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    """The share of the final answer's items that are in the gold answer, each as often as gold has it; order is free.

    >>> list_precision("<answer>cow, duck</answer>", answer=["duck", "cow"])
    1.0
    >>> [list_precision(f"<answer>{text}</answer>", answer=["duck", "cow"]) for text in ("cow, horse", "")]
    [0.5, 0.0]

    A hack: naming the one item that is sure earns all of it. Take `list_f1`, or add `list_recall`.

    >>> list_precision("<answer>duck</answer>", answer=["duck", "cow", "horse"])
    1.0

    Raises:
        ValueError: The gold answer has no items.
    """
    gold, found = _gold_and_found(completion, answer, separator, ignore_case, numbers, distinct, form, tag)
    return _common(gold, found) / len(found) if found else 0.0


@reward
def list_recall(
    completion: str,
    answer: str | Sequence[Any],
    *,
    separator: str = ",",
    ignore_case: bool = False,
    numbers: bool = False,
    distinct: bool = False,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    """The share of the gold answer's items that are in the final answer, each as often as it is there; order is free.

    >>> list_recall("<answer>cow, duck</answer>", answer=["duck", "cow"])
    1.0
    >>> list_recall("<answer>cow, horse</answer>", answer=["duck", "cow"]), list_recall("duck, cow", answer="duck, cow")
    (0.5, 0.0)

    A hack: listing everything there is finds all of gold. Take `list_f1`, or gate it by `list_precision`.

    >>> list_recall("<answer>ant, bee, cow, dog, duck, elk, fox</answer>", answer=["duck", "cow"])
    1.0

    Raises:
        ValueError: The gold answer has no items.
    """
    gold, found = _gold_and_found(completion, answer, separator, ignore_case, numbers, distinct, form, tag)
    return _common(gold, found) / len(gold)


@reward
def list_f1(
    completion: str,
    answer: str | Sequence[Any],
    *,
    separator: str = ",",
    ignore_case: bool = False,
    numbers: bool = False,
    distinct: bool = False,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    """The harmonic mean of precision and recall over items, 2 * common / (found + gold); order is free.

    >>> list_f1("<answer>cow, duck</answer>", answer=["duck", "cow"])
    1.0
    >>> [list_f1(f"<answer>{text}</answer>", answer="duck, cow") for text in ("cow, horse", "horse")]
    [0.5, 0.0]
    >>> list_f1("<answer>2; 0.50; 1,000</answer>", answer=["1000", "1/2", "2"], separator=";", numbers=True)
    1.0

    A hack: an item repeated is wrong from the second on, and a list of everything is mostly wrong.

    >>> list_f1("<answer>duck, duck, duck</answer>", answer=["duck"])
    0.5

    Raises:
        ValueError: The gold answer has no items.
    """
    gold, found = _gold_and_found(completion, answer, separator, ignore_case, numbers, distinct, form, tag)
    return 2.0 * _common(gold, found) / (len(gold) + len(found))


def _gold_and_found(
    completion: str,
    answer: Any,
    separator: str,
    ignore_case: bool,
    numbers: bool,
    distinct: bool,
    form: AnswerForm,
    tag: str,
) -> tuple[Items, Items]:
    """The items of gold and those found; no answer has no items."""
    if not separator:
        raise UserError("separator='' cuts nothing: write what stands between items")
    texts = answer if isinstance(answer, list | tuple) else _cut(answer, separator) if isinstance(answer, str) else []
    if not all(isinstance(text, str | int | float) for text in texts):
        texts = []
    gold = _items(map(str, texts), ignore_case, numbers, distinct)
    if not gold:
        raise ValueError(f"the gold answer {str(answer)[:80]!r} has no items")
    found = final_answer(completion, form, tag)
    return gold, [] if found is None else _items(_cut(found, separator), ignore_case, numbers, distinct)


def _cut(text: str, separator: str) -> list[str]:
    text = text.strip()
    if text[:1] + text[-1:] in ("[]", "{}") and len(text) > 1:
        text = text[1:-1]
    return text.split(separator)


def _items(texts: Any, ignore_case: bool, numbers: bool, distinct: bool) -> Items:
    items: Items = [" ".join(text.split()) for text in texts]
    items = [item.casefold() if ignore_case else item for item in items if item]
    if numbers:
        items = [item if (number := read_number(item)) is None else number for item in items]
    return list(dict.fromkeys(items)) if distinct else items


def _common(gold: Items, found: Items) -> int:
    return (Counter(gold) & Counter(found)).total()
