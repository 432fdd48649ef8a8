"""Writes what docs/audit.md shows of audits and of fuzzing; what stands between its other lines is left alone.

    python docs/make_audit.py environments --gsm8k data/gsm8k    every environment and tier, on 200 tasks each
    python docs/make_audit.py library                            rewards on answers of their kind
    python docs/make_audit.py collections                        other people's environments, by their own scorers
    python docs/make_audit.py fuzz [--missing]                   100,000 texts through everything, or through what is
                                                                 not in the table yet (benchmarks/fuzz.py)

Each part stands between two comments of the page, with the command that made it. It exits with 1 where an exploit wins,
a mutation misses without an argument, or fuzzing finds a fault; the page then says so.
"""

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rlvr.audit.found import Audit, Mutated
from rlvr.audit.report import excerpt
from rlvr.audit.trial import audit
from rlvr.console import console
from rlvr.progress import progress_bar
from rlvr_envs import make
from rlvr_envs.catalogue import every_tier

PAGE = Path(__file__).with_name("audit.md")
ROOT = Path(__file__).parents[1]
NUM_TASKS, NUM_OF_PROGRAMS, NUM_OF_OTHERS = 200, 40, 5
"""Tasks of each environment, of one whose answers are run (thousands of programs take their time), and of others'."""
_HEAD = """\
| environment | tasks | gold | honest wrong | best policy | its mean | share of gold | policies that apply, and win | \
mutations that must lose, and did | that must not, and did not |
|---|---:|---:|---:|---|---:|---:|---:|---:|---:|"""


def put(page: str, part: str, text: str) -> str:
    """The page with a part replaced."""
    begin, end = f"<!-- {part}: python docs/make_audit.py {part} -->\n", f"<!-- {part}: end -->"
    before, found, rest = page.partition(begin)
    if not found or end not in rest:
        raise SystemExit(f"{PAGE} has no part {part}: it stands between {begin.strip()} and {end}")
    return f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"


def environments(specs: Sequence[str]) -> tuple[str, bool]:
    """The table of audits with the misses below it, and whether all is well."""
    started = time.perf_counter()
    audits = dict(_audited(specs))
    seconds = time.perf_counter() - started
    misses = [f"- `{name}`: {_miss(each)}" for name, found in audits.items() for each in found.misses]
    wins = [f"- `{name}`: {win}" for name, found in audits.items() for win in found.wins]
    sizes = [sum(len(each.attempts) for each in (*found.trials, *found.mutations)) for found in audits.values()]
    many = f"{min(sizes):,} to {max(sizes):,} completions each, {sum(sizes):,} in all"
    said = f"{_counted(wins, 'exploit wins', 'exploits win')}, {_counted(misses, 'mutation misses', 'mutations miss')}"
    lines = [
        *("```", *(f'rlvr audit --env "{name}" --n {found.num_tasks}' for name, found in audits.items()), "```", ""),
        *(f"Tasks of the split `test`, seed 0: {said}.", ""),
        *(_HEAD, *(_row(name, found) for name, found in audits.items()), ""),
        f"{many}, in {seconds:.0f} s ({_machine()}).",
        *(["", *wins, *misses] if wins or misses else []),
    ]
    return "\n".join(lines) + "\n", not wins and not misses


def _audited(specs: Sequence[str]) -> Iterator[tuple[str, Audit]]:
    with progress_bar(console(stderr=True), "auditing", len(specs)) as advance:
        for spec in specs:
            env = make(spec)
            yield shown(spec), audit(env, num_tasks=NUM_OF_PROGRAMS if env.reward.has_ahead else NUM_TASKS)
            advance(1)


def shown(spec: str) -> str:
    """A spec without the machine's own path."""
    return re.sub(r"path=[^&]*", "path=data/gsm8k", spec)


def _row(name: str, found: Audit) -> str:
    tried = [trial for trial in found.trials if trial.attempts]
    best = max(trial.mean_reward or 0.0 for trial in tried)
    of_best = [trial.name for trial in tried if abs((trial.mean_reward or 0.0) - best) < 1e-9]
    who = of_best[0] if len(of_best) == 1 else f"{len(of_best)} of them, {of_best[0]} among them"
    kinds = [[each for each in found.mutations if each.attempts and each.must_lose is must] for must in (True, False)]
    clean = [f"{sum(not each.missed for each in kind)} of {len(kind)}" for kind in kinds]
    honest = "–" if found.honest is None else f"{found.honest:.3f}"
    cells = [
        f"`{name}`",
        str(found.num_tasks),
        f"{found.gold:.3f}",
        honest,
        who,
        f"{best:.3f}",
        f"{best / found.gold:.0%}",
    ]
    return f"| {' | '.join([*cells, f'{len(tried)}, {len(found.wins)}', *clean])} |"


def _miss(mutated: Mutated) -> str:
    must = "lose" if mutated.must_lose else "not lose"
    count = f"{len(mutated.missed)} of {len(mutated.attempts)}"
    return f"{mutated.name} must {must}, and did not on {count}: `{excerpt(mutated.missed[0].completion)}`"


