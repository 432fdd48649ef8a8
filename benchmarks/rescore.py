"""How fast a run is scored again, and in how much memory: 100,000 completions, a million, half a million in one step.

    python benchmarks/rescore.py                        makes the runs in a temporary folder that is removed at the end
    python benchmarks/rescore.py --runs FOLDER          keeps them there, and takes those that are there already

Every measurement is a process of its own, imports included, in wall-clock time on this machine as it is. Memory is the
peak of each process (VmHWM), the first one's and then its workers'. The completions are those of benchmarks/traces.py,
about 600 characters each, eight to a group.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from traces import make_run

REWARD = "exact_number + 0.1*think_format"
RUNS = {
    "100,800 in 200 steps": (200, 63, 8),
    "1,008,000 in 2,000 steps": (2000, 63, 8),
    "500,000 in one step": (1, 62_500, 8),
}
CODE = """
import multiprocessing, re, threading, time
from rlvr.rescore import rescore

def peak_mb(pid):
    try:
        return int(re.search(r"VmHWM:[^0-9]*([0-9]+)", open(f"/proc/{{pid}}/status").read())[1]) / 1024
    except (OSError, TypeError):
        return 0.0

def watch():
    while True:
        for process in multiprocessing.active_children():
            peaks[process.pid] = max(peaks.get(process.pid, 0.0), peak_mb(process.pid))
        time.sleep(0.1)

if __name__ == "__main__":
    peaks = {{}}
    threading.Thread(target=watch, daemon=True).start()
    started = time.perf_counter()
    found = rescore({run!r}, {reward!r}, workers={workers})
    seconds = time.perf_counter() - started
    memory = " + ".join(f"{{each:.0f}}" for each in [peak_mb("self"), *peaks.values()])
    total = found.total
    print(f"{{seconds:.1f}} s | {{total.num_rows / seconds:,.0f}} | {{memory}} MB | {{total.groups.changed:,}}")
"""


def measured(run: Path, workers: int, folder: Path) -> str:
    script = folder / "measure.py"  # a file: the workers import it
    script.write_text(CODE.format(run=str(run), reward=REWARD, workers=workers))
    return subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, help="keep the runs here")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="rlvr-rescore-"))
    try:
        print(f"{REWARD}\n\n| completions | processes | time | a second | peak memory | groups that change |")
        print("|---|---:|---:|---:|---:|---:|", flush=True)
        for title, size in RUNS.items():
            run = (args.runs or home) / "-".join(map(str, size))
            if not run.exists():
                make_run(run, *size)
            for workers in args.workers:
                print(f"| {title} | {workers} | {measured(run, workers, home)} |", flush=True)
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
