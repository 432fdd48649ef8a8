"""SFT, DPO, ORPO and rejection sampling through the command, with a network of one layer.

What they learn from, what they leave behind, and what they refuse in one line.
"""

import json

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main
from rlvr.config.load import check_config
from rlvr.stages import STAGES
from rlvr.stages.dpo import LOSSES
from rlvr.traces.store import read_shard
from rlvr_rewards import UserError

OWN_GROUPS = """
[env]
name = "arithmetic"
largest = 9
[reward]
expression = "'FOLDER/bytes_of.py:bytes_of'"
[[stage]]
kind = "sft"
steps = 60
batch_size = 16
learning_rate = 1e-2
num_examples = 80
held_out = 0.25
[[stage]]
kind = "dpo"
steps = 2
batch_size = 2
num_tasks = 30
group_size = 4
max_new_tokens = 40
length_gap = 1.0
loss_type = ["sigmoid", "sft"]
[[stage]]
kind = "orpo"
start = "sft"
steps = 2
batch_size = 2
num_tasks = 30
group_size = 4
max_new_tokens = 40
length_gap = 1.0
[stage.lora]
r = 4
[[stage]]
kind = "dpo"
name = "dpo-lora"
start = "orpo"
steps = 2
batch_size = 2
num_tasks = 30
group_size = 4
max_new_tokens = 40
length_gap = 1.0
[stage.lora]
r = 4
[[stage]]
kind = "rft"
start = "orpo"
steps = 2
batch_size = 2
num_tasks = 30
group_size = 4
max_new_tokens = 40
min_reward = 0.3
rounds = 2
max_per_task = 2
[stage.lora]
r = 4
[[stage]]
kind = "merge"
name = "rft-merged"
start = "rft"
[[stage]]
kind = "merge"
name = "dpo-merged"
start = "dpo-lora"
"""

BYTES_OF = """
from rlvr_rewards import reward

@reward
def bytes_of(completion: str) -> float:
    '''A score that nobody can foresee, so that groups differ.'''
    return sum(completion.encode()) % 7 / 7
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_model):
    """The folder of a run of all four kinds; do not change it."""
    folder = tmp_path_factory.mktemp("learning")
    (folder / "bytes_of.py").write_text(BYTES_OF)
    (folder / "run.toml").write_text(tiny_model + OWN_GROUPS.replace("FOLDER", str(folder)))
    assert main(["run", str(folder / "run.toml"), "--run-dir", str(folder / "run")]) == 0
    return folder / "run"


def entry(run, name):
    stages = json.loads((run / "manifest.json").read_text())["stages"]
    return next(stage for stage in stages if stage["name"] == name)


def lines_of(run, stage):
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if line["stage"] == stage]


def rows(run, stage):
    paths = sorted((run / "traces").glob(f"{stage}.train.*.parquet"))
    return [row for path in paths for row in read_shard(path).to_pylist()]


def test_sft_measures_what_is_held_out_and_reads_its_loss(run):
    metrics = entry(run, "sft")["metrics"]
    assert metrics["curve"] and metrics["loss_last"] < metrics["loss_first"] and metrics["loss_held_out"] > 0
    lines = lines_of(run, "sft")
    assert all("loss_special" in line for line in lines if "loss" in line)
    assert any("eval_loss" in line for line in lines)


def test_dpo_learns_from_pairs_of_groups_that_it_traced(run):
    metrics = entry(run, "dpo")["metrics"]
    pairs = [json.loads(line) for line in (run / "data/dpo.jsonl").read_text().splitlines()]
    assert metrics["pairs"] == len(pairs) > 0 and metrics["reward_margin"] > 0
    traced = rows(run, "dpo")
    assert len(traced) == 30 * 4 and len({row["seed"] for row in traced}) == 30 * 4
    texts = {(row["task_id"], row["completion"]): row["reward"] for row in traced}
    for pair in pairs:
        prompt = json.dumps(pair["prompt"])
        better, worse = (
            max(reward for (_, text), reward in texts.items() if text == pair[side][0]["content"])
            for side in ("chosen", "rejected")
        )
        assert better > worse, prompt


@pytest.mark.parametrize("stage", ["dpo", "dpo-lora", "orpo"])
def test_it_prefers_and_logs_that(run, stage):
    lines = lines_of(run, stage)
    assert [line["step"] for line in lines] == [1, 2]
    assert all("rewards/margins" in line and "rewards/accuracies" in line for line in lines)


def test_the_reference_is_the_model_that_it_started_from(run):
    """At the first step policy and reference are the same, with and without an adapter."""
    for stage in ("dpo", "dpo-lora"):
        assert abs(lines_of(run, stage)[0]["rewards/margins"]) < 1e-5


def test_rft_keeps_verified_samples_and_says_what_it_dropped(run):
    metrics = entry(run, "rft")["metrics"]
    kept = [json.loads(line) for line in (run / "data/rft.jsonl").read_text().splitlines()]
    dropped = sum(value for name, value in metrics.items() if name.startswith("dropped/"))
    assert metrics["sampled"] == 2 * 30 * 4 == metrics["kept"] + dropped
    assert metrics["kept"] == len(kept) > 0
    by_task = [line["task_id"] for line in kept]
    assert max(by_task.count(task) for task in by_task) <= 2
    good = {row["completion"] for row in rows(run, "rft") if row["reward"] >= 0.3}
    assert {line["completion"][0]["content"] for line in kept} <= good


def test_each_round_samples_from_the_round_before(run):
    assert {row["policy_version"] for row in rows(run, "rft")} == {0, 1}
    assert [line["step"] for line in lines_of(run, "rft/round-1")] == [1, 2]
    made = {"base", "dpo", "dpo-lora", "dpo-merged", "orpo", "rft", "rft-merged", "sft"}
    assert {path.name for path in (run / "models").iterdir()} == made
    assert not (run / "models/rft/round-1").exists()


@pytest.mark.parametrize("stage", ["dpo-lora", "rft"])
def test_adapters_learned_from_own_samples_are_merged(run, stage):
    """With that of orpo, which they were trained on."""
    merged = entry(run, {"dpo-lora": "dpo-merged", "rft": "rft-merged"}[stage])["metrics"]
    assert (run / f"models/{stage}/adapter_config.json").exists()
    assert merged["adapters"] == 2 and merged["merge_kl"] < 1e-6 < merged["effect_kl"]


def test_what_was_learned_can_be_given_as_data(run, tmp_path, tiny_model):
    config = tmp_path / "again.toml"
    config.write_text(
        tiny_model
        + f"""
