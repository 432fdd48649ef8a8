"""Two processes that sample with vLLM, each its own engine or all the same server, make of a run what one makes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rlvr.config.load import load_config
from rlvr.stages import STAGES
from rlvr.traces.store import read_shards, shards
from rlvr_rewards import UserError
from tests.vllm.serving import Serving

CONFIG = """
threads = 1
[model]
path = "MODEL"
[env]
name = "scheduling"
tier = "compact"
[reward]
expression = "'FOLDER/letters.py:digits'"
[[stage]]
kind = "grpo"
steps = 3
prompts_per_step = 4
group_size = 4
max_new_tokens = 24
learning_rate = 2e-3
EXTRA
"""
LETTERS = """
from rlvr_rewards import reward

@reward
def digits(completion: str) -> float:
    return sum(letter.isdigit() for letter in completion) / max(1, len(completion))
"""


@pytest.fixture(scope="module", params=["vllm", "vllm-server"])
def extra(request, model_folder, tmp_path_factory):
    """The settings of a sampler; two servers for a run in one process and one in two, which would mix their weights."""
    if request.param == "vllm":
        yield lambda number: 'sampler = "vllm"'
        return
    folder = tmp_path_factory.mktemp("servers")
    started = [Serving(model_folder, folder / f"{number}.log") for number in range(2)]
    try:
        yield lambda number: f'sampler = "vllm-server"\nservers = ["{started[number].wait().url}"]'
    finally:
        for server in started:
            server.kill()


@pytest.fixture(scope="module")
def runs(extra, model_folder, tmp_path_factory) -> list[Path]:
    """In one process, and in two."""
    found = []
    for processes in (1, 2):
        folder = tmp_path_factory.mktemp(f"of{processes}")
        (folder / "letters.py").write_text(LETTERS)
        text = CONFIG.replace("MODEL", str(model_folder)).replace("FOLDER", str(folder))
        (folder / "run.toml").write_text(text.replace("EXTRA", extra(processes - 1)))
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"] if processes > 1 else []
        command = [sys.executable, *launcher, "-m", "rlvr", "run", "run.toml", "--run-dir", "run"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, env=environment)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append(folder / "run")
    return found


def test_weights_are_those_of_one_process(runs):
    one, two = (load_file(run / "models/grpo/model.safetensors") for run in runs)
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, atol=1e-4, rtol=0)


def test_each_completion_is_sampled_once_from_the_weights_of_its_step(runs):
    columns = ["step", "group", "sample", "seed", "token_ids"]
    rows = [
        [row for _, table in read_shards(shards(run / "traces", "grpo"), print, columns) for row in table.to_pylist()]
        for run in runs
    ]
    one, two = (sorted(each, key=lambda row: (row["step"], row["group"], row["sample"])) for each in rows)
    assert len(one) == 3 * 4 * 4
    assert one == two
    assert {shard.rank for shard in shards(runs[1] / "traces", "grpo")} == {0, 1}


@pytest.mark.parametrize("kind", ["evaluate", "rft", "dpo"])
def test_what_not_all_processes_sample_for_is_refused_in_one_line(tmp_path, monkeypatch, model_folder, kind):
    file = tmp_path / "run.toml"
    stage = f'[[stage]]\nkind = "{kind}"\nsampler = "vllm"\n'
    text = f'[model]\npath = "{model_folder}"\n[env]\nname = "arithmetic"\n{stage}'
    file.write_text(text)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=rf'stage {kind}: .* set sampler = "torch" or "vllm-server"'):
        STAGES.get(kind).check_processes(load_config(str(file), []).stage[0])
