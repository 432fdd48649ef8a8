"""The final answer as a JSON value. What counts as JSON, and what does not, is said in `rlvr_rewards.json_text`.

A gold answer is JSON text, or the value itself. `fenced=True` takes the answer from the one fenced block in it, where
there is one (three backticks, as models write JSON into prose).
"""

from collections import Counter
from typing import Any

from rlvr_rewards.examples import Example
from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward
from rlvr_rewards.json_text import NotJSONError, canonical, gold_json, leaves, read_json, unfenced

_EXAMPLE = Example('<answer>{"name": "duck", "legs": 2}</answer>', {"answer": {"name": "duck", "legs": 2}})
EXAMPLES = {"exact_json": _EXAMPLE, "json_f1": _EXAMPLE}


@reward
def exact_json(
    completion: str, answer: Any, *, fenced: bool = False, form: AnswerForm = AnswerForm.TAG, tag: str = "answer"
) -> float:
    r"""1.0 where the final answer is the same JSON value as the gold answer.

    The order of keys and white space do not count, the order of a list does; `1` and `1.0` are one number, `1`, `"1"`
    and `true` are three values.

    >>> exact_json('<answer>{"legs": 2.0, "name": "duck"}</answer>', answer={"name": "duck", "legs": 2})
    1.0
    >>> exact_json('<answer>{"name": "duck"}</answer>', answer='{"name": "duck", "legs": 2}')
    0.0
    >>> exact_json('Here:\n```json\n[1, 2]\n```', answer="[1, 2]", form="text", fenced=True)
    1.0

    A hack: a key given twice, once right and once wrong, is no answer.

    >>> exact_json('<answer>{"legs": 4, "legs": 2}</answer>', answer={"legs": 2})
    0.0

    Raises:
        ValueError: The gold answer is not JSON.
    """
    gold = canonical(gold_json(answer))
    try:
        return float(canonical(_read(completion, fenced, form, tag)) == gold)
    except NotJSONError:
        return 0.0


@reward
def json_f1(
    completion: str,
    answer: Any,
    *,
    ordered: bool = True,
    fenced: bool = False,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    r"""The share of the gold answer's plain values that the final answer has in place: F1, for what is partly right.

    A leaf is a plain value (or an empty list or object) with the path to it. With g leaves of gold, f found, c in both:

        F1 = 2 * c / (f + g)

    Leaves beyond gold's cost as much as missing ones. `ordered=False` forgets which item of a list a leaf was in; then
    two records in a list may swap their values unseen.

    >>> gold = {"name": "duck", "legs": 2}
    >>> json_f1('<answer>{"legs": 2, "name": "duck"}</answer>', answer=gold)
    1.0
    >>> [json_f1(f"<answer>{text}</answer>", answer=gold) for text in ('{"legs": 2, "name": "cow"}', "duck, 2")]
    [0.5, 0.0]

    A hack: every guess as a field of its own costs more than it brings.

    >>> json_f1('<answer>{"legs": 2, "leg": 4, "feet": 2, "paws": 2, "name": "cow", "a": 1}</answer>', answer=gold)
    0.25

    Raises:
        ValueError: The gold answer is not JSON.
    """
    gold = Counter(leaves(gold_json(answer), ordered))
    try:
        found = Counter(leaves(_read(completion, fenced, form, tag), ordered))
    except NotJSONError:
        return 0.0
    return 2.0 * (gold & found).total() / (gold.total() + found.total())


def _read(completion: str, fenced: bool, form: AnswerForm, tag: str) -> Any:
    """The answer's value; no answer is no JSON."""
    found = final_answer(completion, form, tag)
    if found is None:
        raise NotJSONError("no answer")
    return read_json(unfenced(found) if fenced else found)
