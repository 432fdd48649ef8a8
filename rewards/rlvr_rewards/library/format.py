"""The form of a completion: think first, then answer. None of these asks whether the answer is right."""

from rlvr_rewards.extract import THINK_CLOSE, THINK_OPEN, sole_tagged
from rlvr_rewards.functions import reward


@reward
def think_format(completion: str, *, tag: str = "answer", opened: bool = False) -> float:
    """1.0 for exactly one think block, then exactly one answer that is not blank, and nothing else but white space.

    With `opened` the prompt has opened the block already, as some chat templates do, and the completion only closes it.

    >>> think_format("<think>3+4\\nis 7</think>\\n<answer>7</answer>")
    1.0
    >>> think_format("<think>3+4</think> It is <answer>7</answer>"), think_format("<answer>7</answer>")
    (0.0, 0.0)

    >>> think_format("3+4</think><answer>7</answer>", opened=True), think_format("3+4</think><answer>7</answer>")
    (1.0, 0.0)

    A hack: tags stacked up, or a second answer, are not this form.

    >>> think_format("<think><think></think></think><answer>7</answer>")
    0.0
    """
    completion = THINK_OPEN + completion if opened else completion
    opening, closing = f"<{tag}>", f"</{tag}>"
    thought, _, rest = completion.partition(THINK_CLOSE)
    rest = rest.strip()
    return float(
        thought.lstrip().startswith(THINK_OPEN)
        and rest.startswith(opening)
        and rest.endswith(closing)
        and completion.count(THINK_OPEN) == completion.count(THINK_CLOSE) == 1
        and rest.count(opening) == rest.count(closing) == 1
        and bool(rest[len(opening) : -len(closing)].strip())
    )


@reward
def think_format_lenient(completion: str, *, tag: str = "answer", opened: bool = False) -> float:
    """1.0 for a closed think block somewhere and one answer, not blank, somewhere after the last of them.

    Whatever else is written before, between and after does not matter. With `opened` the prompt has opened a block
    already, as some chat templates do.

    >>> think_format_lenient("Well. <think>3+4</think> It is <answer>7</answer>, I say.")
    1.0
    >>> think_format_lenient("<answer>7</answer>"), think_format_lenient("<answer>7</answer><think>3+4</think>")
    (0.0, 0.0)

    >>> think_format_lenient("3+4</think><answer>7</answer>", opened=True)
    1.0

    A hack: an answer inside the thought is not an answer.

    >>> think_format_lenient("<think><answer>7</answer></think>")
    0.0
    """
    completion = THINK_OPEN + completion if opened else completion
    start = completion.find(THINK_OPEN)
    if start < 0 or completion.find(THINK_CLOSE, start) < 0:
        return 0.0
    found = sole_tagged(completion, tag)
    return float(found is not None and bool(found.strip()))


@reward
def tag_credit(completion: str, *, tag: str = "answer") -> float:
    """A quarter for each of `<think>`, `</think>`, `<answer>` and `</answer>` that stands there once, in this order.

    What stands around the tags does not matter. A first rung for a model that never writes the whole form by chance.

    >>> tag_credit("<think>3+4</think><answer>7</answer>"), tag_credit("<think>3+4</think> It is 7.")
    (1.0, 0.5)
    >>> tag_credit("It is 7.")
    0.0

    A hack: writing a tag many times loses its quarter.

    >>> tag_credit("<think></think>" + 3 * "<answer>7</answer>")
    0.5
    """
    credit, position = 0.0, 0
    for mark in (THINK_OPEN, THINK_CLOSE, f"<{tag}>", f"</{tag}>"):
        found = completion.find(mark, position)
        if found >= 0 and completion.count(mark) == 1:
            credit, position = credit + 0.25, found + len(mark)
    return credit
