"""Kills a run at random moments, starts it again until it is complete, and looks for what was done twice or lost.

    python scripts/kill_and_continue.py                    # 10 moments over a tiny pipeline of its own
    python scripts/kill_and_continue.py quickstart --moments 5 --seed 3 --set stage.sft.steps=50

First the run goes through unbroken, which says how far there is to go and what a whole run holds. Then it is started in
another folder and killed (SIGKILL) as often as asked, each time somewhat further on and in every stage as often as in
the others, and at last left to finish. Exit code 0: whole, no finished stage was touched again, every step, completion,
result and file is there once; otherwise 1.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvr.traces.store import read_shards, shards

CONFIG = """
threads = 1
[model.scratch]
hidden_size = 32
intermediate_size = 64
num_layers = 1
num_heads = 2
num_kv_heads = 2
vocab_size = 330
context_length = 256
[env]
name = "arithmetic"
largest = 9
[reward]
expression = "'REWARD:varied'"
[[stage]]
kind = "sft"
steps = 60
batch_size = 16
learning_rate = 1e-2
num_examples = 80
save_steps = 7
[[stage]]
kind = "rft"
rounds = 2
steps = 12
batch_size = 4
num_tasks = 100
group_size = 4
max_new_tokens = 40
min_reward = 0.3
save_steps = 5
[stage.lora]
r = 4
[[stage]]
kind = "dpo"
steps = 20
batch_size = 4
num_tasks = 100
group_size = 4
max_new_tokens = 40
length_gap = 1.0
save_steps = 6
[stage.lora]
r = 4
[[stage]]
kind = "grpo"
steps = 40
prompts_per_step = 2
group_size = 4
max_new_tokens = 8
save_steps = 5
[stage.lora]
r = 4
[[stage]]
kind = "merge"
num_prompts = 64
[[stage]]
kind = "evaluate"
num_tasks = 400
max_new_tokens = 8
models = ["base", "sft", "rft", "dpo", "grpo", "merge"]
[[stage]]
kind = "export"
num_tasks = 100
max_new_tokens = 8
margin = 100
"""
REWARD = """
from rlvr_rewards import reward

@reward
def varied(completion: str) -> float:
    '''A score that nobody can foresee, so that the groups of a model that knows little differ.'''
    return 1.0 if completion.endswith("</answer>") else sum(completion.encode()) % 7 / 7
"""
_POLL_S = 0.02
_MOST_DELAY_S = 0.3

Done = dict[str, dict[str, Any]]


def main() -> int:
    args = _arguments()
    with tempfile.TemporaryDirectory() as made:
        work = Path(args.work or made)
        config = args.config or str(work / "tiny.toml")
        (work / "tiny.toml").write_text(CONFIG.replace("REWARD", str(work / "varied.py")))
        (work / "varied.py").write_text(REWARD)
        command = [sys.executable, "-m", "rlvr", "run", config]
        command += [part for each in args.sets for part in ("--set", each)]
        whole, broken = work / "whole", work / "broken"
        started = time.time()
        _finish(command, whole)
        print(f"unbroken: {time.time() - started:.0f} s, {_progress(whole)} marks on the way")
        marks = _marks(whole, args.moments, random.Random(args.seed))
        problems = _kill_and_continue(command, broken, marks)
        problems += _compare(whole, broken)
    print("\n".join(problems) or f"complete after {args.moments} kills: nothing twice, nothing lost")
    return 1 if problems else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", help="a config; by default a tiny pipeline of every kind of stage")
    parser.add_argument("--moments", type=int, default=10, help="how often it is killed")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--work", help="a folder that keeps both runs; by default they go")
    return parser.parse_args()


def _finish(command: Sequence[str], run: Path) -> str:
    done = subprocess.run([*command, "--run-dir", str(run)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the run failed with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _marks(whole: Path, moments: int, rng: random.Random) -> list[tuple[int, float]]:
    """How far the run has come, and how many seconds later it is killed; every stage gets its share of the moments."""
    entries, bounds = _entries(whole), [0]
    for entry in entries:
        lines = sum(_is_of(stage, entry["name"]) for stage, _ in _steps(whole).elements())
        files = {shard.path for policy in entry["traced"] for shard in shards(whole / "traces", *policy)}
        bounds.append(bounds[-1] + 1 + lines + len(files))
    bounds[-1] -= 1  # at the last of all marks there is nothing left to kill
    shares = [number * len(entries) // moments for number in range(moments)]
    return sorted((rng.randint(bounds[at] + 1, bounds[at + 1]), rng.random() * _MOST_DELAY_S) for at in shares)


def _is_of(logged: str, stage: str) -> bool:
    """Whether a line of metrics is a stage's own, or that of a round of it."""
    return logged == stage or logged.startswith(f"{stage}/")


