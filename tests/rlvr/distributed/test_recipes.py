"""The recipes of docs/scale.md fit together as far as a check goes: configs, accelerate's files, scripts for SLURM."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from rlvr.config.load import load_config
from rlvr.pipeline.plan import check

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("processes", [1, 8, 16])
@pytest.mark.parametrize("sampling", [[], ["sampler=vllm-server", 'servers=["http://localhost:8001"]']])
def test_the_config_of_the_recipes_fits_their_processes(monkeypatch, processes, sampling):
    data = Path(__file__).parents[4] / "shared/data/gsm8k"
    if not data.exists():
        pytest.skip("needs the data of GSM8K")
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    settings = [f"env.path={data}", *(f"stage.grpo.{setting}" for setting in sampling)]
    check(load_config("gsm8k-qwen2.5-0.5b", settings))


@pytest.mark.parametrize(("name", "processes"), [("ddp-cpu", 2), ("ddp-8gpu", 8), ("fsdp2", 8)])
def test_accelerate_knows_every_key_of_its_shipped_files(name, processes):
    pytest.importorskip("accelerate", reason="needs the train extra")
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    found: Any = load_config_from_file(str(CONFIGS / f"accelerate/{name}.yaml"))
    assert found.num_processes == processes
    assert set(found.fsdp_config) <= set(vars(launch_command_parser().parse_args(["a_script"])))


@pytest.mark.parametrize("name", ["ddp", "servers"])
def test_bash_can_read_the_scripts_for_slurm(name):
    assert subprocess.run(["bash", "-n", str(CONFIGS / f"slurm/{name}.sbatch")]).returncode == 0
