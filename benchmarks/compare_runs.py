"""One stage of two runs on the same held-out tasks: what each scored, and the paired difference with its interval.

python benchmarks/compare_runs.py RUN OTHER --stage grpo --metrics optimum_ratio success [--within 0.05]

With `--within`, the exit code is 1 unless the whole 95% interval of each difference lies inside that margin: a test of
equivalence, stricter than the usual one at 5% (whose interval is that of 90%). Overlapping intervals show none.
"""

import argparse
import json
import sys
from pathlib import Path

from rlvr.evaluation.recalled import Recalled, recalled_difference


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", nargs=2, type=Path, metavar="RUN")
    parser.add_argument("--stage", required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--metrics", nargs="+", default=["score", "success"])
    parser.add_argument("--within", type=float)
    args = parser.parse_args()
    evaluations = [Recalled(run / "traces", args.stage, args.split) for run in args.runs]
    names = [run.name for run in args.runs]
    print(
        f"| metric | {names[0]} | {names[1]} | {names[1]} - {names[0]} | 95% | tasks |\n|---|---:|---:|---:|---|---:|"
    )
    inside = True
    for metric in args.metrics:
        found = recalled_difference(evaluations[1], evaluations[0], metric, seed=0)
        if found is None:
            sys.exit(f"{metric}: the two were not evaluated on the same tasks of {args.split}")
        means = [_mean(run, args.stage, metric) for run in args.runs]
        interval = f"{found.ci_low:+.3f} ... {found.ci_high:+.3f}"
        print(f"| {metric} | {means[0]:.3f} | {means[1]:.3f} | {found.mean:+.3f} | {interval} | {found.n} |")
        inside &= args.within is None or -args.within < found.ci_low <= found.ci_high < args.within
    if args.within is not None:
        print(f"\n{'' if inside else 'not '}equivalent within {args.within:g}")
    return int(not inside)


def _mean(run: Path, stage: str, metric: str) -> float:
    rows = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return next(row["mean"] for row in rows if (row["stage"], row["metric"]) == (stage, metric))


if __name__ == "__main__":
    sys.exit(main())
