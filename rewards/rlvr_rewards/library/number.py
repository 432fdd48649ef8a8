r"""The final answer as a number. What counts as one, and what does not, is said in `rlvr_rewards.numerals`.

All share two settings: `form`, how the answer is marked (`tag`, `hashes`, `boxed`, `last_number`, `text`), and `tag`,
the name of the tag. A gold answer that is not a number is an error, never a 0.
"""

from fractions import Fraction

from rlvr_rewards.errors import UserError
from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward
from rlvr_rewards.numerals import gold_number, read_number


@reward
def exact_number(
    completion: str, answer: str | float, *, form: AnswerForm = AnswerForm.TAG, tag: str = "answer"
) -> float:
    r"""1.0 where the final answer equals the gold answer as a number, exactly.

    >>> exact_number("<think>500+500</think><answer>$1,000.00</answer>", answer="1000")
    1.0
    >>> exact_number("<answer>72 clips</answer>", answer="72")
    1.0
    >>> exact_number(r"So it is \boxed{3/4}.", answer="0.75", form="boxed")
    1.0
    >>> exact_number("<answer>1000.1</answer>", answer="1000")
    0.0

    Hacks: naming two answers, or answering in thought only, earns nothing.

    >>> exact_number("<answer>7</answer> or <answer>8</answer>", answer="7")
    0.0
    >>> exact_number("<think><answer>7</answer>", answer="7")
    0.0
    """
    gold = gold_number(answer)
    found = final_answer(completion, form, tag)
    return 1.0 if found is not None and read_number(found) == gold else 0.0


@reward
def tolerant_number(
    completion: str,
    answer: str | float,
    *,
    rel: float = 0.01,
    absolute: float = 0.0,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
) -> float:
    """1.0 where the final answer lies within `max(rel * |gold|, absolute)` of the gold answer, the edge included.

    `rel` is a share of the gold answer (0.01 is 1%), `absolute` is in the answer's own unit; neither is negative.

    >>> tolerant_number("<answer>3.14</answer>", answer="3.14159")
    1.0
    >>> tolerant_number("<answer>3</answer>", answer="3.14159")
    0.0
    >>> tolerant_number("<answer>0.3</answer>", answer="0", absolute=0.5)
    1.0

    A hack: a range that surely holds the answer is not a number.

    >>> tolerant_number("<answer>0-1000</answer>", answer="3.14159")
    0.0
    """
    if not (rel >= 0 and absolute >= 0):
        raise UserError(f"tolerant_number: rel={rel} and absolute={absolute} must not be negative")
    gold = gold_number(answer)
    found = final_answer(completion, form, tag)
    number = None if found is None else read_number(found)
    if number is None:
        return 0.0
    tolerance = max(Fraction(str(rel)) * abs(gold), Fraction(str(absolute)))
    return float(abs(number - gold) <= tolerance)


@reward
def integer_answer(completion: str, *, form: AnswerForm = AnswerForm.TAG, tag: str = "answer") -> float:
    """1.0 where the final answer is a whole number, right or wrong: a hint for a model that does not know the form yet.

    >>> [integer_answer(f"<answer>{text}</answer>") for text in ("-5", "1,000", "$3.00", "3.5", "five")]
    [1.0, 1.0, 1.0, 0.0, 0.0]

    The hack is plain, so keep its weight well below that of being right.

    >>> integer_answer("<answer>0</answer>")
    1.0
    """
    found = final_answer(completion, form, tag)
    number = None if found is None else read_number(found)
    return float(number is not None and number.denominator == 1)
