"""The stage `evaluate` in a run: its results, its traces, and that `rlvr eval` agrees with it."""

import json

import pytest

pytest.importorskip("trl")

from rlvr.cli import main
from rlvr.config.load import check_config
from rlvr.stages.evaluate import _models
from rlvr.traces.store import shards

CONFIG = """
seed = 4
[model.scratch]
hidden_size = 32
intermediate_size = 32
num_layers = 1
num_heads = 2
num_kv_heads = 2
[env]
name = "arithmetic"
largest = 9
[[stage]]
kind = "evaluate"
models = ["base"]
baselines = ["random"]
num_tasks = 6
max_new_tokens = 8
metrics = ["score"]
"""


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.toml").write_text(CONFIG)
    assert main(["run", str(folder / "tiny.toml"), "--run-dir", str(folder / "run")]) == 0
    return folder / "run"


def results(path):
    return {(row["stage"], row["metric"]): row for row in json.loads(path.read_text())}


def test_results_hold_every_policy_in_order_and_their_difference(run_folder):
    rows = json.loads((run_folder / "results.json").read_text())
    assert list(dict.fromkeys(row["stage"] for row in rows)) == ["random", "base"]
    found = results(run_folder / "results.json")
    assert found["base", "score"]["model"] == "models/base"
    assert found["base", "score"]["temperature"] == 1.0
    assert found["random", "score"]["model"] is found["random", "score"]["temperature"] is None
    difference = found["base", "score-random"]["mean"]
    assert difference == pytest.approx(found["base", "score"]["mean"] - found["random", "score"]["mean"])


def test_every_policy_has_its_traces(run_folder):
    assert [(shard.stage, shard.split, shard.step) for shard in shards(run_folder / "traces")] == [
        ("base", "test", 0),
        ("random", "test", 0),
    ]


def test_rlvr_eval_gives_the_numbers_of_the_run(run_folder, tmp_path):
    out = tmp_path / "out.json"
    model = str(run_folder / "models" / "base")
    command = ["eval", "--model", model, "--env", "arithmetic?largest=9", "--n", "6", "--seed", "4"]
    assert main([*command, "--max-new-tokens", "8", "--json", str(out)]) == 0
    of_run, alone = results(run_folder / "results.json"), results(out)
    for (stage, metric), row in alone.items():
        assert {**row, "model": None} == {**of_run[stage, metric], "model": None}


def test_the_run_can_be_read_by_rlvr_traces(run_folder, capsys):
    assert main(["traces", str(run_folder)]) == 0
    assert main(["traces", str(run_folder), "--stage", "base", "--step", "0", "--group", "2"]) == 0
    out = capsys.readouterr().out
    assert "base · test" in out
    assert "group 2" in out


def test_start_says_which_model_is_evaluated_by_default():
    stages = [{"kind": "sft"}, {"kind": "grpo"}, {"kind": "evaluate", "start": "sft"}]
    config = check_config({"env": {"name": "arithmetic"}, "stage": stages}, "here")
    assert _models(config.stage[2], config) == ("sft",)