def library() -> tuple[str, bool]:
    """What rewards of the library let through on answers of their kind, as their test has it; and whether all is well.

    Those that pay a part for a part pay who knows a part: the test says which policies may win then.
    """
    from rlvr_rewards import parse_reward
    from rlvr_rewards.discovery import load_file

    tested = load_file(ROOT / "tests" / "rlvr" / "audit" / "test_library.py")
    cases = [(env, expression, argued, ()) for env, expression, argued in tested.SOUND]
    cases += [(env, expression, (), allowed) for env, expression, allowed, _ in tested.SHAPED]
    rows, well = [], True
    for env, expression, argued, allowed in cases:
        found = audit(env, parse_reward(expression, env.part), num_tasks=NUM_OF_PROGRAMS, argued=argued)
        misses = [f"{each.name} ({len(each.missed)} of {len(each.attempts)})" for each in found.misses]
        well = well and {*found.wins} <= {*allowed} and all(each.is_argued for each in found.misses)
        cells = (f"`{expression}`", env.name, ", ".join(found.wins) or "none", ", ".join(misses) or "none")
        rows.append(f"| {' | '.join(cells)} |")
    head = ["| reward | on | policies that earn more than an honest wrong attempt | misses |", "|---|---|---|---|"]
    return "\n".join([f"{NUM_OF_PROGRAMS} tasks each:", "", *head, *rows]) + "\n", well


def collections() -> tuple[str, bool]:
    """What other people's scorers let through, a row for each environment of a collection in which something wins.

    Nothing there is ours to mend, so that all is well in any case.
    """
    from rlvr_envs.collection import COLLECTIONS
    from rlvr_rewards import UserError

    specs = [f"{prefix}/{name}" for prefix in COLLECTIONS.names() for name in COLLECTIONS.get(prefix).about()]
    rows, left_out, sound = [], [], []
    with progress_bar(console(stderr=True), "auditing", len(specs)) as advance:
        for spec in specs:
            advance(1)
            try:
                found = audit(make(spec), num_tasks=NUM_OF_OTHERS)
            except UserError as error:
                left_out.append(f"`{spec}` ({error})")
                continue
            (rows if found.wins else sound).append(_row_of_other(spec, found) if found.wins else f"`{spec}`")
    head = ["| environment | as much as gold | more than an honest wrong attempt, less than gold |", "|---|---|---|"]
    said = f"{len(specs)} environments, {NUM_OF_OTHERS} tasks each. In {len(rows)} a policy wins"
    lines = [f"{said}, in {len(sound)} none does: {', '.join(sound) or '–'}.", "", *head, *rows]
    lines += ["", f"Not audited: {'; '.join(left_out)}."] if left_out else []
    return "\n".join(lines) + "\n", True


def _row_of_other(spec: str, found: Audit) -> str:
    """The policies that win; where none does, the mutations of gold that are paid as gold is."""
    wins = [trial for trial in found.trials if trial.win]
    as_gold = [trial.name for trial in wins if any(attempt.is_as_good_as_gold for attempt in trial.attempts)]
    less = [trial.name for trial in wins if trial.name not in as_gold]
    as_gold = as_gold if wins else [*found.wins]
    return f"| `{spec}` | {', '.join(as_gold) or '–'} | {', '.join(less) or '–'} |"


def fuzz(num: int, before: str) -> tuple[str, bool]:
    """The table of what was fuzzed, and whether nothing was found.

    Args:
        num: Texts through each.
        before: The table so far: what stands there with as many texts is not fuzzed again.
    """
    from rlvr_rewards.discovery import load_file

    made = load_file(ROOT / "benchmarks" / "fuzz.py")
    targets = made.targets()
    found = re.finditer(r"^\| ([^|]+) \| ([0-9,]+) \|.*\|$", before, re.MULTILINE)
    enough = (f"{num:,}", f"{made.MOST_POOLED:,}")
    rows = {row[1]: row[0] for row in found if row[2] in enough}
    new = [target for target in targets if target.name not in rows]
    made.run(new, num, 0)
    rows |= {t.name: _fuzz_row(t) for t in new}
    cells = [[cell.strip() for cell in rows[target.name].split("|")] for target in targets]
    total, faults = (sum(int(each[place].replace(",", "")) for each in cells) for place in (2, 7))
    said = f"{len(targets)} parsers, rewards and environments, {total:,} readings, seed 0: {faults or 'no'} faults."
    head = ["| fuzzed | texts | read | no value | errors on record | slowest, ms | faults |", f"|---|{'---:|' * 6}"]
    shown = [f"- `{fault}`" for target in new for fault in target.faults]
    lines = [said, "", *head, *(rows[target.name] for target in targets), *(["", *shown] if shown else [])]
    return "\n".join(lines) + "\n", not faults


def _fuzz_row(t: Any) -> str:
    counts = [f"{count:,}" for count in (t.num_texts, t.num_read, t.num_none, t.num_errors)]
    return f"| {' | '.join([t.name, *counts, f'{1000 * t.slowest_s:.1f}', str(len(t.faults))])} |"


def _counted(found: Sequence[str], one: str, several: str) -> str:
    return f"1 {one}" if len(found) == 1 else f"{len(found) or 'no'} {several}"


def _machine() -> str:
    python = ".".join(platform.python_version_tuple()[:2])
    return f"a machine of {os.cpu_count()} CPU cores, no GPU, {platform.system()}, Python {python}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("environments", "library", "collections", "fuzz"))
    parser.add_argument("--gsm8k", type=Path, help="the folder with GSM8K's rows")
    parser.add_argument("--num", type=int, default=100_000, help="texts through each target")
    parser.add_argument("--missing", action="store_true", help="fuzz only what the table lacks")
    args = parser.parse_args()
    if args.part == "fuzz":
        text, well = fuzz(args.num, PAGE.read_text("utf-8") if args.missing else "")
    elif args.part in ("library", "collections"):
        text, well = library() if args.part == "library" else collections()
    else:
        if args.gsm8k is None:
            parser.error("environments needs --gsm8k FOLDER")
        text, well = environments([f"gsm8k?path={args.gsm8k}" if spec == "gsm8k" else spec for spec in every_tier()])
    PAGE.write_text(put(PAGE.read_text("utf-8"), args.part, text), "utf-8")
    return int(not well)


if __name__ == "__main__":
    sys.exit(main())
