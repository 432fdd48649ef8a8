"""Ranks that cannot work together are refused; a step's rows are dealt out in whole groups."""

import pytest
import torch

from rlvr.cli import main
from rlvr.config.load import load_config
from rlvr.pipeline.plan import check
from rlvr_rewards.errors import UserError

CONNECT = """
import os
import sys
from rlvr.config.schema import ScratchConfig
import rlvr.pipeline.processes as processes

rank = int(os.environ["RANK"])
EXTRA
config = ScratchConfig(vocab_size=400 + SEED)
try:
    with processes.connected(config):
        said = f"connected {processes.everyone(rank)} {processes.agreed(rank or None)} {processes.told(rank)}"
except Exception as error:
    said = f"{type(error).__name__}: {error}"
sys.stdout.write(said + "\\n")  # at once: both processes write into one pipe
"""


def _script(extra: str = "", seed: str = "0") -> str:
    return CONNECT.replace("EXTRA", extra).replace("SEED", seed)


@pytest.mark.slow
def test_processes_with_one_config_and_the_same_versions_connect(started_script):
    done = started_script(_script())
    assert done.stdout.count("connected [0, 1] 1 0") == 2, done.stderr


@pytest.mark.slow
def test_processes_with_different_configs_are_refused(started_script):
    done = started_script(_script(seed="rank"))
    assert done.stdout.count("UserError: process 1 has another config than process 0: start all with the same") == 2


@pytest.mark.slow
def test_processes_with_different_versions_are_refused(started_script):
    done = started_script(_script(extra='processes.version = lambda name: f"1.{rank}" if name == "trl" else "2"'))
    assert done.stdout.count("UserError: process 1 has trl 1.1, process 0 has 1.0: install the same versions") == 2


@pytest.mark.parametrize("how", ["setting", "launcher"])
def test_mixed_precision_that_the_device_lacks_is_refused_before_anything_is_trained(
    tmp_path, monkeypatch, capsys, tiny_model, how
):
    pytest.importorskip("trl", reason="needs the train extra")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    file = tmp_path / "run.toml"
    file.write_text(tiny_model + GRPO.replace("KIND", "grpo"))
    if how == "launcher":
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    setting = ["--set", "stage.grpo.trl.fp16=true"] if how == "setting" else []
    assert main(["run", str(file), "--run-dir", str(tmp_path / "run"), *setting]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rlvr: stage grpo: mixed precision fp16 needs a GPU, and here is none: drop trl.fp16")
    assert said.count("\n") == 1 and not (tmp_path / "run/models").exists()


GRPO = """
[env]
name = "arithmetic"
[[stage]]
kind = "KIND"
"""


@pytest.mark.parametrize(
    ("kind", "settings", "processes", "refusal"),
    [
        (
            "grpo",
            "prompts_per_step = 6",
            4,
            "prompts_per_step 6 cannot be .* over 4 processes: set it to 4 or 8",
        ),
        (
            "grpo",
            "prompts_per_step = 3",
            8,
            "prompts_per_step 3 cannot be .* over 8 processes: set it to 8",
        ),
        ("grpo", "extra_groups = 3", 2, "extra_groups 3 cannot be .* over 2 processes: set it to 2 or 4"),
        ("grpo", "micro_batch_size = 24", 2, "micro_batch_size 24 does not divide the 64 rows"),
        ("sft", "batch_size = 63", 2, "batch_size 63 cannot be .* over 2 processes: set it to 62 or 64"),
    ],
)
def test_what_does_not_fit_the_processes_is_refused_with_numbers_that_do(
    tmp_path, monkeypatch, tiny_model, kind, settings, processes, refusal
):
    file = tmp_path / "run.toml"
    file.write_text(tiny_model + GRPO.replace("KIND", kind) + settings)
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    with pytest.raises(UserError, match=refusal):
        check(load_config(str(file), []))


def test_a_run_of_several_processes_that_no_launcher_started_is_one_line(tmp_path, monkeypatch, capsys, tiny_model):
    file = tmp_path / "run.toml"
    file.write_text(tiny_model + GRPO.replace("KIND", "grpo"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["run", str(file), "--run-dir", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err == (
        "rlvr: WORLD_SIZE=2 is set and RANK is not: start the run with torchrun or accelerate launch, or unset "
        "WORLD_SIZE\n"
    )
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("RANK", "one")
    assert main(["run", str(file), "--run-dir", str(tmp_path / "run")]) == 2
    assert "rlvr: RANK=one is no number of a process: unset it, or let torchrun set it\n" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["two", "0", "-1"])
def test_a_world_size_that_is_no_number_of_processes_is_one_line(monkeypatch, capsys, number):
    monkeypatch.setenv("WORLD_SIZE", number)
    assert main(["run", "quickstart", "--check"]) == 2
    assert capsys.readouterr().err == (
        f"rlvr: WORLD_SIZE={number} is no number of processes: unset it, or let torchrun set it\n"
    )
