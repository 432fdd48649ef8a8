"""Define a reward, compose it, score with it, check it: `python examples/my_first_reward.py`."""

from rlvr_rewards import exact_number, reward, think_format
from rlvr_rewards.testing import check_reward


@reward
def short_answer(completion: str, *, most: int = 60) -> float:
    """1.0 for a completion of at most `most` characters, falling to 0.0 at twice as many."""
    return min(1.0, max(0.0, 2 - len(completion) / most))


# Right counts most; form and brevity help, but brevity earns nothing unless the answer is right.
total = 2.0 * exact_number + 0.5 * think_format + (0.25 * short_answer & exact_number)

COMPLETIONS = [
    "<think>3+4=7</think><answer>7</answer>",
    "<think>Three and four, let me see, make seven, surely.</think><answer>7</answer>",
    "<answer>7</answer><answer>8</answer>",
    "",
]


def test_total() -> None:
    check_reward(total, gold=[(COMPLETIONS[0], {"answer": "7"})])


def main() -> None:
    print(f"at most {total.max}")
    for completion in COMPLETIONS:
        score = total.score(completion, answer="7")
        print(f"{score.reward:.2f}  {score.parts}  {completion!r}")
    test_total()
    print("checked: gold earns the maximum, garbage never raises, the same text scores the same")


if __name__ == "__main__":
    main()
