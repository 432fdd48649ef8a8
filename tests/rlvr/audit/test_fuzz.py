"""benchmarks/fuzz.py on few texts: nothing falls over, everything is read at times, and a faulty reader is caught."""

import time
from pathlib import Path

import pytest

from rlvr.audit.hostile import hostile_text
from rlvr_envs import ENVIRONMENTS
from rlvr_envs.seeds import derive_random
from rlvr_rewards import reward
from rlvr_rewards.catalogue import REWARDS
from rlvr_rewards.discovery import load_file
from rlvr_rewards.outside import outside_of

fuzz = load_file(Path(__file__).parents[3] / "benchmarks" / "fuzz.py")
GOLD = "<think>3+4</think><answer>7</answer>"


def test_nothing_falls_over_and_everything_is_read_at_times():
    targets = fuzz.targets()
    fuzz.run(targets, num=500, seed=1)
    assert [fault for target in targets for fault in target.faults] == []
    assert all(target.num_texts == 500 for target in targets)
    assert [target.name for target in targets if not target.num_read] == []


def test_every_reward_is_fuzzed_but_those_that_rest_on_something_outside():
    names = {target.name.partition(",")[0] for target in fuzz.targets()}
    assert {name for name in REWARDS.names() if not outside_of(REWARDS.get(name))} <= names


def test_what_runs_in_a_process_gets_fewer_texts_and_is_held_to_its_deadline(monkeypatch):
    monkeypatch.setattr(fuzz, "MOST_POOLED", 3)
    slow = fuzz.Target("mine", lambda text: time.sleep(0.3) is None, pooled_s=-0.8)
    for _ in range(5):
        slow.feed(GOLD)
    assert slow.num_texts == 3 and "took 0.3" in slow.faults[0]


def test_every_environment_and_tier_is_fuzzed():
    names = {target.name for target in fuzz.targets()}
    assert {f"env {name}" for name in ENVIRONMENTS.names()} <= {name.partition("?")[0] for name in names}
    assert {"env scheduling?tier=published", "env scheduling?tier=compact", "env scheduling?tier=hard"} <= names


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda text: 1 / (len(text) - len(text)), "raised ZeroDivisionError"),
        (lambda text: sum(i * i for i in range(1_000_000)) > 0, "took "),
    ],
)
def test_a_reader_that_raises_or_dawdles_is_caught(fault, said, monkeypatch):
    monkeypatch.setattr(fuzz, "DEADLINE_S", 0.005)
    target = fuzz.Target("mine", fault)
    target.feed(GOLD)
    assert said in target.faults[0] and GOLD in target.faults[0]


def test_an_error_on_the_record_is_counted_and_a_value_out_of_range_is_a_fault():
    @reward
    def too_much(completion: str) -> float:
        return 2.0

    target = fuzz.Target("mine", lambda text: too_much.score(text), bounds=(0.0, 1.0))
    target.feed(GOLD)
    assert (target.num_errors, target.num_none, target.faults) == (1, 1, [])
    narrow = fuzz.Target("mine", lambda text: (2.0 * reward(lambda completion: 1.0)).score(text), bounds=(0.0, 1.0))
    narrow.feed(GOLD)
    assert "outside (0.0, 1.0)" in narrow.faults[0]


def test_the_same_seed_draws_the_same_texts_and_damaged_ones_resemble_gold():
    drawn = [[hostile_text(derive_random(seed, n=n), [GOLD]) for n in range(300)] for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sum("</think>" in text for text in drawn[0]) > 50
    assert any("\ud800" <= character <= "\udfff" for text in drawn[0] for character in text)
