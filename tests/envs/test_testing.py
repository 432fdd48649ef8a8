"""What `check_env` catches: each promise of the contract, broken once."""

from dataclasses import dataclass
from itertools import count

import pytest

from rlvr_envs.library.arithmetic import Arithmetic
from rlvr_envs.testing import check_env

FEW = {"empty": "", "an answer": "<answer>12345</answer>"}


@dataclass(frozen=True)
class Good(Arithmetic):
    name = "good"


class Nameless(Good):
    name = ""


class Generous(Good):
    def success(self, task, completion):
        return True


class Stingy(Good):
    def gold(self, task):
        return f"<answer>{task['answer']}</answer>"


class Talkative(Good):
    def messages(self, task):
        return [{"role": "user", "content": f"{task['question']}, so write {self.gold(task)}"}]


class Restless(Good):
    calls = count()

    def draw(self, random):
        return {**super().draw(random), "call": next(self.calls)}


class Odd(Good):
    def info(self, task, completion):
        return {"odd": {1, 2}}


class Unmeasured(Good):
    metrics = ("value",)


class Shared(Good):
    def rows(self, split, seed):
        self.require_split(split)
        return super().rows("train", seed)


class AnySplit(Good):
    def rows(self, split, seed):
        return super().rows("train" if split == "train" else "test", seed)


class Fragile(Good):
    def info(self, task, completion):
        return {"first": completion[0]}


def test_a_good_environment_passes():
    check_env(Good(), garbage=FEW)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Nameless, "no name"),
        (Generous, "garbage 'empty' succeeds"),
        (Stingy, "not the 1.2 there is"),
        (Talkative, "hold the gold answer"),
        (Restless, "other rows for the same seed"),
        (Odd, r"info\['odd'\] is not JSON"),
        (Unmeasured, r"info\['value'\] is None"),
        (Shared, "share a row"),
        (AnySplit, "takes any split"),
    ],
)
def test_each_broken_promise_is_named(broken, says):
    with pytest.raises(AssertionError, match=says):
        check_env(broken(), garbage=FEW)


def test_an_environment_that_raises_on_garbage_is_caught():
    with pytest.raises(IndexError):
        check_env(Fragile(), garbage=FEW)


def test_an_environment_that_can_be_changed_is_caught():
    @dataclass
    class Loose(Good.__mro__[2]):  # not Arithmetic: a frozen dataclass has no other children
        name = "loose"
        columns = Good.columns
        reward = Good.reward
        draw, messages, gold, success = Arithmetic.draw, Arithmetic.messages, Arithmetic.gold, Arithmetic.success
        largest: int = 9

    with pytest.raises(AssertionError, match="no frozen dataclass"):
        check_env(Loose(), garbage=FEW)
