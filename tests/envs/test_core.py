"""Finding environments, their options, seeds, and the split that a row's content says."""

from itertools import islice

import pytest

from rlvr_envs import ENVIRONMENTS, make
from rlvr_envs.library.arithmetic import Arithmetic
from rlvr_envs.seeds import canonical_json, content_id, derive_random, derive_seed
from rlvr_rewards import UserError, parse_reward, reward

MINE = """
from dataclasses import dataclass
from rlvr_envs.library.arithmetic import Arithmetic

@dataclass(frozen=True)
class Mine(Arithmetic):
    name = "mine"
    loud: bool = False
"""


def test_the_shipped_environments_are_found_by_name():
    assert {"arithmetic", "countdown", "gsm8k", "scheduling"} <= set(ENVIRONMENTS.names())


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UserError, match="did you mean 'scheduling'"):
        make("sheduling")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("arithmetic?larges=9", "did you mean 'largest'"),
        ("arithmetic?largest=many", "option largest='many'"),
        ("arithmetic?largest", "write options as NAME\\?key=value"),
        ("countdown?num_numbers=2.5", "option num_numbers='2.5'"),
        ("arithmetic?largest=-1", "arithmetic: largest=-1: give 0 or more"),
        ("arithmetic?largest=1&largest=2", "option 'largest' is given twice"),
    ],
)
def test_an_option_that_cannot_be_is_refused(spec, message):
    with pytest.raises(UserError, match=message):
        make(spec)


def test_options_in_the_name_and_in_keywords_are_the_same():
    assert make("scheduling?tier=hard") == make("scheduling", tier="hard")


def test_a_file_of_ones_own_with_options(tmp_path):
    path = tmp_path / "my_env.py"
    path.write_text(MINE)
    environment = make(f"{path}:Mine?loud=true&largest=5")
    assert (environment.name, environment.loud, environment.largest) == ("mine", True, 5)
    with pytest.raises(UserError, match="did you mean 'Mine'"):
        make(f"{path}:Mien")


def test_each_label_makes_another_seed_and_their_order_does_not():
    seeds = [derive_seed(run, stage=stage, step=step) for run in (0, 1) for stage in "ab" for step in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(3, a=1, b=2) == derive_seed(3, b=2, a=1)
    assert derive_random(0, step=1).random() == derive_random(0, step=1).random()


def test_canonical_json_is_one_text_for_equal_values():
    assert canonical_json({"b": (1, 2), "a": "ü"}) == canonical_json({"a": "ü", "b": [1, 2]})
    assert content_id({"b": 1, "a": 2}) == content_id({"a": 2, "b": 1})


def test_the_content_says_the_split_in_every_space_however_small():
    environment = make("arithmetic?largest=3")
    found = {split: list(environment.rows(split, 0)) for split in ("train", "test")}
    assert len(found["train"]) + len(found["test"]) == 32  # all of 4 x 4 sums and differences, each once
    assert all(environment.split_of(task) == split for split, tasks in found.items() for task in tasks)


def test_a_fifth_of_the_tasks_is_for_testing():
    environment = make("scheduling")
    drawn = (environment.draw(derive_random(0, n=n)) for n in range(1000))
    assert 150 < sum(environment.split_of(task) == "test" for task in drawn) < 250


def test_the_seed_alone_decides_the_rows_of_another_process():
    rows = list(islice(make("scheduling?tier=compact").rows("train", 0), 3))
    assert content_id(rows) == "3a85a58463dbf977"


def test_an_expression_may_name_parts_of_the_environment_success_and_the_library():
    env = make("arithmetic")
    task = next(env.rows("train", 0))
    reward = parse_reward("0.5*format + success + 0.1*one_answer", env.part)
    assert reward.score(env.gold(task), **task).parts == {"format": 1.0, "success": 1.0, "one_answer": 1.0}
    assert reward.score("<answer>nothing</answer>", **task).parts["success"] == 0.0


def test_an_unknown_part_offers_the_nearest_of_them_all():
    with pytest.raises(UserError, match="did you mean 'success'"):
        make("arithmetic").part("succes")


def test_an_expression_may_name_a_metric_of_the_environment():
    env = make("scheduling?tier=compact")
    task = next(env.rows("train", 0))
    reward = parse_reward("optimum_ratio + 0.5*success", env.part)
    assert reward.score(env.gold(task), **task).parts == {"optimum_ratio": 1.0, "success": 1.0}
    assert reward.score("<schedule>A0-9</schedule>", **task).reward == 0.0


def test_a_reward_that_asks_for_the_prompt_gets_the_messages():
    @reward
    def echoes(completion: str, prompt: list) -> float:
        return float(completion == prompt[-1]["content"])

    env = make("arithmetic")
    task = next(env.rows("test", 0))
    assert env.score(task, env.messages(task)[-1]["content"], echoes).reward == 1.0


def test_a_row_that_is_not_json_names_its_column():
    class Days(Arithmetic):
        name = "days"

        def draw(self, random):
            return {**super().draw(random), "days": {"Monday"}}

    with pytest.raises(UserError, match="environment days: column 'days' is a set, which is not JSON"):
        next(Days().rows("train", 0))


def test_a_file_without_an_environment_says_what_is_there_instead(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from rlvr_envs import Environment\nclass Half(Environment):\n    def rows(self, split, seed): ...\nfour = 4\n"
    )
    with pytest.raises(
        UserError, match=r"Half cannot be used as an environment: it does not define gold, messages, su"
    ):
        make(f"{tmp_path}/mine.py:Half")
    with pytest.raises(UserError, match=r"four cannot be used as an environment: it is of type int"):
        make(f"{tmp_path}/mine.py:four")
