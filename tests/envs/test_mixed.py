"""Several environments as one: rows by weight, each asked of its own environment."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice

import pytest

from rlvr_envs import make
from rlvr_envs.library.arithmetic import Arithmetic
from rlvr_envs.mixed import Member, Mixed
from rlvr_envs.testing import check_env
from rlvr_rewards import UserError, exact_number, reward


@dataclass(frozen=True)
class Five(Arithmetic):
    """Five sums, and no more."""

    name = "five"

    def rows(self, split, seed):
        return islice(super().rows(split, seed), 5)


@pytest.fixture
def both():
    return Mixed((Member("sums", make("arithmetic")), Member("plans", make("scheduling?tier=compact"), weight=3)))


def test_it_keeps_the_contract_of_an_environment():
    """Where both can earn as much; otherwise no gold of the lesser one earns the most."""
    check_env(
        Mixed((Member("hard", make("scheduling")), Member("easy", make("scheduling?tier=compact")))), num_tasks=10
    )


def test_rows_are_drawn_by_weight_and_stay_in_the_order_of_their_environment(both):
    rows = list(islice(both.rows("train", 0), 1000))
    assert rows == list(islice(both.rows("train", 0), 1000))
    assert 0.7 < Counter(row["env"] for row in rows)["plans"] / 1000 < 0.8
    sums = [row["task"] for row in rows if row["env"] == "sums"]
    assert sums == list(islice(make("arithmetic").rows("train", 0), len(sums)))
    assert [row["env"] for row in rows] != [row["env"] for row in islice(both.rows("train", 1), 1000)]


def test_one_that_ends_begins_again_and_the_rows_end_once_all_have():
    endless = Mixed((Member("five", Five()), Member("sums", make("arithmetic"))))
    fives = [row["task"]["question"] for row in islice(endless.rows("train", 0), 100) if row["env"] == "five"]
    assert len(fives) > 30 and len(set(fives[:5])) == 5
    ending = Mixed((Member("a", Five()), Member("b", Five(largest=9), weight=2)))
    counts = Counter(row["env"] for row in ending.rows("train", 0))
    assert counts["a"] >= 5 and counts["b"] >= 5


def test_a_task_is_the_one_that_it_is_alone(both):
    alone = make("scheduling?tier=compact")
    row = next(row for row in both.rows("test", 0) if row["env"] == "plans")
    task = row["task"]
    assert both.traced(row) == ("plans", task) and both.task_id(row) == alone.task_id(task)
    assert both.messages(row) == alone.messages(task) and both.gold(row) == alone.gold(task)
    assert both.info(row, "?") == alone.info(task, "?") and both.success(row, both.gold(row))
    assert both.difficulty(row) == alone.difficulty(task)


def test_each_completion_is_scored_by_the_reward_of_its_environment_alone(both):
    rows = [next(stream) for stream in both.streams("train", 0).values()]
    columns = {name: [row[name] for row in rows] for name in ("env", "task")}
    columns["prompt"] = [both.messages(row) for row in rows]
    sums, plans = both.reward.score_batch([both.gold(row) for row in rows], columns)
    assert sums.parts == {"correct": 1.0, "format": 1.0} and sums.reward == 1.2
    assert plans.parts == {"format": 1.0, "order": 1.0, "value": 1.0} and plans.reward == 1.0
    assert both.score(rows[0], both.gold(rows[0])) == sums and both.reward.max == 1.2


def test_a_group_with_an_error_drops_none_of_another_environment():
    def broken(completion: str) -> float:
        raise ValueError(completion)

    envs = {"a": Arithmetic(largest=9), "b": Arithmetic(largest=99)}
    both = Mixed(tuple(Member(label, env) for label, env in envs.items()))
    failing, whole = reward(broken).on_error("drop_group"), exact_number.on_error("drop_group")
    mixed = both.rewards(lambda env: failing if env == envs["a"] else whole)
    rows = [next(stream) for stream in both.streams("train", 0).values() for _ in range(2)]
    columns = {name: [row[name] for row in rows] for name in ("env", "task")}
    scores = mixed.score_batch([both.gold(row) for row in rows], columns, groups=[0, 0, 1, 1])
    assert [score.reward for score in scores] == [None, None, 1.0, 1.0]


def test_one_of_several_turns_stands_beside_one_of_a_single_turn():
    both = Mixed((Member("sums", make("arithmetic")), Member("calc", make("calculator"))))
    sums, calc = (next(stream) for stream in both.streams("train", 0).values())
    assert both.max_turns == make("calculator").max_turns
    for row in (sums, calc):
        gold = both.gold(row)
        assert both.success(row, both.heard(row, gold)) is True
        assert not both.score(row, gold).errors
    assert both.reply(sums, [{"role": "assistant", "content": str(both.gold(sums))}]) is None
    asks = {"role": "assistant", "content": "<calc>2+3</calc>"}
    said = both.reply(calc, [asks])
    assert said and said["content"] == "5"
    assert both.reply(calc, [asks] * both.max_turns) is None


def test_what_cannot_be_mixed_is_refused(both):
    with pytest.raises(UserError, match="two environments or more"):
        Mixed((Member("sums", make("arithmetic")),))
    with pytest.raises(UserError, match="a label of its own"):
        Mixed((Member("a", make("arithmetic")), Member("a", make("countdown"))))
    with pytest.raises(UserError, match="did you mean 'plans'"):
        both.check({"env": "plan", "task": {}})
    with pytest.raises(UserError, match="lacks the column 'question'"):
        both.check({"env": "sums", "task": {"answer": "3"}})
