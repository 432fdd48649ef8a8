"""What a sandbox costs: milliseconds from start to end, completions a second, and by how much memory is overshot.

    python benchmarks/sandbox.py

Each backend that is safe here, on code that is trivial, so that the sandbox is what is measured.
"""

import os
import platform
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from rlvr_rewards.sandbox import Backend, Limits, call_function, check_asserts, run_program, why_not

CODE = "def f(xs, n):\n    return [x * n for x in xs]\n"
PROGRAM = "print(sum(map(int, input().split())))\n"
GIVEN = [[1, 2, 3], 2]
HOARDERS = """
import os, time
def f():
    for _ in range(6):
        if not os.fork():
            held = []
            while True: held.append(bytearray(b"x") * 2**20)
    time.sleep(20)
"""
NUM_TIMED, NUM_PARALLEL = 25, 100


def main() -> None:
    """Prints one line for each measurement."""
    num_cores = len(os.sched_getaffinity(0))
    print(f"{platform.machine()}, {num_cores} cores, Linux {platform.release()}, Python {platform.python_version()}")
    for backend in Backend:
        if said := why_not(backend):
            print(f"{backend}: {said}")
            continue
        print(f"{backend}, median of {NUM_TIMED} in ms: {_milliseconds(backend)}")
        print(
            f"{backend}, {num_cores} at once, 10 tests each: {_per_second(backend, num_cores):.0f} completions a second"
        )
        start = time.perf_counter()
        outcome = call_function(HOARDERS, "f", [[]], Limits(memory_mb=256), backend=backend)
        print(f"{backend}, 6 processes hoarding: {outcome.ending} after {time.perf_counter() - start:.2f} s")


def _milliseconds(backend: Backend) -> str:
    tasks = {
        "1 test": lambda: call_function(CODE, "f", [GIVEN], backend=backend),
        "10 tests": lambda: call_function(CODE, "f", [GIVEN] * 10, backend=backend),
        "10 programs": lambda: run_program(PROGRAM, ["1 2 3"] * 10, backend=backend),
        "10 assertions": lambda: check_asserts(CODE, ["assert f([1], 2) == [2]"] * 10, backend=backend),
    }
    return ", ".join(f"{name} {_median_ms(task):.1f}" for name, task in tasks.items())


def _median_ms(task: object) -> float:
    assert callable(task)
    task()
    times = []
    for _ in range(NUM_TIMED):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def _per_second(backend: Backend, num_threads: int) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(lambda _: call_function(CODE, "f", [GIVEN] * 10, backend=backend), range(NUM_PARALLEL)))
    return NUM_PARALLEL / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