def _kill_and_continue(command: Sequence[str], run: Path, marks: Sequence[tuple[int, float]]) -> list[str]:
    """Kills the run at each of the moments, and lets it finish at last."""
    problems: list[str] = []
    done: Done = {}
    for number, (mark, delay) in enumerate(marks, 1):
        stage = _kill_at(command, run, mark, delay)
        print(f"kill {number}: {_progress(run)} marks behind it, {stage} under way", flush=True)
        problems += _touched_again(done, _done(run), f"before kill {number}")
        done = _done(run)
    said = _finish(command, run)
    skipped = sum("finished before, skipped" in line for line in said.splitlines())
    print(f"the last start skipped {skipped} finished stages")
    return problems + _touched_again(done, _done(run), "in the last start")


def _kill_at(command: Sequence[str], run: Path, mark: int, delay: float) -> str:
    """Starts the run, kills it a moment after it has come so far, and says which stage was under way."""
    process = subprocess.Popen([*command, "--run-dir", str(run)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and _progress(run) < mark:
            time.sleep(_POLL_S)
        time.sleep(delay)
    finally:
        process.kill()
    if process.wait() != -9:
        raise SystemExit(f"the run ended with {process.returncode} before it could be killed")
    return next((entry["name"] for entry in _entries(run) if entry["status"] == "running"), "no stage")


def _progress(run: Path) -> int:
    """Marks on the way: stages begun, lines of metrics (steps), files of traces (samples, and policies evaluated)."""
    metrics = run / "metrics.jsonl"
    lines = metrics.read_text().count("\n") if metrics.exists() else 0
    return (
        len(_entries(run)) + lines + len([path for path in (run / "traces").glob("*.parquet") if path.name[0] != "."])
    )


def _entries(run: Path) -> list[dict[str, Any]]:
    manifest = run / "manifest.json"
    return json.loads(manifest.read_text())["stages"] if manifest.exists() else []


def _done(run: Path) -> Done:
    return {entry["name"]: entry for entry in _entries(run) if entry["status"] == "done"}


def _touched_again(before: Done, now: Done, when: str) -> list[str]:
    return [f"{name} was finished and done again {when}" for name in before if now.get(name) != before[name]]


def _compare(whole: Path, broken: Path) -> list[str]:
    """What the broken run has not once, or too much, beside the one that went through."""
    problems = [f"{e['name']} is {e['status']}" for e in _entries(broken) if e["status"] != "done"]
    for entry in _entries(broken):
        ended = (broken / f"logs/{entry['name']}.log").read_text().count(" rlvr.stage: done: ")
        problems += [f"{entry['name']} ended {ended} times"] if ended != 1 else []
    for what, contents in {"steps": _steps, "completions": _completions, "results": _results, "files": _files}.items():
        there, expected = contents(broken), contents(whole)
        print(f"{what}: {there.total()} of {expected.total()}")
        problems += [f"{what}: {extra.total()} too many" for extra in [there - expected] if extra]
        problems += [f"{what}: {missing.total()} missing" for missing in [expected - there] if missing]
    return problems + [f"left over: {path}" for path in _leftovers(broken)]


def _steps(run: Path) -> Counter[Any]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return Counter((line["stage"], line["step"]) for line in lines)


def _completions(run: Path) -> Counter[Any]:
    found: Counter[Any] = Counter()
    columns = ("stage", "split", "step", "group", "sample", "task_id")
    for _, table in read_shards(shards(run / "traces"), print, columns):
        found.update(tuple(row.values()) for row in table.to_pylist())
    return found


def _results(run: Path) -> Counter[Any]:
    rows = json.loads((run / "results.json").read_text())
    return Counter((row["stage"], row["split"], row["metric"]) for row in rows)


def _files(run: Path) -> Counter[Any]:
    """What stages made: models, GGUF files, what they learned from, and logs."""
    made = (path for folder in ("models", "gguf", "data", "logs") for path in (run / folder).rglob("*"))
    return Counter(str(path.relative_to(run)) for path in made if path.is_file())


def _leftovers(run: Path) -> list[Path]:
    """Checkpoints of finished stages, and what was written halfway."""
    return [*(run / "checkpoints").glob("*"), *run.rglob(".*.tmp"), *run.glob("replaced")]


if __name__ == "__main__":
    sys.exit(main())
