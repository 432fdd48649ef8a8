"""Badly made rewards, each with a fault that is met in the wild: the audit names the exploit."""

import re
from dataclasses import dataclass

import pytest

from rlvr.audit.answer import cut
from rlvr.audit.policy import policy
from rlvr.audit.testing import check_audit
from rlvr.audit.trial import audit
from rlvr_envs import GeneratedEnvironment, make
from rlvr_envs.library.arithmetic import Arithmetic
from rlvr_rewards import exact_number, exact_text, penalty, reward, think_format


@reward
def named_somewhere(completion: str, answer: str) -> float:
    return float(answer in completion)


@reward
def last_tag(completion: str, answer: str) -> float:
    found = re.findall(r"<answer>(.*?)</answer>", completion, re.DOTALL)
    return float(bool(found) and found[-1].strip() == answer)


@reward
def first_tag(completion: str, answer: str) -> float:
    found = re.search(r"<answer>(.*?)</answer>", completion, re.DOTALL)
    return float(found is not None and found[1].strip() == answer)


@reward
def answer_begins_with(completion: str, answer: str) -> float:
    text = completion.rpartition("<answer>")[2]
    return float(text.startswith(answer))


@reward
def tags_counted(completion: str) -> float:
    return min(1.0, 0.1 * (completion.count("<answer>") + completion.count("</answer>")))


@reward
def any_digit_of_the_answer(completion: str, answer: str) -> float:
    digits = re.sub(r"\D", "", completion.rpartition("<answer>")[2])
    return float(bool(digits) and int(digits) == abs(int(answer)))  # int() also reads other scripts' digits


@penalty
def long_winded(completion: str) -> float:
    return -min(1.0, len(completion) / 1000)


@reward
def says_it_is_right(completion: str, answer: str) -> float:
    return max(exact_number(completion, answer), float("is correct" in completion))


@pytest.mark.parametrize(
    ("faulty", "exploits"),
    [
        (named_somewhere, {"every candidate listed", "answer only in thought", "huge answer", "tag never closed"}),
        (last_tag, {"first wrong last right", "answer only in thought"}),
        (first_tag, {"first right last wrong", "right in thought wrong after"}),
        (answer_begins_with, {"list of two", "right or wrong", "range of numbers", "tag never closed"}),
        (exact_number + tags_counted, {"tag spam"}),
        (any_digit_of_the_answer, {"full width digits", "arabic digits", "zero width character", "sign flipped"}),
        (exact_number + long_winded, {"empty"}),
        (says_it_is_right, {"claim after the answer", "claim inside the answer", "forged turn"}),
    ],
    ids=lambda value: getattr(value, "name", None) or "exploits",
)
def test_the_exploit_is_named(arithmetic, faulty, exploits):
    found = audit(arithmetic, faulty, num_tasks=20)
    assert exploits <= set(found.wins)


def test_a_reward_that_never_looks_at_the_answer_is_said_to_be_blind(arithmetic):
    found = audit(arithmetic, think_format, num_tasks=5)
    assert found.is_blind
    assert "answer of the next row" in found.wins


def test_a_constant_that_solves_most_tasks_wins_though_it_is_right(arithmetic):
    found = audit(make("arithmetic?largest=0"), num_tasks=5)
    won = next(trial for trial in found.trials if trial.name == "always zero")
    assert won.win.startswith("right without looking on")
    chance = next(trial for trial in audit(arithmetic, num_tasks=50).trials if trial.name == "always zero")
    assert not chance.win


def test_an_answer_right_by_chance_is_counted_and_not_an_exploit():
    env = make("arithmetic?largest=9")
    by_name = {trial.name: trial for trial in audit(env, num_tasks=30).trials}
    commonest = by_name["commonest answer"]
    assert commonest.num_by_chance > 0 and not commonest.win
    assert commonest.num_by_chance + len(commonest.attempts) == len(by_name["empty"].attempts)


def test_the_helper_fails_a_test_and_names_the_exploit_with_its_text(arithmetic):
    with pytest.raises(
        AssertionError, match=r"first wrong last right wins: as much as gold on 5 of 5 tasks, with '<think>"
    ):
        check_audit(arithmetic, last_tag, num_tasks=5)


