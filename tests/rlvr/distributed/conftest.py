"""Runs of two processes on the CPU, as torchrun starts them; a reward sends the signals, so none comes by chance."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the train extra")

CONFIGS = Path(__file__).parents[3] / "configs/accelerate"

CONFIG = """
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
kind = "grpo"
name = "one"
steps = 1
prompts_per_step = 4
group_size = 4
max_new_tokens = 12
[stage.trl]
warmup_steps = 0
[[stage]]
kind = "grpo"
name = "three"
algorithm = "dr_grpo"
steps = 3
save_steps = 1
prompts_per_step = 4
group_size = 4
micro_batch_size = 4
max_new_tokens = 12
[[stage]]
kind = "evaluate"
models = ["three"]
num_tasks = 8
max_new_tokens = 12
"""

FATEFUL = """
import os, signal
from pathlib import Path
from rlvr_rewards import reward

FATE = Path(__file__).with_name("fate")
calls = 0

@reward
def fateful(completion: str) -> float:
    '''Another number for most texts; and once, at the call and in the process that `fate` names, a signal.'''
    global calls
    calls += not completion.endswith("</answer>")  # golds, which a run tries first
    if FATE.exists():
        rank, call, what = FATE.read_text().split()
        if os.environ.get("RANK", "0") == rank and calls == int(call):
            FATE.unlink()
            os.kill(os.getpid() if what in ("KILL", "USR1") else os.getppid(), getattr(signal, f"SIG{what}"))
    return sum(completion.encode()) % 97 / 97
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Path:
    """A folder with a config and its reward."""
    path = tmp_path_factory.mktemp("distributed")
    (path / "fateful.py").write_text(FATEFUL)
    (path / "run.toml").write_text(tiny_model + CONFIG.replace("FOLDER", str(path)))
    return path


@pytest.fixture(scope="session")
def started(folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a config of the folder with one process, or with several under torchrun or accelerate."""

    def start(
        where: str, *arguments: str, processes: int = 1, accelerate: bool = False, config: str = "run.toml"
    ) -> subprocess.CompletedProcess[str]:
        run = ["rlvr", "run", str(folder / config), "--run-dir", str(folder / where / "run"), *arguments]
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        if accelerate:
            launcher = ["-m", "accelerate.commands.launch", f"--config_file={CONFIGS / 'ddp-cpu.yaml'}"]
        command = [sys.executable, *(launcher if processes > 1 else []), "-m", *run]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, env=_environment())

    return start


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def started_script(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs a script in two processes under torchrun."""

    def start(script: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path_factory.mktemp("script") / "script.py"
        file.write_text(script)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(file)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=_environment())

    return start