[env]
name = "arithmetic"
largest = 9
[[stage]]
kind = "sft"
steps = 2
batch_size = 4
data = [{{ path = "golds", weight = 3, channel = "sums" }}, {{ path = "{run}/data/rft.jsonl", weight = 1 }}]
[stage.trl]
packing = true
[[stage]]
kind = "dpo"
steps = 2
batch_size = 2
data = "{run}/data/dpo.jsonl"
"""
    )
    assert main(["run", str(config), "--run-dir", str(tmp_path / "run")]) == 0
    first = lines_of(tmp_path / "run", "sft")[0]
    assert "loss/sums" in first and "loss/other" in first
    assert "rewards/margins" in lines_of(tmp_path / "run", "dpo")[0]


def checked(**stage):
    config = check_config({"env": {"name": "arithmetic"}, "stage": [stage]}, "here")
    STAGES.get(stage["kind"]).check(config.stage[0], config)


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ({"kind": "dpo", "loss_type": "sigmoi"}, "did you mean 'sigmoid'?"),
        ({"kind": "dpo", "loss_type": "exo_pair"}, "exo_pair needs trl.label_smoothing"),
        ({"kind": "dpo", "trl": {"loss_type": ["ipo"]}}, "write loss_type instead of trl.loss_type"),
        ({"kind": "dpo", "loss_type": "apo_zero", "trl": {"f_divergence_type": "forward_kl"}}, "apo_zero knows no"),
        ({"kind": "dpo", "lora": {"r": 4}, "trl": {"sync_ref_model": True}}, "[stage.lora] does not keep"),
        ({"kind": "dpo", "data": "PAIRS", "group_size": 4}, "with data nothing is sampled, so group_size does nothing"),
        ({"kind": "dpo", "data": "golds"}, "golds are no preferences"),
        ({"kind": "dpo", "data": "missing.jsonl"}, "missing.jsonl: no such file"),
        ({"kind": "orpo", "trl": {"betta": 0.1}}, "did you mean 'beta'?"),
        ({"kind": "rft", "learn": "assistant"}, "a sample is one turn"),
        ({"kind": "sft", "data": [{"path": "PAIRS", "weight": 1.0}, "golds"]}, "golds has no weight"),
        ({"kind": "sft", "data": "TEXT", "learn": "assistant"}, "a plain text has no turns"),
        ({"kind": "sft", "trl": {"assistant_only_loss": True}}, 'write learn = "assistant" instead'),
    ],
)
def test_what_cannot_work_is_refused_before_anything_loads(tmp_path, stage, says):
    (tmp_path / "pairs.jsonl").write_text('{"prompt": "a", "chosen": "b", "rejected": "c", "completion": "d"}\n')
    (tmp_path / "text.jsonl").write_text('{"text": "a"}\n')
    text = (
        json.dumps(stage).replace("PAIRS", str(tmp_path / "pairs.jsonl")).replace("TEXT", str(tmp_path / "text.jsonl"))
    )
    with pytest.raises(UserError) as error:
        checked(**json.loads(text))
    assert says in str(error.value) and "\n" not in str(error.value)


def test_the_losses_are_those_of_the_installed_trl():
    import inspect
    import re

    from trl import DPOTrainer

    named = set(re.findall(r'loss_type == "(\w+)"', inspect.getsource(DPOTrainer)))
    assert named == set(LOSSES)
