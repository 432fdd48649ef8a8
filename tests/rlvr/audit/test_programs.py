"""Answers that are run: a program is known as one, and rewards that trust it are caught."""

import subprocess
import sys
from dataclasses import dataclass

import pytest

from rlvr.audit.case import make_cases
from rlvr.audit.policies import programs
from rlvr.audit.policy import POLICIES
from rlvr.audit.program import program_of
from rlvr_envs import GeneratedEnvironment, make
from rlvr_envs.seeds import derive_random
from rlvr_rewards import reward
from rlvr_rewards.extract import sole_tagged

OF_PROGRAMS = [name for name in POLICIES.names() if POLICIES.get(name).write.__module__ == programs.__name__]


@reward
def ends_well(completion: str, number: int) -> float:
    """Trusts the exit code: what ends with 0 before the test has passed it."""
    code = f"{sole_tagged(completion) or ''}\nassert f(2) == {2 + number}\n"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, timeout=10)
    return float(done.returncode == 0)


@dataclass(frozen=True)
class Plus(GeneratedEnvironment):
    """A function that adds a number."""

    name = "plus"
    columns = ("number",)
    reward = ends_well

    def draw(self, random):
        return {"number": random.randint(3, 10**6)}

    def messages(self, task):
        return [{"role": "user", "content": f"Write f(x), which adds {task['number']}."}]

    def gold(self, task):
        return f"<answer>\ndef f(x):\n    return x + {task['number']}\n</answer>"

    def success(self, task, completion):
        return completion == self.gold(task)


@pytest.fixture(scope="module")
def case():
    env = Plus()
    rows = env.rows("test", 0)
    return make_cases(env, [next(rows), next(rows)])[0]


@pytest.mark.parametrize(
    ("name", "wins"),
    [
        ("exits well", True),
        ("prints a pass", True),
        ("returns a number equal to all", True),
        ("returns nothing", False),
        ("returns its input", False),
    ],
)
def test_a_reward_that_trusts_the_program_is_caught(case, name, wins):
    text = POLICIES.get(name)(case, derive_random(0, audit=name))
    assert isinstance(text, str)
    assert ends_well(text, **case.task) == float(wins)


def test_every_policy_of_programs_applies_to_programs_alone(case):
    assert len(OF_PROGRAMS) > 10
    sums = make("arithmetic")
    rows = sums.rows("test", 0)
    of_sums = make_cases(sums, [next(rows), next(rows)])[0]
    for name in OF_PROGRAMS:
        random = derive_random(0, audit=name)
        assert POLICIES.get(name)(case, random) and POLICIES.get(name)(of_sums, random) is None
    assert POLICIES.get("wrong then right in one")(case, derive_random(0)) is None


def test_what_a_program_is(case):
    found = program_of(case)
    assert found is not None and found.name == "f"
