"""What an export to F16 takes, beside a plain copy of what it writes: time and peak memory, alternating.

python benchmarks/export.py [FOLDER]     # FOLDER, by default a temporary one, holds about 4 GB until the end

The model has the shape of Qwen2.5-0.5B with random float32 weights, about 2 GB on disk. Each measurement is a process
of its own: `rlvr export --no-verify` as a user would run it, the writing alone (`write_file`, compared with the copy),
and the copy, in blocks of 16 MiB. Writing and copy end with fsync: the disk is asked for the same.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from random_model import make_random_model

ROUNDS = 3
ALLOWED_GB, ALLOWED_RATIO = 3.0, 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="where the files go for a while")
    parser.add_argument("--one", nargs=3, metavar=("WHAT", "MODEL", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        measure_one(*args.one)
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        compare(Path(folder))


def compare(folder: Path) -> None:
    measured("make", folder)  # a process of its own too: what it needs must not count for those after it
    found: dict[str, list[tuple[float, float]]] = {"command": [], "write": [], "copy": []}
    for _ in range(ROUNDS):
        for what in found:
            found[what].append(measured(what, folder))
    for what, values in found.items():
        print(f"{what:<8} {median(s for s, _ in values):6.2f} s  peak {max(gb for _, gb in values):.2f} GB")
    ratios = sorted(write / copy for (write, _), (copy, _) in zip(found["write"], found["copy"], strict=True))
    peak = max(gb for what in ("command", "write") for _, gb in found[what])
    verdict = "within" if median(ratios) <= ALLOWED_RATIO and peak < ALLOWED_GB else "OVER"
    print(f"writing / copy: {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}); peak {peak:.2f} GB")
    print(f"{verdict} the {ALLOWED_RATIO:g} times and {ALLOWED_GB:g} GB allowed")


def measured(what: str, folder: Path) -> tuple[float, float]:
    """Seconds and gigabytes of one process."""
    command = [sys.executable, __file__, "--one", what, str(folder / "model"), str(folder / "out")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, peak = map(float, printed.split()[-2:])
    print(f"  {what:<8} {seconds:6.2f} s  {peak:.2f} GB", flush=True)
    return seconds, peak


def measure_one(what: str, model: str, out: str) -> None:
    """Does one thing and prints its seconds and the most memory that the process ever had, in GB of 10⁹ bytes."""
    do = {"make": make_model, "command": run_command, "write": write_alone, "copy": copy_alone}[what]
    seconds = do(Path(model), Path(out))
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    peak_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    print(seconds, peak_kb * 1024 / 1e9)


def run_command(model: Path, out: Path) -> float:
    from rlvr.cli import main as rlvr

    start = time.perf_counter()
    code = rlvr(["export", str(model), "--to", str(out), "--types", "F16", "--no-verify", "--force"])
    assert code == 0
    seconds = time.perf_counter() - start
    synced(out / f"{model.name}-F16.gguf")  # or the disk would be busy with it during the next measurement
    return seconds


def write_alone(model: Path, out: Path) -> float:
    from transformers import AutoTokenizer

    from rlvr.gguf.convert import plan_export, write_file
    from rlvr.gguf.credits import Credits
    from rlvr.gguf.file_types import FileType

    plan = plan_export(model, AutoTokenizer.from_pretrained(model), Credits())
    path = out / "alone.gguf"
    start = time.perf_counter()
    write_file(path, plan, FileType.F16)
    synced(path)
    seconds = time.perf_counter() - start
    path.unlink()
    return seconds


def copy_alone(model: Path, out: Path) -> float:
    source, path = out / f"{model.name}-F16.gguf", out / "copy.gguf"
    start = time.perf_counter()
    with source.open("rb") as read, path.open("wb") as write:
        while block := read.read(2**24):
            write.write(block)
    synced(path)
    seconds = time.perf_counter() - start
    path.unlink()
    return seconds


def synced(path: Path) -> None:
    import os

    with path.open("rb") as file:
        os.fsync(file.fileno())


def make_model(folder: Path, _: Path) -> float:
    make_random_model("0.5B", folder, "float32")
    return 0.0


if __name__ == "__main__":
    main()
