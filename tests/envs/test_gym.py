"""The Gymnasium face: registered by import, one task an episode, errors never a silent zero."""

import math
import subprocess
import sys

import gymnasium
import pytest

from rlvr_envs import make
from rlvr_envs.gym import AnyText, TextEnv, register
from rlvr_rewards import UserError


@pytest.mark.parametrize(
    "code",
    [
        "import gymnasium, rlvr_envs; gymnasium.make('rlvr/arithmetic-v0', largest=9)",
        "import gymnasium; gymnasium.make('rlvr_envs:rlvr/arithmetic-v0', largest=9)",
    ],
)
def test_importing_registers_without_torch(code):
    check = "import sys; assert not {'torch', 'transformers', 'datasets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-W", "error", "-c", f"{code}; {check}"], check=True)


@pytest.mark.filterwarnings("error")
def test_registering_again_changes_nothing():
    before = dict(gymnasium.registry)
    register()
    assert dict(gymnasium.registry) == before


def test_the_seed_decides_the_tasks_and_episodes_go_on_to_new_ones():
    env = TextEnv("arithmetic", split="test")
    first = [env.reset(seed=5)[1]["task_id"], *(env.reset()[1]["task_id"] for _ in range(5))]
    again = [env.reset(seed=5)[1]["task_id"], *(env.reset()[1]["task_id"] for _ in range(5))]
    assert first == again
    assert len(set(first)) == 6
    assert env.reset(seed=6)[1]["task_id"] != first[0]
    assert make("arithmetic").split_of(env.reset()[1]["task"]) == "test"


def test_a_split_that_ends_starts_over():
    env = TextEnv("arithmetic", largest=2, split="test")
    env.reset(seed=0)
    assert all(env.reset()[0] for _ in range(40))


def test_a_task_of_ones_own_is_checked_and_set():
    env = TextEnv("arithmetic")
    task = {"question": "3+4", "answer": "7"}
    prompt, info = env.reset(options={"task": task})
    assert prompt.endswith("3+4=?")
    assert info["task"] == task
    assert env.step("<think>3+4=7</think><answer>7</answer>")[1] == env.environment.reward.max
    with pytest.raises(UserError, match="'answer'"):
        env.reset(options={"task": {"question": "3+4"}})


def test_a_step_ends_the_episode_and_tells_why():
    env = gymnasium.make("rlvr/scheduling-v0", tier="compact", split="test")
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step("<schedule></schedule>")
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert set(info) == {"parts", "errors", "success", "task_id", "info"}
    assert info["info"] == {"failure": "too_few", "optimum_ratio": 0.0}


def test_a_failed_part_is_no_zero():
    env = TextEnv("arithmetic")
    env.reset(options={"task": {"question": "3+4", "answer": "seven"}})
    _, reward, *_, info = env.step("<answer>7</answer>")
    assert math.isnan(reward)
    assert list(info["errors"]) == ["correct"]
    assert info["success"] is False


def test_step_before_reset_is_refused():
    with pytest.raises(RuntimeError, match="before reset"):
        TextEnv("arithmetic").step("7")


def test_mistakes_in_make_are_named():
    with pytest.raises(UserError, match="did you mean 'tier'"):
        gymnasium.make("rlvr/scheduling-v0", teir="hard")
    with pytest.raises(UserError, match="no split 'dev'"):
        gymnasium.make("rlvr/arithmetic-v0", split="dev")


def test_the_text_space_takes_every_script_and_samples_reproducibly():
    space = AnyText(seed=3)
    assert "Σ… 試す\ud800" in space
    assert 7 not in space
    again = AnyText(seed=3)
    assert [space.sample() for _ in range(3)] == [again.sample() for _ in range(3)]
