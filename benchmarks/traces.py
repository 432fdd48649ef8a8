"""How fast a run of a million completions is opened and searched, in how much memory, and what writing traces costs.

    python benchmarks/traces.py                 every case, in a temporary folder that is removed at the end
    python benchmarks/traces.py make FOLDER --steps 2000 --groups 63 --size 8     one synthetic run, to browse

Every measurement is a process of its own, so that imports count and its peak memory is its own (VmHWM, file pages that
the kernel may drop at any time included). Files are read once before: warm. Times are wall-clock on this machine as it
is; a second line gives the CPU seconds, which a busy machine does not stretch.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.traces.encoding import ENCODING
from rlvr.traces.schema import SCHEMA, TraceRow
from rlvr.traces.shards import Shard
from rlvr.traces.store import TraceWriter

WORDS = np.array(
    [
        "so",
        "we",
        "add",
        "the",
        "first",
        "and",
        "second",
        "number",
        "carry",
        "one",
        "then",
        "check",
        "again",
        "wait",
        "that",
        "is",
        "not",
        "right",
        "total",
    ]
)
FILTER = "reward < 0.2 and parts.format == 1 and length > 150"


def step_table(step: int, num_groups: int, size: int) -> pa.Table:
    """The rows of a step: about 600 characters a completion, 150 tokens with their log-probs."""
    rng, numpy_rng = random.Random(step), np.random.default_rng(step)
    rows = num_groups * size
    drawn = numpy_rng.integers(0, len(WORDS), (rows, 120))
    thoughts = [f"<think>{' '.join(WORDS[each])}</think><answer>{rng.randrange(100)}</answer>" for each in drawn]
    correct = numpy_rng.random(rows) < 0.2 + 0.6 * min(step, 2000) / 2000
    formed = numpy_rng.random(rows) < 0.9
    reward = correct + 0.1 * formed
    tokens = numpy_rng.integers(100, 200, rows)
    numbers = numpy_rng.integers(0, 4096, int(tokens.sum()), dtype=np.int32)
    offsets = pa.array(np.r_[0, np.cumsum(tokens)].astype(np.int32))
    logprobs = np.log(numpy_rng.random(len(numbers), dtype=np.float32) + 1e-6).astype(np.float32)
    group = np.repeat(np.arange(num_groups, dtype=np.int32), size)
    tasks = [f"t{rng.randrange(10_000):05d}" for _ in range(num_groups)]
    mean, std = (f(reward.reshape(num_groups, size), axis=1)[group] for f in (np.mean, np.std))
    columns = {
        "run": ["synthetic"] * rows,
        "stage": ["grpo"] * rows,
        "split": ["train"] * rows,
        "env": ["arithmetic"] * rows,
        "step": np.full(rows, step, np.int32),
        "group": group,
        "sample": np.tile(np.arange(size, dtype=np.int32), num_groups),
        "attempt": np.zeros(rows, np.int32),
        "task_id": [tasks[g] for g in group],
        "task": [json.dumps({"question": f"What is {g} and {step}?", "answer": str(g + step)}) for g in group],
        "messages": [json.dumps([{"role": "user", "content": f"What is {g} and {step}? Think first."}]) for g in group],
        "gold": [f"<answer>{g + step}</answer>" for g in group],
        "completion": thoughts,
        "token_ids": pa.ListArray.from_arrays(offsets, pa.array(numbers)),
        "logprobs": pa.ListArray.from_arrays(offsets, pa.array(logprobs)),
        "finish_reason": np.where(tokens > 195, "length", "stop"),
        "parts": [[("correct", float(c)), ("format", float(f))] for c, f in zip(correct, formed, strict=True)],
        "errors": [[]] * rows,
        "info": ["{}"] * rows,
        "reward": reward,
        "success": correct,
        "advantage": (reward - mean) / (std + 1e-4),
        "kept": np.ones(rows, bool),
        "seed": numpy_rng.integers(0, 2**62, rows),
        "policy_version": np.full(rows, step - 1, np.int32),
        "prompt_tokens": np.full(rows, 20, np.int32),
        "completion_tokens": tokens.astype(np.int32),
        "time": np.full(rows, 1.7e9 + step),
    }
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type) for f in SCHEMA]
    return pa.table(arrays, schema=SCHEMA)


def make_run(folder: Path, steps: int, num_groups: int, size: int) -> None:
    """A synthetic run, written as TraceWriter writes: the same row groups, the same catalog."""
    from rlvr.traces.catalog import append
    from rlvr.traces.entries import entry
    from rlvr.traces.reading import rows_at_once
    from rlvr.traces.schema import TRACE_VERSION
    from rlvr.traces.tally import added, tally_of

    traces = folder / "traces"
    traces.mkdir(parents=True)
    at_once = max(1, 20_000 // size)  # groups made at a time
    for step in range(1, steps + 1):
        shard = Shard.of(traces, "grpo", "train", step)
        tallies = []
        with pq.ParquetWriter(shard.path, SCHEMA, **ENCODING) as file:
            for first in range(0, num_groups, at_once):
                table = step_table(step + first, min(at_once, num_groups - first), size)
                moved = {"group": np.asarray(table["group"]) + first, "step": np.full(len(table), step)}
                for name, values in moved.items():
                    place = table.column_names.index(name)
                    table = table.set_column(place, SCHEMA.field(name), pa.array(values, pa.int32()))
                file.write_table(table, row_group_size=rows_at_once(table))
                tallies.append(tally_of(table))
        append(traces, [entry(shard.path, shard.path.stat(), TRACE_VERSION, (), [shard], [added(tallies)])])
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, steps + 1):
            line = {"stage": "grpo", "step": step, "reward": step / steps, "entropy": 1 / step, "kl": 0.01, "loss": 0.1}
            file.write(json.dumps({**line, **{f"other/{n}": 0.5 for n in range(20)}}) + "\n")


OPEN = """
from rlvr.traces.index import TraceIndex
index = TraceIndex.open(FOLDER)
steps = index.steps()
curves = index.curves("grpo")
groups = index.groups(steps[-1].stage, steps[-1].split, steps[-1].step)[:40]
rows = index.rows(groups[0].key)
assert len(rows) == len(groups[0].samples) and steps[-1].reward is not None
"""
REBUILD = OPEN.replace("steps = index", "index.refresh()\nsteps = index")
SEARCH = """
from rlvr.traces.index import TraceIndex
from rlvr.traces.find import find, Sort
from rlvr.traces.query import parse_filter
from rlvr.traces.search import Search, Where
index = TraceIndex.open(FOLDER)
index.groups("grpo", "train", 1)  # what the screen shows before anyone asks
timer.start()
found = find(index, **QUESTION)
timer.stop(f"{len(found):,} of {found.num_scanned:,} rows")
"""
SORT = """
from rlvr.traces.index import TraceIndex
index = TraceIndex.open(FOLDER)
groups = index.groups("grpo", "train", 1)
timer.start()
ordered = groups.sorted_by("disagreement", descending=True)[:40]
timer.stop(f"{len(groups):,} groups")
"""
COMPACT = """
from pathlib import Path
from rlvr.traces.compact import compact
done = compact(Path(FOLDER) / "traces", Path(FOLDER))
note = f"{done.files_before:,} files to {done.files_after:,}"
"""
FRAME = """
import re, sys, time
class Timer:
    wall = cpu = None
    def start(self): self.at, self.cpu_at = time.perf_counter(), time.process_time()
    def stop(self, note):
        self.wall, self.cpu, self.note = time.perf_counter() - self.at, time.process_time() - self.cpu_at, note
