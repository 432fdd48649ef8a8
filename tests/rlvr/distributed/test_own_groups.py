"""Stages that sample groups before they learn: two processes sample what one does, and learn the same."""

import pytest
import torch
from safetensors.torch import load_file

from rlvr.traces.store import read_shards, shards

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

STAGES = """
[env]
name = "arithmetic"
largest = 9
[reward]
expression = "'FOLDER/fateful.py:fateful'"
[[stage]]
kind = "sft"
steps = 3
batch_size = 16
num_examples = 80
learning_rate = 1e-2
[[stage]]
kind = "dpo"
start = "sft"
steps = 3
batch_size = 8
num_tasks = 20
group_size = 64
max_new_tokens = 12
length_gap = 1
num_pairs = 16
[[stage]]
kind = "rft"
start = "sft"
rounds = 2
steps = 2
batch_size = 16
num_tasks = 10
group_size = 64
max_new_tokens = 12
min_reward = 0.3
"""


@pytest.fixture(scope="module")
def runs(folder, started, tiny_model):
    (folder / "own.toml").write_text(tiny_model + STAGES.replace("FOLDER", str(folder)))
    for where, processes in (("own-alone", 1), ("own-together", 2)):
        done = started(where, processes=processes, config="own.toml")
        assert done.returncode == 0, done.stderr
    return folder / "own-alone/run", folder / "own-together/run"


def test_two_processes_sample_each_batch_once(runs):
    one, two = (sampled(run) for run in runs)
    assert len(one) == 64 * (20 + 10 + 10)
    assert [row["place"] for row in two] == [row["place"] for row in one]
    of_same_weights = [row for row in one if row["version"] == 0]  # the second round's are rounded otherwise
    assert len(of_same_weights) == 64 * (20 + 10)
    assert [row for row in two if row["version"] == 0] == of_same_weights


def test_two_processes_make_the_same_pairs(runs):
    one, two = ((run / "data/dpo.jsonl").read_text() for run in runs)
    assert one == two and len(one.splitlines()) == 16


def test_two_processes_train_the_same_weights_as_one(runs):
    one, two = (load_file(run / "models/dpo/model.safetensors") for run in runs)
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-5, rtol=0)


def test_two_processes_go_on_with_what_one_has_sampled(folder, started, runs):
    (folder / "fate").write_text(f"0 {64 * 8 + 9} KILL")  # in the second batch
    assert started("own-killed", config="own.toml").returncode == -9
    killed = folder / "own-killed/run"
    assert len(sampled(killed)) == 64 * 8
    done = started("own-killed", processes=2, config="own.toml")
    assert done.returncode == 0, done.stderr
    assert "8 of 20 groups were sampled before" in done.stdout
    assert [row["place"] for row in sampled(killed)] == [row["place"] for row in sampled(runs[0])]


def sampled(run):
    rows = [row for _, table in read_shards(shards(run / "traces"), print) for row in table.to_pylist()]
    place = ("stage", "step", "group", "sample", "task_id", "seed")
    said = {"version": "policy_version", "text": "completion", "reward": "reward"}
    return [{"place": [row[n] for n in place], **{key: row[n] for key, n in said.items()}} for row in rows]
