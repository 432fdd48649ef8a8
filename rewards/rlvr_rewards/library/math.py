r"""The final answer as mathematics: equal as an expression, not as text. `\frac{1}{2}` is `0.5`, `2\sqrt2` is `\sqrt8`.

Read and compared by math-verify (Kydlíček and others, Apache 2.0; latex2sympy2_extended and SymPy below it), each in a
worker process that is killed at the deadline: SymPy sets out to compute `9^{9^{9^9}}` if asked to. Of math-verify only
the LaTeX reader is used; its reader of plain expressions evaluates text as Python.

What is decided here, and not by math-verify:
1. Which text is the answer: as everywhere in this library, one answer after the thought, all of it one expression.
2. Where gold is a number, the answer must be worked out: `3+4`, `\sqrt{49}` or `\sum_{i=1}^7 1` is the task again.
3. Of an equation (`x = 3+4 = 7`) every side but a lone symbol must equal gold, not the last one alone (`8 = 7`).

Its rules, to be known: floats are equal from 6 decimals on (`0.333333` is 1/3, `0.333` is not); a percentage equals the
number with and without its hundredth; units are dropped; `(1, 2)` equals the set of both; a word is a product of
letters, so take `exact_text` for words.
"""

import logging
import re
from functools import lru_cache
from typing import Any

from rlvr_rewards.examples import Example
from rlvr_rewards.extract import AnswerForm, final_answer
from rlvr_rewards.functions import reward
from rlvr_rewards.optional import optional_module

EXAMPLES = {"symbolic_answer": Example(r"<think>half</think><answer>\frac{1}{2}</answer>", {"answer": "0.5"})}
MAX_CHARACTERS = 500
MAX_DEPTH = 12
"""Of brackets in one another: the reader's time doubles with each."""
_OPENING, _CLOSING = "({[", ")}]"
_BARE_DOLLAR = re.compile(r"(?<!\\)\$")
_TWO_NUMBERS = re.compile(r"[0-9]\s+[0-9]+(?![0-9/])")
_DELIMITERS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


@reward(runs="process", deadline_s=5.0, imports=("math_verify",))
def symbolic_answer(
    completion: str,
    answer: str | float,
    *,
    form: AnswerForm = AnswerForm.TAG,
    tag: str = "answer",
    worked_out: bool = True,
) -> float:
    r"""1.0 where the final answer equals the gold answer as a mathematical expression in LaTeX; else 0.0.

    Gold is LaTeX or a number, with or without `$` or `\boxed{}` around it. With `worked_out=False` the answer to a gold
    that is a number may be any expression of that value.

    >>> symbolic_answer(r"<think>half</think><answer>\frac{1}{2}</answer>", answer="0.5")
    1.0
    >>> symbolic_answer(r"so \boxed{(x-1)(x+1)}", answer="$x^2-1$", form="boxed")
    1.0
    >>> symbolic_answer(r"<answer>\{2, 1\}</answer>", answer=r"\{1,2\}")
    1.0
    >>> symbolic_answer("<answer>0.333</answer>", answer="1/3")
    0.0

    Hacks: the task in place of its result, several results, and a wrong equation that ends well.

    >>> [symbolic_answer(f"<answer>{said}</answer>", answer="7") for said in ("3+4", "7, 8", "8 = 7", "x = 7")]
    [0.0, 0.0, 0.0, 1.0]

    Where the task is to transform an expression, the expression as it was given is as equal: ask for its form too.

    Raises:
        ValueError: The gold answer cannot be read.
        UserError: math-verify is not installed.
    """
    gold = _gold(answer)
    found = final_answer(completion, form, tag)
    said = None if found is None else _expression(found)
    if said is None or (worked_out and _is_number(gold) and not _is_worked_out(said)):
        return 0.0
    return float(all(_equal(gold, side) for side in _sides(said, gold)))


