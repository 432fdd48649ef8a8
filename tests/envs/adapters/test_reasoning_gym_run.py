"""A training run on a dataset of reasoning-gym, whole: two steps of GRPO, evaluation; its audit, its listing."""

import json

import pytest

from rlvr.cli import main

pytest.importorskip("reasoning_gym")
pytest.importorskip("trl")

CONFIG = """
threads = 1
[model.scratch]
hidden_size = 32
intermediate_size = 64
num_layers = 1
num_heads = 2
num_kv_heads = 2
vocab_size = 330
context_length = 512
[env]
name = "reasoning_gym/leg_counting"
max_animals = 3
credit = "full"
[[stage]]
kind = "grpo"
steps = 2
prompts_per_step = 2
group_size = 2
max_new_tokens = 8
[[stage]]
kind = "evaluate"
num_tasks = 4
max_new_tokens = 8
"""


def test_grpo_trains_and_traces_on_it(tmp_path):
    from rlvr.traces.store import read_shard

    (tmp_path / "run.toml").write_text(CONFIG)
    assert main(["run", str(tmp_path / "run.toml"), "--run-dir", str(tmp_path / "run")]) == 0
    shards = (tmp_path / "run/traces").glob("grpo.train.*.parquet")
    rows = [row for shard in shards for row in read_shard(shard).to_pylist()]
    assert len(rows) == 8
    assert {row["env"] for row in rows} == {"reasoning_gym/leg_counting"}
    assert all(dict(row["parts"]).keys() == {"correct", "format"} and not row["errors"] for row in rows)
    assert all(len(json.loads(row["task"])["metadata"]["animals"]) <= 3 for row in rows)
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert {"score", "success"} <= {row["metric"] for row in results}


def test_the_audit_lists_what_its_scorer_pays_for_and_full_marks_alone_end_it(tmp_path, capsys):
    own, full = tmp_path / "own.json", tmp_path / "full.json"
    assert main(["audit", "--env", "reasoning_gym/leg_counting", "--n", "5", "--json", str(own)]) == 1
    assert "right or wrong" in json.loads(own.read_text())["wins"]
    assert "more than an honest wrong attempt" in capsys.readouterr().out
    strict = "reasoning_gym/leg_counting?credit=full"
    assert main(["audit", "--env", strict, "--n", "5", "--json", str(full)]) == 0
    assert json.loads(full.read_text())["wins"] == []


def test_envs_lists_a_collection_only_when_asked(capsys):
    assert main(["envs"]) == 0
    listed = capsys.readouterr().out
    assert "reasoning_gym" in listed and "leg_counting" not in listed
    assert main(["envs", "reasoning_gym"]) == 0
    assert "leg_counting" in capsys.readouterr().out
    assert main(["envs", "reasoning_gym/leg_counting", "--n", "3", "--show", "1"]) == 0
    assert "max_animals=10" in capsys.readouterr().out


def test_gymnasium_makes_one_by_its_name():
    import gymnasium

    env = gymnasium.make("rlvr/any-v0", environment="reasoning_gym/leg_counting", max_animals=3)
    _, info = env.reset(seed=0)
    _, reward, terminated, _, _ = env.step(env.unwrapped.environment.gold(info["task"]))
    assert (reward, terminated) == (1.2, True)