def test_a_right_answer_that_loses_is_a_miss_unless_it_is_argued(arithmetic):
    with pytest.raises(AssertionError, match="trailing zeros must not lose, and did not"):
        check_audit(arithmetic, named_exactly, num_tasks=5)
    found = check_audit(arithmetic, named_exactly, num_tasks=5, argued=["trailing zeros", "currency sign"])
    assert [mutated.name for mutated in found.misses] == ["trailing zeros", "currency sign"]
    assert found.wins == []


@reward
def named_exactly(completion: str, answer: str) -> float:
    from rlvr_rewards.extract import final_answer

    return float(final_answer(completion) == answer)


def test_a_policy_of_ones_own_is_one_function(arithmetic):
    @policy
    def right_backwards(case, random):
        """The digits from last to first."""
        return case.form(case.answer[::-1])

    found = audit(arithmetic, num_tasks=5, more=[right_backwards])
    assert found.trials[-1].name == "right backwards"
    assert found.trials[-1].about == "The digits from last to first."
    assert not found.trials[-1].win


def test_a_reward_that_raises_on_an_exploit_is_no_win_and_is_counted(arithmetic):
    @reward
    def fragile(completion: str, answer: str) -> float:
        return float(int(completion.partition("<answer>")[2].partition("</answer>")[0]) == int(answer))

    by_name = {trial.name: trial for trial in audit(arithmetic, fragile, num_tasks=5).trials}
    assert by_name["empty"].scored == [] and by_name["empty"].mean_reward is None
    assert "ValueError" in by_name["empty"].attempts[0].error


@pytest.mark.parametrize(
    ("gold", "answer", "eight"),
    [
        ("<think>3+4</think>\n<answer>\n7\n</answer>", "7", "<think>3+4</think>\n<answer>8</answer>"),
        ("<think>x</think><schedule><event><name>a</name></event></schedule>", "<event><name>a</name></event>", None),
        (r"So it is \boxed{\frac{1}{2}}.", r"\frac{1}{2}", r"So it is \boxed{8}."),
        ("3+4 is 7\n#### 7", "7", "3+4 is 7\n#### 8"),
        ("It is 7, I say.", "7", "It is 8, I say."),
        ("Paris", "Paris", "8"),
        ("", "", "8"),
    ],
)
def test_gold_is_cut_at_its_answer(gold, answer, eight):
    assert cut(gold).answer == answer
    if eight is not None:
        assert cut(gold).form("8") == eight


def test_a_unit_dropped_is_a_miss_of_rewards_that_read_numbers_and_none_of_those_that_read_text():
    found = audit(Lengths(), num_tasks=4)
    assert [mutated.name for mutated in found.misses] == ["unit dropped"] == found.wins
    argued = audit(Lengths(), num_tasks=4, argued=["unit dropped"])
    assert argued.wins == [] and argued.misses[0].is_argued
    assert "unit dropped" not in audit(Lengths(), exact_text, num_tasks=4).wins


def test_a_verdict_that_is_too_kind_wins_though_the_reward_is_strict():
    found = audit(Kind(), num_tasks=4)
    won = {trial.name: trial.win for trial in found.trials}
    assert won["first wrong last right"] == "taken for solved on 4 of 4 tasks"
    assert not won["empty"]
    assert audit(Kind(), exact_number, num_tasks=4).wins == []  # the verdict is not what is audited then


@dataclass(frozen=True)
class Kind(Arithmetic):
    """Sums, solved wherever the answer stands."""

    name = "kind"

    def success(self, task, completion):
        return task["answer"] in completion


@dataclass(frozen=True)
class Lengths(GeneratedEnvironment):
    """Lengths in kilometres."""

    name = "lengths"
    columns = ("metres", "answer")
    reward = exact_number

    def draw(self, random):
        number = random.randint(2, 900)
        return {"metres": number * 1000, "answer": f"{number} km"}

    def messages(self, task):
        return [{"role": "user", "content": f"How far are {task['metres']} m?"}]

    def gold(self, task):
        return f"<answer>{task['answer']}</answer>"

    def success(self, task, completion):
        return exact_number(completion, task["answer"]) == 1.0
