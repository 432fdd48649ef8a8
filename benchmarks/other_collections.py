"""Which scorers of reasoning-gym can be cheated: an audit of every dataset, as the table of docs/other_collections.md.

python benchmarks/other_collections.py --json found.json                 # all, some ten minutes on two cores
python benchmarks/other_collections.py --json found.json --names leg_counting,puzzle24
python benchmarks/other_collections.py --json found.json --table         # print what is in found.json

A dataset that is in the file already is not audited again, so that a run that was stopped goes on.

A dataset pays a policy or a changed gold

- *wrong, in full*: what nobody would take for right earns what gold earns, or is taken for solved;
- *dressed, in full*: the right answer in look-alike or invisible characters does, which may be harmless;
- *one answer for most*: the same is right on more than half of the tasks: no fault of the scorer, but a rate to know;
- *in part*: it earns less than gold and more than an honest wrong answer in the right form; `credit=full` ends this.
"""

import argparse
import json
import time
from pathlib import Path
from random import Random
from typing import Any

from rlvr.audit.case import Case
from rlvr.audit.found import Trial
from rlvr.audit.policy import POLICIES, policy
from rlvr.audit.trial import audit
from rlvr_envs import make
from rlvr_envs.collection import COLLECTIONS
from rlvr_rewards import UserError

_SHOWN = 4
KINDS = {
    "wrong": "wrong, in full",
    "dressed": "dressed, in full",
    "common": "one answer for most",
    "part": "in part (share of gold)",
}
DRESSED = {name for name in POLICIES.names() if POLICIES.get(name).__module__.endswith(".lookalikes")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True, help="what was found, by dataset; read and added to")
    parser.add_argument("--names", help="datasets, with commas between; by default all")
    parser.add_argument("--n", type=int, default=10, help="tasks of each (default 10)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no dataset after so many seconds")
    parser.add_argument("--table", action="store_true", help="audit nothing, print the table")
    args = parser.parse_args()
    found: dict[str, Any] = json.loads(args.json.read_text()) if args.json.exists() else {}
    names = args.names.split(",") if args.names else sorted(COLLECTIONS.get("reasoning_gym").about())
    begun = time.monotonic()
    for name in [] if args.table else names:
        if name in found or time.monotonic() - begun > args.seconds:
            continue
        found[name] = look_at(name, args.n)
        print(name, json.dumps(found[name])[:200], flush=True)
        args.json.write_text(json.dumps(found, indent=1) + "\n")
    if args.table:
        print_table(found)


@policy(blind=True)
def not_a_number(case: Case, random: Random) -> str:
    """`nan`, which equals whatever it is compared with by `abs(a - b) > tolerance`."""
    return case.pieces.unthought("nan")


def look_at(name: str, num_tasks: int) -> dict[str, Any]:
    """What one audit found, or why there was none."""
    begun = time.monotonic()
    try:
        found = audit(make(f"reasoning_gym/{name}"), num_tasks=num_tasks, split="train", more=[not_a_number])
    except UserError as error:
        return {"refused": str(error)}
    kinds: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for trial in found.trials:
        if kind := kind_of(trial):
            kinds[kind][trial.name] = {"share": round(trial.share_of_gold or 0.0, 3), "example": excerpt(trial)}
    for mutated in found.mutations:
        if mutated.must_lose and mutated.missed:
            kinds["wrong"][mutated.name] = {"share": 1.0, "example": mutated.missed[0].completion[-80:]}
    errors = sum(bool(attempt.error) for trial in found.trials for attempt in trial.attempts)
    return {**kinds, "errors": errors, "num_tasks": found.num_tasks, "seconds": round(time.monotonic() - begun, 1)}


def kind_of(trial: Trial) -> str:
    """How a policy wins; empty where it does not."""
    if not trial.win:
        return ""
    if "right without looking" in trial.win:
        return "common"
    if any(attempt.is_as_good_as_gold or attempt.success for attempt in trial.attempts):
        return "dressed" if trial.name in DRESSED else "wrong"
    return "part"


def excerpt(trial: Trial) -> str:
    """The end of the completion that did best."""
    return trial.worst.completion[-80:] if trial.worst else ""


def print_table(found: dict[str, Any]) -> None:
    """The table in Markdown: those that pay something wrong in full first."""
    audited = {name: row for name, row in found.items() if "refused" not in row}
    order = sorted(audited, key=lambda name: [not audited[name][kind] for kind in KINDS])
    counts = {kind: sum(bool(row[kind]) for row in audited.values()) for kind in KINDS}
    clean = [name for name in order if not any(audited[name][kind] for kind in KINDS)]
    num_tasks = max(row["num_tasks"] for row in audited.values())
    print(f"{len(audited)} datasets, {num_tasks} tasks each: {counts['wrong']} pay a wrong answer in full, ", end="")
    print(f"{counts['part']} something wrong in part, {len(clean)} nothing of the kind.\n")
    print(f"| dataset | {' | '.join(KINDS.values())} |\n|---|{'---|' * len(KINDS)}")
    for name in order:
        row = audited[name]
        if name not in clean:
            best = max(row["part"].items(), key=lambda item: item[1]["share"], default=None)
            part = f"{len(row['part'])}, up to {best[1]['share']:.0%}" if best else ""
            print(f"| `{name}` | {some(row['wrong'])} | {some(row['dressed'])} | {some(row['common'])} | {part} |")
    print(f"\nNothing of the kind: {', '.join(f'`{name}`' for name in sorted(clean))}.")
    for row in found.values():
        if "refused" in row:
            print(f"\nNot audited: {row['refused']}.")


def some(found: dict[str, Any]) -> str:
    """The first few names, and how many there are."""
    names = list(found)
    more = f", {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


if __name__ == "__main__":
    main()
