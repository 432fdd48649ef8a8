"""Symbolic answers by math-verify: what is equal, what only looks so, and hostile text within the deadline."""

import time

import pytest

from rlvr_envs.seeds import derive_random
from rlvr_rewards import symbolic_answer

pytest.importorskip("math_verify")

EQUAL = [
    ("1/2", r"\frac12"),
    ("1/3", "0.333333"),
    (r"\sqrt{8}", r"2\sqrt{2}"),
    ("x^2-1", "(x-1)(x+1)"),
    ("7", "x = 7"),
    ("x=7", "7"),
    (r"\{1,2\}", "2, 1"),
    ("50", r"50\%"),
    ("1000", "1,000"),
    ("1000", "10^3"),
    ("320000", r"3.2\times 10^5"),
    ("7.5", r"7\frac12"),
    ("7", "14/2"),
    ("7", r"7\text{ cm}"),
    (r"\$7", r"\$7"),
    (r"\pi", "3.14159265"),
    ("7 < x", "x > 7"),
    (7, "7.0"),
    (0.5, r"$\frac{1}{2}$"),
    ("$7$", r"\boxed{7}"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
]
UNEQUAL = [
    ("1/3", "0.333"),
    ("7", "-7"),
    ("7", "y"),
    ("7", "y=x"),
    ("x=7", "y=7"),
    ("(1,2)", "(2,1)"),
    ("7", "7 or 8"),
    ("7", "7, 8"),
    ("7", r"\{7,8\}"),
    ("7", "7$ or $8"),
    ("7", r"\boxed{7}\boxed{8}"),
    ("15", "7 8"),
    ("7", "8 = 7"),
    ("7", "x = 8 = 7"),
    ("7", "x < 7"),
    ("7", "3+4"),
    ("7", "x = 3+4 = 7"),
    ("7", r"\sqrt{49}"),
    ("7", r"\sum_{i=1}^{7} 1"),
    ("7", "__import__('os').getpid()"),
]
HOSTILE = [
    "10^{10^{10}}",
    "9^{9^{9^9}}",
    "1000000!",
    r"\sum_{i=1}^{10^{8}} i",
    "{" * 2_000 + "7" + "}" * 2_000,
    r"\frac{" * 60 + "7" + r"}{1}" * 60,
    r"x \cdot 9^{9^{9^9}}",
    "(x+1)^{100000}",
    r"\int_0^1 e^{x^{x^{x}}} dx",
]


def earned(gold, said, reward=symbolic_answer):
    score = reward.score(f"<think>…</think><answer>{said}</answer>", answer=gold)
    assert not score.errors
    return score.reward


@pytest.mark.parametrize(("gold", "said"), EQUAL)
def test_what_is_equal(gold, said):
    assert earned(gold, said) == 1.0


@pytest.mark.parametrize(("gold", "said"), UNEQUAL)
def test_what_is_not_or_is_no_result(gold, said):
    assert earned(gold, said) == 0.0


def test_an_expression_of_the_value_counts_where_it_is_asked_for():
    lenient = symbolic_answer.using(worked_out=False)
    assert [earned("7", said, lenient) for said in ("3+4", r"\sqrt{49}", "x = 3+4 = 7", "8 = 7")] == [
        1.0,
        1.0,
        1.0,
        0.0,
    ]


def test_hostile_answers_end_with_a_zero_or_an_error_at_the_deadline():
    quick = symbolic_answer.using(deadline_s=1.0)
    symbolic_answer.score("<answer>7</answer>", answer="7")  # the workers have imported SymPy
    start = time.monotonic()
    scores = quick.score_batch([f"<answer>{said}</answer>" for said in HOSTILE], {"answer": ["e^x"] * len(HOSTILE)})
    for score in scores:
        assert score.reward == 0.0 or "took over 1 s" in score.errors["symbolic_answer"]
    assert time.monotonic() - start < 10 + len(HOSTILE) * 4  # each may cost a worker, which imports SymPy anew
    assert [earned("7", said) for said in HOSTILE[:6]] == [0.0] * 6  # a number is not worked out: no need to compute it


@pytest.mark.parametrize("gold", ["", "?", None, True, [], {}, "{" * 50])
def test_a_gold_that_cannot_be_read_is_an_error(gold):
    errors = symbolic_answer.score("<answer>7</answer>", answer=gold).errors
    assert "the gold answer" in errors["symbolic_answer"]


LEAVES = ("7", "x", "-3", "0", "10", "999999", "0.5", "i", r"\pi", "e", r"\infty", "x_1", "", "?", r"\text{or}", "50%")
FORMS = (
    r"\frac{{{}}}{{{}}}",
    "{}^{{{}}}",
    "({}){}",
    "{}+{}",
    "{}={}",
    "{},{}",
    r"\sqrt[{}]{{{}}}",
    r"\sum_{{i=1}}^{{{}}} {}",
    r"\int_0^{{{}}} {} dx",
    r"\{{{},{}\}}",
    r"\begin{{pmatrix}}{}&{}\end{{pmatrix}}",
    r"\left|{}\right|{}",
    r"{} \le {}",
    r"\log_{{{}}} {}",
    r"{}! \cdot {}",
    "{{{} {}",
)


def latex(random, depth):
    """Mathematics that is nested, wrong, or too much to compute."""
    if depth == 0 or random.random() < 0.2:
        return random.choice(LEAVES)
    return random.choice(FORMS).format(latex(random, depth - 1), latex(random, depth - 1))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("gold", ["7", r"\{x, x^2\}"])
def test_of_2000_hostile_texts_none_passes_its_deadline_without_an_error(gold):
    random = derive_random(0, test="hostile mathematics", gold=gold)
    said = [f"<answer>{latex(random, random.randint(1, 4))}</answer>" for _ in range(2_000)]
    seconds = []
    for each in said:
        start = time.monotonic()
        score = symbolic_answer.using(deadline_s=2.0).score(each, answer=gold)
        seconds.append(time.monotonic() - start)
        assert score.reward in (0.0, 1.0) or "took over 2 s" in score.errors["symbolic_answer"], each
        assert not (score.errors and seconds[-1] < 2.0), (each, score.errors)
    late = sum(each > 2.0 for each in seconds)
    print(f"{late} of 2,000 reached the deadline; the slowest took {max(seconds):.1f} s with its new worker")
    assert late < 200
