"""Which tasks a curriculum draws, how its target moves, and what a checkpoint keeps of it: no model is needed."""

import json
import math
from dataclasses import dataclass

import pytest

from rlvr.engine.curriculum import Curriculum, CurriculumSettings, says_difficulty
from rlvr_envs import Environment, Task, make
from rlvr_envs.library.arithmetic import Arithmetic
from rlvr_envs.mixed import Member, Mixed
from rlvr_envs.seeds import canonical_json
from rlvr_rewards import UserError

SUMS = Arithmetic(largest=999)


@dataclass(frozen=True)
class Unknown(Arithmetic):
    """Sums of which nobody says how hard they are."""

    name = "unknown"

    def difficulty(self, task: Task) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None


def rows(env, count, seed=0):
    return [
        {"prompt": env.messages(task), "task": canonical_json(task), "task_id": env.task_id(task)}
        for task, _ in zip(env.rows("train", seed), range(count), strict=False)
    ]


def new(env: Environment = SUMS, count=300, seed=0, **settings):
    return Curriculum(CurriculumSettings(**settings), rows(env, count), env, seed)


def ids(examples):
    return [example["task_id"] for example in examples]


def hardness(examples):
    return [SUMS.difficulty(json.loads(example["task"])) for example in examples]


def passing(examples, rate):
    return [(example["task_id"], round(rate * 100), 100) for example in examples]


@pytest.fixture
def places():
    return ids(rows(SUMS, 8))


def test_a_steps_tasks_are_the_nearest_to_the_target_by_chance_and_under_a_seed(places):
    easy, hard = new(start=0.0).of_step(1, places), new(start=1.0).of_step(1, places)
    assert max(hardness(easy)) < min(hardness(hard))
    assert ids(new().of_step(1, places)) == ids(new().of_step(1, places))
    assert ids(new().of_step(1, places)) != ids(new().of_step(2, places)) != ids(new(seed=1).of_step(2, places))
    assert len(set(ids(new().of_step(1, places)))) == 8


def test_a_task_comes_again_only_after_the_others_near_the_target(places):
    curriculum, seen = new(), []
    for step in range(1, 4):  # 3 x 8 of the 30 that are nearest
        chosen = curriculum.of_step(step, places)
        curriculum.observe(passing(chosen, 0.5))
        seen += ids(chosen)
    assert len(set(seen)) == 24


def test_the_target_moves_as_the_paper_says_and_stays_in_the_band(places):
    curriculum = new(start=0.5)
    for rate in (0.3, 0.5, 0.7):
        curriculum.observe(passing(curriculum.of_step(1, places), rate))
        assert curriculum.targets == {"arithmetic": 0.5}
    logged = curriculum.observe(passing(curriculum.of_step(1, places), 0.9))
    assert curriculum.targets["arithmetic"] == pytest.approx(0.5 + 0.1 * math.tanh(2 * 0.4))
    assert logged["curriculum/target"] == 0.5 and logged["curriculum/pass_rate"] == pytest.approx(0.9)
    assert logged["curriculum/difficulty"] == pytest.approx(0.5, abs=0.1)
    curriculum.observe(passing(curriculum.of_step(1, places), 0.1))
    assert curriculum.targets["arithmetic"] == pytest.approx(0.5)


def test_the_target_stays_within_what_there_is_and_where_nothing_is_known(places):
    curriculum = new(start=1.0)
    top = curriculum.targets["arithmetic"]
    assert top == max(hardness(rows(SUMS, 300)))
    curriculum.observe(passing(curriculum.of_step(1, places), 1.0))
    assert curriculum.targets["arithmetic"] == top
    assert curriculum.observe([(task_id, 0, 0) for task_id in places]) == {}
    assert curriculum.targets["arithmetic"] == top


def test_it_goes_on_from_its_state_as_if_it_had_not_stopped(places):
    whole, stopped = new(start=0.5), new(start=0.5)
    drawn = []
    for step in range(1, 6):
        chosen = whole.of_step(step, places)
        drawn.append(ids(chosen))
        whole.observe(passing(chosen, 0.2 * step))
        if step < 3:
            stopped.observe(passing(stopped.of_step(step, places), 0.2 * step))
    later = new(start=0.5)
    later.load(stopped.state())
    for step in range(3, 6):
        chosen = later.of_step(step, places)
        assert ids(chosen) == drawn[step - 1]
        later.observe(passing(chosen, 0.2 * step))
    assert later.state() == whole.state()


def test_dynamic_sampling_gets_the_next_ones(places):
    curriculum = new(count=2000)
    chosen = ids(curriculum.of_step(1, places))
    stream = curriculum.beyond()
    more = [next(stream)["task_id"] for _ in range(20)]
    assert len({*chosen, *more}) == 28


def test_each_of_several_environments_has_a_target_and_keeps_its_places():
    env = Mixed((Member("sums", SUMS), Member("plans", make("scheduling?tier=compact"))))
    curriculum = new(env, 200)
    places = ids(rows(env, 12))
    labels = [row["env"] for row, _ in zip(env.rows("train", 0), range(12), strict=False)]
    chosen = curriculum.of_step(1, places)
    assert [example and json.loads(example["task"])["env"] for example in chosen] == labels
    before = dict(curriculum.targets)
    groups = [
        (example["task_id"], 4 if label == "sums" else 2, 4)
        for example, label in zip(chosen, labels, strict=True)
        if example
    ]
    logged = curriculum.observe(groups)
    assert curriculum.targets["sums"] > before["sums"] and curriculum.targets["plans"] == before["plans"]
    assert logged["curriculum/pass_rate/sums"] == 1.0 and logged["curriculum/pass_rate/plans"] == 0.5


def test_tasks_of_unknown_difficulty_stay_where_they_are():
    env = Mixed((Member("sums", SUMS), Member("unknown", Unknown())))
    labels = [row["env"] for row, _ in zip(env.rows("train", 0), range(8), strict=False)]
    chosen = new(env, 100).of_step(1, ids(rows(env, 8)))
    assert [example is None for example in chosen] == [label == "unknown" for label in labels]
    with pytest.raises(UserError, match="which unknown says of none"):
        new(Unknown())
    assert says_difficulty(env) and says_difficulty(SUMS)


@pytest.mark.parametrize("band", [(0.7, 0.3), (0.5, 0.5), (-0.1, 0.5), (0.5, 1.1)])
def test_a_band_that_is_none_is_refused(band):
    with pytest.raises(ValueError, match="two pass rates"):
        CurriculumSettings(band=band)
