"""Kills training at random moments, resumes it each time, and compares it byte for byte with training left in peace.

    python scripts/kill_and_compare.py                         # 20 kills of 60 steps of GRPO
    python scripts/kill_and_compare.py dynamic lora --kills 5  # other ways to train; see WAYS

A tiny model is trained by GRPO once without a kill. Then the same run is killed (SIGKILL) as often as asked, in turn
while it samples, scores, goes backward and writes a checkpoint, each time somewhere in the steps that are left, and at
last let go on to its end. Exit code 0: the weights have the same SHA-256, and trace rows and metrics are the same but
for times; otherwise 1.

The killed process says through a pipe when a part of a step begins; a random moment of that part later it is killed
from outside.
"""

import argparse
import hashlib
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import wraps
from pathlib import Path
from typing import Any

from rlvr.traces.store import read_shards, shards

CONFIG = """
threads = 1
[model.scratch]
hidden_size = 32
intermediate_size = 64
num_layers = 2
num_heads = 2
num_kv_heads = 2
vocab_size = 330
context_length = 256
[env]
name = "FOLDER/few.py:Few"
[reward]
expression = "'FOLDER/varied.py:varied'"
[[stage]]
kind = "grpo"
steps = STEPS
prompts_per_step = 4
group_size = 4
max_new_tokens = 12
save_steps = 5
learning_rate = 1e-3
"""
REWARD = """
from rlvr_rewards import reward

@reward
def varied(completion: str) -> float:
    '''A score that nobody can foresee; many completions earn the same, so that some groups are without variance.'''
    return 1.0 if completion.endswith("</answer>") else (sum(completion.encode()) % 3 == 0) * 0.5
"""
ENV = """
from dataclasses import dataclass
from itertools import islice

from rlvr_envs.library.arithmetic import Arithmetic

@dataclass(frozen=True)
class Few(Arithmetic):
    '''Some sums, and no more: training goes through them again and again.'''

    tasks: int = 1000

    def rows(self, split, seed):
        return islice(super().rows(split, seed), self.tasks)
"""
WAYS: dict[str, list[str]] = {
    "plain": [],
    "dynamic": ["stage.grpo.extra_groups=4"],
    "epochs": ["env.tasks=27"],
    "micro": ["stage.grpo.micro_batch_size=4"],
    "curriculum": [
        *("stage.grpo.curriculum.start=1.0", "stage.grpo.curriculum.step=0.02", "stage.grpo.extra_groups=4"),
        *("env.tasks=120", "stage.grpo.trl.logging_steps=3"),
    ],
    "lora": ["stage.grpo.lora.r=4", "stage.grpo.lora.dropout=0.1"],
    "iterations": ["stage.grpo.trl.num_iterations=2", "env.tasks=27", "stage.grpo.trl.logging_steps=3"],
    "reference": [
        *("stage.grpo.trl.beta=0.05", "stage.grpo.trl.sync_ref_model=true", "stage.grpo.trl.ref_model_sync_steps=4")
    ],
}
PARTS = ("sampling", "reward", "backward", "checkpoint")
TIMES = {"time", "sample_s", "reward_s", "step_time", "completions_per_s"}
_CHILD = "--child"


def main() -> int:
    args = _arguments()
    rng, problems = random.Random(args.seed), []
    if unknown := {*args.ways} - {*WAYS}:
        raise SystemExit(f"no way to train is called {', '.join(unknown)}: there are {', '.join(WAYS)}")
    for way in args.ways or ["plain"]:
        with tempfile.TemporaryDirectory() as work:
            problems += [f"{way}: {each}" for each in _try(way, args.kills, args.steps, rng, Path(work))]
    print("\n".join(problems) or "the same, byte for byte")
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"any of {', '.join(WAYS)}")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    return parser.parse_args()


def _try(way: str, kills: int, steps: int, rng: random.Random, work: Path) -> list[str]:
    """Trains once in peace and once killed; what differs, if anything."""
    config = CONFIG.replace("FOLDER", str(work)).replace("STEPS", str(steps))
    for name, text in (("varied.py", REWARD), ("few.py", ENV), ("run.toml", config)):
        (work / name).write_text(text)
    command = ["run", str(work / "run.toml"), *(part for each in WAYS[way] for part in ("--set", each))]
    whole, killed = work / "whole/run", work / "killed/run"
    lasts = _Attempt(command, whole).to_its_end()
    print(f"{way}: in peace; " + ", ".join(f"{name} takes {lasts[name] * 1000:.1f} ms" for name in PARTS), flush=True)
    marks = sorted(rng.randint(1, steps - 6) for _ in range(kills))
    hit: Counter[str] = Counter()
    for mark, part in zip(marks, itertools.cycle(PARTS), strict=False):
        died = _Attempt(command, killed).killed_in(part, mark, rng.random() * lasts[part])
        hit[died] += 1
    _Attempt(command, killed).to_its_end()
    print(f"  {kills} kills: " + ", ".join(f"{count} in {part}" for part, count in hit.most_common()), flush=True)
    return _differences(whole, killed)


