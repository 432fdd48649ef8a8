"""What a stage is made from is known by hash: settings, stages before it, your own files, model, tasks and reward."""

import pytest

from rlvr.config.load import check_config
from rlvr.pipeline.inputs import config_hash, hash_of, input_hashes, result_hash


def config_of(tmp_path, **settings):
    for name in ("rw.py", "env.py"):
        (tmp_path / name).write_text("x = 1\n")
    for name in ("train.jsonl", "demos.jsonl"):
        (tmp_path / name).write_text("{}\n")
    raw = {
        "env": {"name": f"{tmp_path}/env.py:Mine", "path": str(tmp_path), "tier": "hard"},
        "reward": {"expression": f"0.5*'{tmp_path}/rw.py:brief' + success"},
        "stage": [
            {"kind": "sft", "data": str(tmp_path / "demos.jsonl"), **settings},
            {"kind": "grpo"},
            {"kind": "evaluate", "models": ["base", "sft"]},
        ],
    }
    return check_config(raw, "test")


def labels(config, number):
    """What a stage is made from, files without their folders."""
    return {" ".join([*label.split()[:-1], label.split("/")[-1]]).strip() if "/" in label else label
            for label in input_hashes(config.stage[number], config, {})}  # fmt: skip


def test_every_stage_knows_what_it_is_made_from(tmp_path):
    config = config_of(tmp_path)
    tasks = {"seed", "env", "env file env.py", "env file train.jsonl", "env file demos.jsonl"}
    reward = {"reward", "reward file rw.py"}
    assert labels(config, 0) == {*tasks, "model", "file demos.jsonl"}
    assert labels(config, 1) == {*tasks, *reward, "stage sft"}
    assert labels(config, 2) == {*tasks, *reward, "model", "stage sft"}


@pytest.mark.parametrize(("name", "stages"), [("rw.py", {1, 2}), ("env.py", {0, 1, 2}), ("demos.jsonl", {0, 1, 2})])
def test_a_file_that_changed_is_an_input_that_changed(tmp_path, name, stages):
    config = config_of(tmp_path)
    before = [input_hashes(stage, config, {}) for stage in config.stage]
    (tmp_path / name).write_text("x = 2\n")
    now = [input_hashes(stage, config, {}) for stage in config.stage]
    assert {number for number in range(3) if before[number] != now[number]} == stages


def test_a_stage_made_otherwise_is_another_input_of_those_that_take_its_model(tmp_path):
    config = config_of(tmp_path)
    entry = {"config_hash": "a", "inputs": {}, "outputs": {"models/sft": "b"}}
    known = result_hash(entry)
    assert input_hashes(config.stage[1], config, {"sft": entry})["stage sft"] == known
    assert known != result_hash({**entry, "outputs": {"models/sft": "c"}})
    assert known != result_hash({**entry, "config_hash": "d"})


def test_the_settings_are_known_but_not_how_often_is_saved(tmp_path):
    first = config_of(tmp_path).stage[0]
    assert config_hash(first) == config_hash(config_of(tmp_path, save_steps=7).stage[0])
    assert config_hash(first) != config_hash(config_of(tmp_path, learning_rate=1e-4).stage[0])
    assert config_hash(first) != config_hash(config_of(tmp_path, trl={"weight_decay": 0.1}).stage[0])


def test_a_folder_is_known_by_names_and_contents(tmp_path):
    (tmp_path / "a").write_text("1")
    before = hash_of(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = hash_of(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({before, renamed, hash_of(tmp_path)}) == 3


@pytest.mark.parametrize("as_list", [False, True])
def test_data_of_a_stage_of_the_users_own_is_a_path_too(tmp_path, as_list):
    from rlvr.stages.evaluate import EvaluateStageConfig

    class Own(EvaluateStageConfig):
        data: str | list[str]

    path = str(tmp_path / "demos.jsonl")
    config = config_of(tmp_path)
    stage = Own(kind="evaluate", name="own", models=("base",), data=[path] if as_list else path)
    assert f"file {path}" in input_hashes(stage, config, {})
