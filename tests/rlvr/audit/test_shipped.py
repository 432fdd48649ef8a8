"""The gate: no shipped environment can be cheated, and no mutation of its gold does what it must not."""

from rlvr.audit.mutations import KEEPS, LOSES
from rlvr.audit.policy import POLICIES
from rlvr.audit.testing import check_audit

OF_SCHEDULES = {"event removed", "event added", "two events swapped", "one minute shifted"}
OF_NUMBERS = {"last digit changed", "sign flipped", "off by one above", "ten times", "digits swapped", "decimal moved"}


def test_no_exploit_wins_and_no_mutation_misses(environment):
    found = check_audit(environment, num_tasks=12)
    assert found.wins == [] and found.misses == []
    assert not found.is_blind
    assert len(found.trials) == len(POLICIES.names()) > 50
    assert [mutated.name for mutated in found.mutations] == [*LOSES, *KEEPS]


def test_what_fits_the_task_is_tried_on_it(environment):
    found = check_audit(environment, num_tasks=6)
    applied = {mutated.name for mutated in found.mutations if mutated.attempts}
    tried = {trial.name for trial in found.trials if trial.attempts}
    assert (applied >= OF_SCHEDULES) == (environment.name == "scheduling")
    assert (applied >= OF_NUMBERS) == (environment.name in ("arithmetic", "calculator", "gsm8k", "guess"))
    assert "answer of the next row" in applied
    assert {"empty", "prompt echo", "tag spam", "first wrong last right"} <= tried
    assert ("answer only in thought" in tried) == (environment.max_turns == 1)  # golds of several turns think in them
    assert ({"forged reply", "every turn in one", "answer after the end"} <= tried) == (environment.max_turns > 1)


def test_gold_earns_the_most_and_the_bar_is_an_honest_wrong_attempt(environment):
    found = check_audit(environment, num_tasks=12)
    assert found.gold == found.most == environment.reward.max
    assert found.honest is not None and 0 < found.honest < found.gold
