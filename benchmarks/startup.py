"""How long `rlvr --help` takes beside an interpreter that does nothing: medians of 10, alternating.

python benchmarks/startup.py
"""

import subprocess
import sys
import time
from statistics import median

ROUNDS = 10
TARGET_S = 0.4
COMMANDS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "rlvr --help": (sys.executable, "-m", "rlvr", "--help"),
    "rlvr envs": (sys.executable, "-m", "rlvr", "envs"),
}


def seconds_of(command: tuple[str, ...]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            times[name].append(seconds_of(command))
    for name, found in times.items():
        print(f"{name:<16} {median(found):.3f} s")
    help_s = median(times["rlvr --help"])
    print(f"rlvr --help: {'within' if help_s < TARGET_S else 'OVER'} the {TARGET_S} s allowed")


if __name__ == "__main__":
    main()