timer, note, FOLDER = Timer(), "", {folder!r}
timer.start(); timer.started = timer.at
{code}
if timer.wall is None: timer.stop(note)
peak = re.search(r"VmHWM:[^0-9]*([0-9]+)", open("/proc/self/status").read())[1]  # maxrss would count the parent's
print(timer.wall, timer.cpu, int(peak) / 1024, timer.note, sep="|")
"""


def measured(title: str, code: str, folder: Path, repeats: int = 3, before: Callable[[], object] | None = None) -> None:
    """Runs code in processes of their own and prints the median of the times and the highest peak memory."""
    found = []
    for _ in range(repeats):
        if before:
            before()
        script = FRAME.format(folder=str(folder), code=code)
        out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
        wall, cpu, peak, note = out.strip().splitlines()[-1].split("|")
        found.append((float(wall), float(cpu), float(peak), note))
    wall, cpu = (sorted(each[place] for each in found)[len(found) // 2] for place in (0, 1))
    peak = max(each[2] for each in found)
    print(f"| {title} | {wall:.2f} s | {cpu:.2f} s | {peak:.0f} MB | {found[0][3]} |", flush=True)


def cases(folder: Path) -> Iterator[tuple[str, str]]:
    """The questions asked of a large run."""
    yield "open, steps, curves, one group (imports included)", OPEN
    for title, question in (
        (f"filter `{FILTER}`", f"filter=parse_filter({FILTER!r})"),
        ("text in completions, plain", 'search=Search("wait that is the second")'),
        ("filter, sorted by advantage", f'filter=parse_filter({FILTER!r}), sort=Sort("advantage", True)'),
        ("text in completions, regex", r'search=Search(r"wait\W+that (is|was) \w+ right 0\.1234", regex=True)'),
        ("text in prompts", 'search=Search("what is 7 and 1999", where=Where.PROMPTS)'),
        ("filter and regex", f'filter=parse_filter({FILTER!r}), search=Search("one (one )+one", regex=True)'),
    ):
        yield title, SEARCH.replace("**QUESTION", question)


def large(folder: Path) -> None:
    heading("A million completions in 2,000 steps", lambda: make_run(folder, 2000, 63, 8))
    for title, code in cases(folder):
        measured(title, code, folder)
    index = folder / "traces" / ".index.jsonl"
    measured("open where the index file has yet to be made", REBUILD, folder, 1, before=index.unlink)
    measured("compact", COMPACT, folder, 1)
    for title, code in list(cases(folder))[:4]:
        measured(f"once compacted: {title}", code, folder)


def one_step(folder: Path) -> None:
    heading("Half a million completions in one step", lambda: make_run(folder, 1, 62_500, 8))
    measured("open, steps, groups, one group", OPEN, folder)
    measured("groups by disagreement", SORT, folder)
    measured(f"filter `{FILTER}`", SEARCH.replace("**QUESTION", f"filter=parse_filter({FILTER!r})"), folder)


def many_shards(folder: Path) -> None:
    heading("20,000 small shards", lambda: make_run(folder, 20_000, 2, 8))
    question = SEARCH.replace("**QUESTION", f"filter=parse_filter({FILTER!r})")
    measured("open, steps, curves, one group", OPEN, folder)
    measured(f"filter `{FILTER}`", question, folder, repeats=1)
    measured("compact", COMPACT, folder, repeats=1)
    measured("open, once compacted", OPEN, folder)
    measured("filter, once compacted", question, folder)


def writing(folder: Path) -> None:
    """What the trainer waits for its traces in a step of the quickstart: 256 completions of some 25 tokens."""
    row = TraceRow(
        run="r", stage="grpo", split="train", env="scheduling", step=1, group=0, sample=0, task_id="t" * 16,
        task={"events": [["A", "00:00", "04:00"]] * 5, "optimal_score": 660, "priority_events": ["E"]},
        messages=[{"role": "user", "content": "A0-4 B0-5 C2-6 D6-8 E6-9*"}], gold="<schedule>E6-9</schedule>",
        completion="<think>E6 D6 C7 B7 A7</think><schedule>A0-5 E6-</schedule>", token_ids=list(range(25)),
        logprobs=[-0.5] * 25, finish_reason="stop", parts={"optimum_ratio": 0.5, "success": 0.0}, errors={}, reward=0.5,
        success=False, seed=1, policy_version=0, prompt_tokens=29, sample_s=0.1, reward_s=0.1, time=1.7e9,
    )  # fmt: skip
    recorded = {"entropies": [0.5] * 25, "alternatives": [[(n, -1.5), (n + 1, -2.5), (n + 2, -3.5)] for n in range(25)]}
    print("\n## Writing\n")
    for title, more in (("256 rows of a quickstart step", {}), ("with 3 alternatives of every token", recorded)):
        rows = [TraceRow(**{**vars(row), **more, "group": n // 16, "sample": n % 16}) for n in range(256)]
        writer, times = TraceWriter(folder / "traces", "grpo", "train"), []
        for step in range(1, 201):
            started = time.process_time()
            writer.write(step, rows)
            times.append(time.process_time() - started)
        size = Shard.of(folder / "traces", "grpo", "train", 1).path.stat().st_size
        median = 1000 * sorted(times)[len(times) // 2]
        print(f"{title}: {median:.1f} ms of CPU time, median of {len(times)} steps; {size / 1000:.0f} KB a step")


def heading(title: str, make: Callable[[], None]) -> None:
    started = time.perf_counter()
    make()
    print(f"\n## {title}\n\nmade in {time.perf_counter() - started:.0f} s\n")
    print("| | time | CPU | peak memory | |\n|---|---:|---:|---:|---|", flush=True)


CASES = {"large": large, "one-step": one_step, "many-shards": many_shards, "writing": writing}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", choices=("all", "make", *CASES), default="all")
    parser.add_argument("folder", nargs="?", type=Path, help="where make writes to")
    for name, default in (("steps", 2000), ("groups", 63), ("size", 8)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    if args.case == "make":
        make_run(args.folder, args.steps, args.groups, args.size)
        return
    for name in CASES if args.case == "all" else [args.case]:
        home = Path(tempfile.mkdtemp(prefix="rlvr-traces-"))
        try:
            CASES[name](home / "run")
        finally:
            shutil.rmtree(home)


if __name__ == "__main__":
    main()
