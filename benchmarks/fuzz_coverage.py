"""Hostile texts found by what code they reach: coverage-guided fuzzing of what `benchmarks/fuzz.py` fuzzes at random.

pip install -r requirements/fuzz.txt                     # atheris (Apache-2.0): a wheel for Linux
python benchmarks/fuzz_coverage.py --seconds 120
python benchmarks/fuzz_coverage.py --only number --seconds 60

libFuzzer mutates texts that the targets can read, and keeps those that reach a branch nothing reached before. The first
fault ends it with an exit code that is not 0 and the text; without one its last lines say how many texts it tried.
"""

import argparse
import importlib
import sys
import tempfile
from pathlib import Path

try:
    atheris = importlib.import_module("atheris")  # by name, since no extra installs it for the type checker
except ImportError:
    sys.exit("fuzz_coverage.py needs atheris: pip install -r requirements/fuzz.txt (Linux)")

with atheris.instrument_imports(include=["rlvr_rewards", "rlvr_envs"]):
    from rlvr_rewards.discovery import load_file

    fuzz = load_file(Path(__file__).with_name("fuzz.py"))

MAX_BYTES = 2048


def main() -> None:
    """Fuzzes until the time is up; libFuzzer ends the process itself."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=120, help="how long (default 120)")
    parser.add_argument("--only", default="", help="targets whose name holds this")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    targets = [target for target in fuzz.targets() if args.only in target.name]

    def feed(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")  # bytes that are no UTF-8 become unpaired surrogates
        for target in targets:
            target.feed(text)
            if target.faults:
                raise AssertionError(target.faults[0])

    folder = Path(tempfile.mkdtemp(prefix="rlvr-fuzz-"))
    for number, seed in enumerate(dict.fromkeys(seed for target in targets for seed in target.seeds)):
        (folder / f"seed-{number}").write_bytes(seed.encode())
    print(f"{len(targets)} targets; texts are kept in {folder}", flush=True)
    flags = [f"-max_total_time={args.seconds}", f"-max_len={MAX_BYTES}", f"-seed={args.seed}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *flags, f"-artifact_prefix={folder}/", str(folder)], feed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
