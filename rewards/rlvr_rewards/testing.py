"""Checks that a reward keeps its contract, for the test suite of whoever wrote it:

    from rlvr_rewards.testing import check_reward

    def test_my_reward():
        check_reward(my_reward, gold=[("<answer>7</answer>", {"answer": "7"})])

Not here: whether a reward can be earned without solving the task, but for the wrong answers that you give it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

from rlvr_rewards.algebra import RewardLike, lift
from rlvr_rewards.errors import UserError
from rlvr_rewards.scorable import Scorable
from rlvr_rewards.score import Score

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

_MB = 1_000_000
_MARKS = ("<think>", "</think>", "<answer>", "</answer>", "#### ", "\\boxed{", "}", "\n")

GARBAGE: Mapping[str, str] = {
    "empty": "",
    "white space": " \t\r\n\u00a0\u2028",
    "control characters": "".join(map(chr, range(32))) + "\x7f\x1b[2J",
    "NUL": "<answer>\x00</answer>",
    "unpaired surrogates": "<answer>\ud800\udfff\udc80</answer>",
    "right to left": "<answer>\u202e7\u202c \u05d0\u0627\u0663</answer>",
    "combining marks": "<answer>7" + "\u0301" * 10_000 + "</answer>",
    "other digits": "<answer>\u0667</answer> \uff17 \u00b2 \u2167",
    "think never closed": "<think>" + "so " * 1_000 + "<answer>7</answer>",
    "digits in a thought": "<think>7 or 8? #### 7 \\boxed{7} 7</think>",
    "closed, never opened": "</think>" * 100 + "</answer>" * 100,
    "10,000 nested tags": "<answer>" * 10_000 + "7" + "</answer>" * 10_000,
    "10,000 nested thoughts": "<think>" * 10_000 + "</think>" * 10_000 + "<answer>7</answer>",
    "10,000 nested braces": "\\boxed{" + "{" * 10_000 + "7" + "}" * 10_000 + "}",
    "10,000 answers": "<answer>7</answer>\n" * 10_000,
    "almost numbers": "<answer>1,00,0</answer> 1e999 -inf nan 1/0 0x10 1_000 1.2.3",
    "huge exponent": "<think></think><answer>1e999999999</answer>",
    "1 MB of digits": "<think></think><answer>" + "9" * _MB + "</answer>",
    "1 MB of commas": "<answer>1" + ",000" * (_MB // 4) + "</answer>",
    "1 MB of signs": "<answer>" + "-" * _MB + "</answer>",
    "1 MB of angle brackets": "<" * _MB,
    "1 MB of open tags": "<answer>" * (_MB // 8),
    "1 MB of hashes": "\n#### 7" * (_MB // 7),
    "10 MB of white space": "<answer>" + " " * 10 * _MB + "7</answer>",
    "10 MB of words": "seven or 7 " * (10 * _MB // 11),
}
"""Completions that no reward may stumble over, by what is nasty about them. About 30 MB in all."""


def completions() -> SearchStrategy[str]:
    """A Hypothesis strategy: completions that mix tags, numbers and any text, in any order.

    >>> from hypothesis import given
    >>> from rlvr_rewards import exact_number
    >>> @given(completions())
    ... def never_fails(completion):
    ...     assert not exact_number.score(completion, answer="7").errors
    >>> never_fails()

    Raises:
        UserError: hypothesis is not installed.
    """
    try:
        from hypothesis import strategies as st
    except ImportError:
        raise UserError("completions() needs hypothesis: pip install hypothesis") from None
    numbers = st.integers().map(str) | st.decimals().map(str) | st.from_regex(r"[-−$]?[0-9,./%]{1,12}", fullmatch=True)
    # Cs: a tokenizer that cuts a character in two leaves unpaired surrogates
    anything = st.text() | st.text(st.characters(categories=["Cs", "Cc", "Nd", "Sc"]))
    pieces = st.lists(st.sampled_from(_MARKS) | numbers | anything, max_size=12).map("".join)
    well_formed = st.builds("<think>{}</think><answer>{}</answer>".format, anything, numbers | anything)
    return pieces | well_formed


def check_reward(
    reward: RewardLike,
    gold: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    wrong: Sequence[tuple[str, Mapping[str, Any]]] = (),
    garbage: Mapping[str, str] = GARBAGE,
    min_per_second: float = 1000.0,
    max_seconds: float = 10.0,
) -> None:
    """Checks that gold earns the maximum, that garbage never raises, and range, determinism and speed.

    >>> from rlvr_rewards import exact_number
    >>> task = {"answer": "7"}
    >>> check_reward(exact_number, gold=[("<answer>7</answer>", task)], wrong=[("<answer>8</answer>", task)])

    Args:
        reward: A reward, or a function with TRL's batch signature.
        gold: Completions that must earn `reward.max`, each with the columns of its task.
        wrong: Completions that must earn less than `reward.max`, each with the columns of its task; without any, a
            reward that gives everybody the maximum passes.
        garbage: Completions by name that must be scored without an error, each on the columns of the first gold.
        min_per_second: The least number of gold completions scored a second, the best of three tries.
        max_seconds: The longest that one garbage completion may take, in seconds.

    Raises:
        AssertionError: The contract is broken; the message says where.
        UserError: No gold is given.
    """
    node = lift(reward)
    if not gold:
        raise UserError("check_reward needs one gold completion at least, with the columns of its task")
    for completion, columns in gold:
        check_gold(node, completion, columns)
    for completion, columns in wrong:
        check_wrong(node, completion, columns)
    for name, completion in garbage.items():
        check_garbage(node, name, completion, gold[0][1], max_seconds)
    check_speed(node, *gold[0], min_per_second)


def check_gold(reward: Scorable, completion: str, columns: Mapping[str, Any]) -> None:
    """Gold earns exactly `reward.max`, twice the same, alone and beside another completion."""
    score = reward.score(completion, **columns)
    shown = f"gold {completion[:200]!r}"
    assert not score.errors, f"{shown} gives errors: {score.errors}"
    assert score.reward == reward.max, f"{shown} earns {score.reward}, not the maximum {reward.max}: {score.parts}"
    pair = {name: [value, value] for name, value in columns.items()}
    beside = reward.score_batch(["", completion], pair)[1]
    assert reward.score(completion, **columns) == score == beside, f"{shown} is not scored the same each time"


def check_wrong(reward: Scorable, completion: str, columns: Mapping[str, Any]) -> None:
    """A wrong answer is scored without an error, and earns less than the maximum."""
    score = reward.score(completion, **columns)
    shown = f"wrong {completion[:200]!r}"
    assert not score.errors, f"{shown} gives errors: {score.errors}"
    assert score.reward is None or score.reward < reward.max, f"{shown} earns {score.reward}, the maximum"


def check_garbage(
    reward: Scorable, name: str, completion: str, columns: Mapping[str, Any], max_seconds: float = 10.0
) -> Score:
    """Garbage is scored without an error, within bounds and in time, twice the same; its score is returned."""
    start = perf_counter()
    score = reward.score(completion, **columns)
    seconds = perf_counter() - start
    assert not score.errors, f"garbage {name!r} gives errors: {score.errors}"
    low, high = reward.bounds
    in_range = score.reward is None or low <= score.reward <= high
    assert in_range, f"garbage {name!r} earns {score.reward}, outside [{low}, {high}]"
    assert seconds <= max_seconds, f"garbage {name!r} took {seconds:.1f} s, more than {max_seconds} s"
    assert reward.score(completion, **columns) == score, f"garbage {name!r} is not scored the same each time"
    return score


def check_speed(reward: Scorable, completion: str, columns: Mapping[str, Any], min_per_second: float) -> float:
    """At least `min_per_second` completions are scored a second; the best rate of three tries is returned."""
    num_rows = 100
    batch = {name: [value] * num_rows for name, value in columns.items()}
    best = 0.0
    for _ in range(3):
        start = perf_counter()
        reward.score_batch([completion] * num_rows, batch)
        best = max(best, num_rows / (perf_counter() - start))
    assert best >= min_per_second, f"{best:.0f} completions a second, fewer than {min_per_second:.0f}"
    return best
