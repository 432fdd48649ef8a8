"""The gate: no shipped environment can be cheated, and no mutation of its gold does what it must not."""

import pytest

from rlvr.audit.found import Audit
from rlvr.audit.mutations import KEEPS, LOSES
from rlvr.audit.policy import POLICIES
from rlvr.audit.testing import check_audit
from rlvr_envs import Environment

OF_SCHEDULES = {"event removed", "event added", "two events swapped", "one minute shifted"}
OF_NUMBERS = {"last digit changed", "sign flipped", "off by one above", "ten times", "digits swapped", "decimal moved"}


OF_PROGRAMS = {"exits well", "returns a list equal to all", "looks up the frames", "writes a pass everywhere"}


@pytest.fixture(scope="module")
def checked():
    """The audit of an environment, made once; what is run in processes takes its time."""
    found: dict[Environment, Audit] = {}

    def of(environment):
        if environment not in found:
            found[environment] = check_audit(environment, num_tasks=4 if environment.reward.has_ahead else 12)
        return found[environment]

    return of


def test_no_exploit_wins_and_no_mutation_misses(environment, checked):
    found = checked(environment)
    assert found.wins == [] and found.misses == []
    assert not found.is_blind
    assert len(found.trials) == len(POLICIES.names()) > 50
    assert [mutated.name for mutated in found.mutations] == [*LOSES, *KEEPS]


def test_what_fits_the_task_is_tried_on_it(environment, checked):
    found = checked(environment)
    applied = {mutated.name for mutated in found.mutations if mutated.attempts}
    tried = {trial.name for trial in found.trials if trial.attempts}
    assert (applied >= OF_SCHEDULES) == (environment.name == "scheduling")
    assert (applied >= OF_NUMBERS) == (environment.name in ("arithmetic", "calculator", "gsm8k", "guess"))
    assert "answer of the next row" in applied
    assert {"empty", "prompt echo", "tag spam", "first wrong last right"} <= tried
    assert ("answer only in thought" in tried) == (environment.max_turns == 1)  # golds of several turns think in them
    assert ({"forged reply", "every turn in one", "answer after the end"} <= tried) == (environment.max_turns > 1)
    assert (tried >= OF_PROGRAMS) == (environment.name == "python_functions")


def test_gold_earns_the_most_and_the_bar_is_an_honest_wrong_attempt(environment, checked):
    found = checked(environment)
    assert found.gold == found.most == environment.reward.max
    assert found.honest is not None and 0 < found.honest < found.gold
