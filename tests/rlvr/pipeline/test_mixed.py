"""A run of several environments: each step's groups are of either, and all that is written says of which."""

import json
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main
from rlvr.config.load import load_config
from rlvr.pipeline.run import environment_of, reward_of
from rlvr.traces.store import read_shard
from rlvr_envs import make

CONFIG = """
[[env]]
name = "arithmetic"
largest = 9
weight = 3
[[env]]
name = "scheduling"
tier = "compact"
[[env]]
name = "arithmetic"
[[stage]]
kind = "sft"
steps = 3
batch_size = 4
num_examples = 32
[[stage]]
kind = "grpo"
steps = 4
prompts_per_step = 4
group_size = 2
max_new_tokens = 4
extra_groups = 2
save_steps = 1
[[stage]]
kind = "rft"
steps = 2
batch_size = 4
num_tasks = 12
group_size = 2
max_new_tokens = 30
stop = ["a", "e", "i", "o", "u", "n", "r", "s", "t", " ", "1", "2"]
min_reward = 0
[[stage]]
kind = "evaluate"
num_tasks = 3
max_new_tokens = 4
models = ["sft", "grpo"]
baselines = ["random"]
metrics = ["score"]
"""
LABELS = ["arithmetic?largest=9", "scheduling", "arithmetic"]
ENVS = {label: make(f"{label}?tier=compact" if label == "scheduling" else label) for label in LABELS}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory, tiny_model) -> Path:
    folder = tmp_path_factory.mktemp("mixed")
    (folder / "run.toml").write_text(tiny_model + CONFIG)
    assert main(["run", str(folder / "run.toml"), "--run-dir", str(folder / "run")]) == 0
    return folder / "run"


def rows(run_dir: Path, stage: str, split: str = "train") -> list[dict]:
    paths = sorted((run_dir / "traces").glob(f"{stage}.{split}.*.parquet"))
    return [row for path in paths for row in read_shard(path).to_pylist()]


@pytest.mark.parametrize("stage", ["grpo", "rft", "sft"])
def test_traces_name_the_environment_and_hold_its_own_row_and_parts(run_dir, stage):
    found = rows(run_dir, stage, "test" if stage == "sft" else "train")
    assert {row["env"] for row in found} == {*LABELS}
    for row in found:
        env, task = ENVS[row["env"]], json.loads(row["task"])
        env.check(task)
        assert row["task_id"] == env.task_id(task) and row["gold"] == env.gold(task)
        assert {*dict(row["parts"])} == {*env.reward.part_names()}
        assert row["success"] == env.success(task, row["completion"])


def test_each_group_is_of_one_environment_and_weights_decide_which(run_dir):
    groups = {(row["step"], row["group"], row["attempt"]): row["env"] for row in rows(run_dir, "grpo")}
    by_group = Counter(groups.values())
    assert by_group["arithmetic?largest=9"] > by_group["scheduling"] + by_group["arithmetic"]


def test_an_evaluation_measures_all_together_and_each_apart(run_dir):
    results = json.loads((run_dir / "results.json").read_text())
    score = {(row["stage"], row["env"]): row for row in results if row["metric"] == "score"}
    whole = " + ".join(f"{label}" for label in ("arithmetic?largest=9", "scheduling", "arithmetic"))
    assert {env for _, env in score} == {whole, *LABELS}
    for stage in ("random", "sft", "grpo"):
        assert score[stage, whole]["n"] == 9 and {score[stage, label]["n"] for label in LABELS} == {3}
        mean = sum(score[stage, label]["mean"] for label in LABELS) / 3
        assert score[stage, whole]["mean"] == pytest.approx(mean)
    ratio = {row["env"] for row in results if row["metric"] == "optimum_ratio"}
    assert ratio == {whole, "scheduling"}
    table = json.loads((run_dir / "manifest.json").read_text())["table"]
    assert table[0]["mean"] == score["sft", whole]["mean"]


def test_metrics_are_of_each_environment(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    names = {name for line in lines if line["stage"] == "grpo" for name in line}
    assert {"parts/scheduling/value", "reward/scheduling", "success/arithmetic?largest=9"} <= names
    assert not {"parts/value", "parts/correct"} & names
    assert any("loss/scheduling" in line for line in lines if line["stage"] == "sft")


def test_the_scratch_tokenizer_knows_the_tags_of_all(run_dir):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(run_dir / "models/base")
    assert all(len(tokenizer.encode(tag)) == 1 for tag in ("<answer>", "<schedule>", "<think>"))


def test_the_same_command_skips_it_all_and_other_tasks_are_another_run(run_dir, capsys):
    command = ["run", str(run_dir.parent / "run.toml"), "--run-dir", str(run_dir)]
    assert main(command) == 0 and capsys.readouterr().out.count("finished before, skipped") == 4
    assert main([*command, "--set", "env.1.weight=2"]) == 2
    assert "env[1].weight: 1.0 there, 2.0 now" in " ".join(capsys.readouterr().err.split())


def test_the_plan_says_shares_and_rewards_that_differ(run_dir, capsys):
    config = str(run_dir.parent / "run.toml")
    assert main(["run", config, "--check", "--run-dir", str(run_dir)]) == 0
    out = capsys.readouterr().out
    assert "env     60% arithmetic largest=9" in out and "env     20% scheduling tier=compact" in out
    assert "the most differs" in out and "divide_by_max" in out
    sets = ["--set", "reward.divide_by_max=true"]
    assert main(["run", config, "--check", "--run-dir", str(run_dir.parent / "new"), *sets]) == 0
    out = capsys.readouterr().out
    assert out.count("reward  at most 1,") == 3 and "the most differs" not in out


def test_one_reward_for_all_is_read_over_each_environments_own_parts(run_dir):
    config = load_config(str(run_dir.parent / "run.toml"), ["reward.expression=success + 0.5*format"])
    env = environment_of(config)
    reward = reward_of(config, env)
    for stream in env.streams("train", 0).values():
        task = next(stream)
        assert env.score(task, env.gold(task), reward).reward == 1.5
        assert env.score(task, "no", reward).parts == {"success": 0.0, "format": 0.0}