def _gold(answer: Any) -> Any:
    readable = isinstance(answer, str | int | float) and not isinstance(answer, bool)
    gold = _expression(str(answer)) if readable else None
    if gold is None:
        raise ValueError(f"the gold answer {str(answer)[:80]!r} is not an expression that math-verify reads")
    return gold


@lru_cache(maxsize=1024)
def _expression(text: str) -> Any:
    """The whole text as one expression of SymPy, not evaluated; `None` where it is none, or too long or too deep."""
    text = _without_delimiters(text.strip().rstrip("."))
    if not text or len(text) > MAX_CHARACTERS or _depth(text) > MAX_DEPTH:
        return None
    if r"\boxed" in text or _BARE_DOLLAR.search(text) or _TWO_NUMBERS.search(text):
        return None
    verify = _math_verify()
    config = verify.LatexExtractionConfig(boxed_match_priority=-1)
    found = verify.parse(f"${text}$", [config], fallback_mode="no_fallback", parsing_timeout=None)
    return found[0] if len(found) == 1 else None


def _without_delimiters(text: str) -> str:
    boxed = r"\boxed{"
    if text.startswith(boxed) and text.endswith("}") and text.count(boxed) == 1:
        text = text[len(boxed) : -1].strip()
    for opening, closing in _DELIMITERS:
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            return text[len(opening) : -len(closing)].strip()
    return text


def _depth(text: str) -> int:
    depth = most = 0
    for character in text:
        depth += (character in _OPENING) - (character in _CLOSING)
        most = max(most, depth)
    return most


def _is_number(gold: Any) -> bool:
    return bool(getattr(gold, "is_number", False)) and _is_worked_out(gold)


def _is_worked_out(said: Any) -> bool:
    """Whether a number is written down, and not how to compute it: 7, 7/2, 3.5, 50%, 3.2 × 10^5; of x = 7 the 7."""
    sides = [side for side in _all_sides(said) if not getattr(side, "is_Symbol", False)]
    return all(map(_is_written_number, sides))


def _is_written_number(side: Any) -> bool:
    sympy = optional_module("sympy", "sympy")
    if not isinstance(side, sympy.Expr):
        return False
    factors = [
        getattr(factor, "args", [factor])[0] if isinstance(factor, sympy.UnevaluatedExpr) else factor
        for factor in sympy.Mul.make_args(side)
    ]
    plain = [factor for factor in factors if factor.is_Number and factor not in (-1, sympy.Rational(1, 100))]
    others = [factor for factor in factors if not factor.is_Number]
    return len(plain) <= 1 and len(others) <= 1 and all(_is_scale(other) for other in others)


def _is_scale(factor: Any) -> bool:
    """10^5, and the 1/2 of 7/2."""
    if not factor.is_Pow or not factor.base.is_Integer or not factor.exp.is_Integer:
        return False
    return factor.exp == -1 or (factor.base == 10 and abs(factor.exp) <= 100)


def _sides(said: Any, gold: Any) -> list[Any]:
    """What must equal gold: the answer; of an equation, where gold is none, each side but a lone symbol."""
    if _is_relation(gold) or not _is_relation(said):
        return [said]
    return [side for side in _all_sides(said) if not getattr(side, "is_Symbol", False)] or [said]


def _all_sides(said: Any) -> list[Any]:
    """The sides of an equation or a chain of them; anything else is one side."""
    sympy = optional_module("sympy", "sympy")
    if isinstance(said, sympy.And):
        return [side for equation in said.args for side in _all_sides(equation)]
    return [said.lhs, said.rhs] if isinstance(said, sympy.Eq) else [said]


def _is_relation(expression: Any) -> bool:
    return bool(getattr(expression, "is_Relational", False) or getattr(expression, "is_Boolean", False))


def _equal(gold: Any, said: Any) -> bool:
    return _math_verify().verify(gold, said, timeout_seconds=None)


@lru_cache(maxsize=1)
def _math_verify() -> Any:
    module = optional_module("math_verify", "'rlvr[math]'")
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # warns that deadlines are ours to keep
    return module