class _Attempt:
    """A process that trains, and says when a part of a step begins and ends."""

    def __init__(self, command: Sequence[str], run: Path) -> None:
        run.parent.mkdir(exist_ok=True)
        heard, told = os.pipe()
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115 - read where it failed, gone with this
        self.process = subprocess.Popen(
            [sys.executable, __file__, _CHILD, str(told), *command, "--run-dir", str(run)],
            stdout=self.output,
            stderr=subprocess.STDOUT,
            pass_fds=[told],
        )
        os.close(told)
        self.said = (json.loads(line) for line in os.fdopen(heard))
        self.under_way: dict[str, float] = {}

    def to_its_end(self) -> dict[str, float]:
        """How many seconds each part took at its median."""
        took: dict[str, list[float]] = {part: [] for part in PARTS}
        for part, begins, _, at in self.said:
            if not begins:
                took[part].append(at - self.under_way[part])
            self.under_way[part] = at
        self._end_with(0)
        return {part: sorted(each)[len(each) // 2] if each else 0.0 for part, each in took.items()}

    def killed_in(self, wanted: str, mark: int, delay_s: float) -> str:
        """Kills it a while after it began a part of a step, the marked one or a later; says what was under way."""
        for part, begins, step, _ in self.said:
            if part == wanted and begins and step >= mark:
                break
        time.sleep(delay_s)
        self.process.kill()
        under_way = {wanted}
        for part, begins, _, _ in self.said:  # what it still said before it died
            (under_way.add if begins else under_way.discard)(part)
        self._end_with(-9)
        return " and ".join(sorted(under_way)) or "between two parts"

    def _end_with(self, code: int) -> None:
        if self.process.wait() != code:
            self.output.seek(0)
            raise SystemExit(f"the run ended with {self.process.returncode}:\n{self.output.read()[-3000:]}")


def _differences(whole: Path, killed: Path) -> list[str]:
    """What is not the same in both, and in each case how much there is and a checksum of it."""
    found = []
    for what, contents in {"weights": _weights, "trace rows": _rows, "metrics": _metrics}.items():
        expected, there = contents(whole), contents(killed)
        print(f"  {what}: {len(expected)}, {_digest(expected)} in peace, {_digest(there)} killed", flush=True)
        if not expected or expected != there:
            first = next((pair for pair in itertools.zip_longest(expected, there) if pair[0] != pair[1]), None)
            found.append(f"{what} differ, first {str(first)[:1500]}")
    return found


def _weights(run: Path) -> list[tuple[str, str]]:
    """Each file of weights with its SHA-256."""
    paths = sorted((run / "models/grpo").glob("*.safetensors"))
    return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths]


def _rows(run: Path) -> list[dict[str, Any]]:
    """Every trace row, in order, without times."""
    tables = [table for _, table in read_shards(shards(run / "traces"), print)]
    return [_without_times(row) for table in tables for row in table.to_pylist()]


def _metrics(run: Path) -> list[dict[str, Any]]:
    return [_without_times(json.loads(line)) for line in (run / "metrics.jsonl").read_text().splitlines()]


def _without_times(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in TIMES}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _child(pipe: int, argv: list[str]) -> int:
    """What is killed: `rlvr`, with its parts announced."""
    from rlvr.pipeline.environment import prepare_process

    prepare_process()
    from accelerate import Accelerator
    from transformers import Trainer

    from rlvr.cli import main as rlvr
    from rlvr.engine.rollout import Rollout
    from rlvr.engine.trainer import GroupTrainer
    from rlvr.pipeline.checkpoint_writing import CheckpointWriter

    step = 0

    def say(part: str, begins: bool) -> None:
        os.write(pipe, json.dumps([part, begins, step, time.perf_counter()]).encode() + b"\n")

    def announced(owner: type, name: str, part: str, says: tuple[bool, ...] = (True, False)) -> None:
        work = getattr(owner, name)

        @wraps(work)
        def announcing(self: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal step
            if isinstance(self, GroupTrainer):
                step = self.state.global_step + (part != "checkpoint")
            if True in says:
                say(part, True)
            try:
                return work(self, *args, **kwargs)
            finally:
                if False in says:
                    say(part, False)

        setattr(owner, name, announcing)

    announced(GroupTrainer, "_sample", "sampling")
    announced(Rollout, "score", "reward")
    announced(Accelerator, "backward", "backward")
    announced(Trainer, "_save_checkpoint", "checkpoint", (True,))
    announced(CheckpointWriter, "on_save", "checkpoint", (False,))
    return rlvr(argv)


if __name__ == "__main__":
    sys.exit(_child(int(sys.argv[2]), sys.argv[3:]) if sys.argv[1:2] == [_CHILD] else main())
