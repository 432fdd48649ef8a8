"""Whole runs small enough for tests: a network of one layer, three steps a stage, and signals sent by a reward."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the train extra")

from rlvr.cli import main
from rlvr.traces.store import read_shard

CONFIG = """
[env]
name = "arithmetic"
largest = 9
[reward]
expression = "'FOLDER/fateful.py:fateful'"
[[stage]]
kind = "sft"
steps = 3
batch_size = 4
num_examples = 8
save_steps = 1
[[stage]]
kind = "grpo"
steps = 4
prompts_per_step = 2
group_size = 2
max_new_tokens = 4
save_steps = 1
[[stage]]
kind = "evaluate"
num_tasks = 2
max_new_tokens = 4
models = ["sft", "grpo"]
"""

FATEFUL = """
import os, resource, signal
from pathlib import Path
from rlvr_rewards import reward

FOLDER = Path(__file__).parent

@reward
def fateful(completion: str) -> float:
    '''Does what `fate` says at the call it names, once; otherwise scores by the completion's bytes.

    Golds, which a run tries the reward on before it starts, are not counted.
    '''
    if completion.endswith("</answer>"):
        return 1.0
    calls = FOLDER / "calls"
    calls.write_text(calls.read_text() + "." if calls.exists() else ".")
    fate = FOLDER / "fate"
    if fate.exists():
        call, what = fate.read_text().split()
        if len(calls.read_text()) == int(call):
            fate.unlink()
            if what.startswith("disk"):
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(what[4:]), -1))
            else:
                os.kill(os.getpid(), getattr(signal, what))
    if (FOLDER / "broken").exists():
        raise ZeroDivisionError("no luck")
    return sum(completion.encode()) % 7 / 7
"""


class Workshop:
    """A folder with a config, a reward that can be told to do harm, and runs."""

    def __init__(self, path: Path, model: str) -> None:
        self.path, self.run_dir, self.config = path, path / "run", "run.toml"
        (path / "run.toml").write_text(model + CONFIG.replace("FOLDER", str(path)))
        (path / "fateful.py").write_text(FATEFUL)

    def run(self, *sets: str, flags: Sequence[str] = ()) -> int:
        """`rlvr run` in this process; each of `sets` is a `--set`."""
        return main([*self.argv(*sets)[1:], *flags])

    def argv(self, *sets: str) -> list[str]:
        options = [part for each in sets for part in ("--set", each)]
        return ["rlvr", "run", str(self.path / self.config), "--run-dir", str(self.run_dir), *options]

    def fate(self, call: int, what: str) -> None:
        """At the reward's `call`-th call: a signal's name, or `diskN`: files of N bytes at most."""
        (self.path / "fate").write_text(f"{call} {what}")

    def metric_steps(self, stage: str) -> list[int]:
        lines = map(json.loads, (self.run_dir / "metrics.jsonl").read_text().splitlines())
        return [line["step"] for line in lines if line["stage"] == stage]

    def trace_steps(self, stage: str) -> list[int]:
        """The step of every row of a training stage."""
        paths = sorted((self.run_dir / "traces").glob(f"{stage}.train.*.parquet"))
        return [step for path in paths for step in read_shard(path)["step"].to_pylist()]

    def is_finished(self) -> bool:
        stages = json.loads((self.run_dir / "manifest.json").read_text())["stages"]
        return [s["status"] for s in stages] == ["done"] * 3


@pytest.fixture
def workshop(tmp_path: Path, tiny_model: str) -> Workshop:
    return Workshop(tmp_path, tiny_model)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_model: str) -> Workshop:
    """A run that went through; do not change it."""
    made = Workshop(tmp_path_factory.mktemp("finished"), tiny_model)
    assert made.run() == 0
    return made


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """What was printed since the last call, both streams, with one blank between words."""

    def read() -> str:
        captured = capsys.readouterr()
        return " ".join((captured.out + captured.err).split())

    return read
