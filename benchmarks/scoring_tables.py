"""`rlvr score` on the published tasks: every gold, 20,000 ways to be wrong, and every baseline. Markdown on stdout.

python benchmarks/scoring_tables.py gsm8k ../shared/data/gsm8k      # a folder with train.jsonl and test.jsonl
python benchmarks/scoring_tables.py baselines                       # 1,000 tasks of each environment that makes its own
python benchmarks/scoring_tables.py baselines "scheduling?tier=hard" --num-tasks 200

The completions are written as JSONL into a temporary folder and scored by the command itself; the tables are what it
wrote, gathered by kind. The exit code is 1 where a wrong answer succeeds, or a right one (gold, optimal) fails.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

from rlvr_envs import Environment, Task, make
from rlvr_envs.library.gsm8k import SYSTEM
from rlvr_envs.scheduling.generator import Tier
from rlvr_envs.seeds import derive_random
from rlvr_rewards.numerals import read_number

GSM8K = "../shared/data/gsm8k"
GENERATED = (*(f"scheduling?tier={tier}" for tier in Tier), "arithmetic", "countdown")
SCALES = (
    "hundred",
    "thousand",
    "thousands",
    "million",
    "millions",
    "dozen",
    "dozens",
    "k",
    "bn",
    "tenths",
    "thirds",
    "point five",
)
CHANGES = ("squared", "times two", "multiplied by two", "divided by two", "plus one", "minus one", "doubled", "halved")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LONG = 20_000
_MARK = re.compile(r"<<[^<>]*=([^<>]*)>>")
_GARBAGE = "abc 0123456789<>/\\$#{}\n\x00\x07\x1b\x7f\u200b\u2028\ud800é中🙂"


@dataclass(frozen=True)
class Case:
    """One problem and what a wrong answer can be made of.

    Attributes:
        thought: The gold completion's think block.
        answer: The gold number as text, without commas; `number` is its value.
        other: Another problem's answer.
    """

    task: Task
    thought: str
    answer: str
    number: Any
    other: str

    def form(self, text: str) -> str:
        """The asked form, with this as the answer."""
        return f"{self.thought}\n<answer>{text}</answer>"


Write = Callable[[Case, Random], "str | None"]
"""A completion for a case, or `None` where this problem does not lend itself to it."""


def _different(case: Case, text: str | None) -> str | None:
    """The asked form with another number; `None` where it is the right one after all (ten times 0)."""
    return None if text is None or read_number(text) == case.number else case.form(text)


def _swapped(text: str) -> str:
    return text[:-2] + text[-1] + text[-2] if len(text) > 1 else text


def _flipped(text: str) -> str:
    return text[1:] if text.startswith("-") else f"-{text}"


def _inserted(text: str, random: Random, characters: str) -> str:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.choice(characters) + text[at:]


def _first_mark(case: Case) -> str | None:
    marks = [mark.strip() for mark in _MARK.findall(case.task["answer"])]
    return next((mark for mark in marks if read_number(mark) not in (None, case.number)), None)


def _question_number(case: Case) -> str | None:
    return next((n for n in re.findall(r"\d+", case.task["question"]) if read_number(n) != case.number), None)


WRONG: dict[str, Write] = {
    # another number in the asked form
    "another row's answer": lambda c, r: _different(c, c.other),
    "one too many": lambda c, r: c.form(f"{int(c.number) + 1}"),
    "one too few": lambda c, r: c.form(f"{int(c.number) - 1}"),
    "sign flipped": lambda c, r: _different(c, _flipped(c.answer)),
    "ten times": lambda c, r: _different(c, f"{c.answer}0"),
    "a tenth": lambda c, r: _different(c, f"{c.answer}e-1"),
    "a half too much": lambda c, r: c.form(f"{c.answer}.5"),
    "a billionth too much": lambda c, r: c.form(f"{c.answer}.000000001"),
    "last digits swapped": lambda c, r: _different(c, _swapped(c.answer)),
    "last digit dropped": lambda c, r: _different(c, c.answer[:-1] or None),
    "a number of the question": lambda c, r: _different(c, _question_number(c)),
    "a step on the way": lambda c, r: _different(c, _first_mark(c)),
    # the right number, changed or blurred by what stands beside it
    "scaled by a word": lambda c, r: c.form(f"{c.answer} {r.choice(SCALES)}"),
    "changed by words": lambda c, r: c.form(f"{c.answer} {r.choice(CHANGES)}"),
    "this or that": lambda c, r: c.form(f"{c.answer} or {c.other}"),
    "a range": lambda c, r: c.form(f"{c.answer}-{int(c.number) + 1}"),
    "a list": lambda c, r: c.form(f"{c.answer}, {c.other}"),
    "an equation": lambda c, r: c.form(f"x = {c.answer}"),
    "a sum not worked out": lambda c, r: c.form(f"{int(c.number) - 1}+1"),
    "digits as words": lambda c, r: c.form(" ".join(DIGITS[int(d)] for d in c.answer if d.isdigit())),
    "a misplaced comma": lambda c, r: c.form(f"{c.answer[:-1]},{c.answer[-1]}") if len(c.answer) > 1 else None,
    "full-width digits": lambda c, r: c.form("".join(chr(ord(d) + 0xFEE0) for d in c.answer)),
    "NaN, infinity and overflow": lambda c, r: c.form(r.choice(("nan", "inf", "-inf", "Infinity", "1e999", "1/0"))),
    "boxed inside the tag": lambda c, r: c.form(rf"\boxed{{{c.answer}}}"),
    "a control character": lambda c, r: c.form(_inserted(c.answer, r, "\x00\x07\x08\x1b\x7f")),
    "a zero-width space": lambda c, r: c.form(_inserted(c.answer, r, "\u200b\u200d\ufeff")),
    "an unpaired surrogate": lambda c, r: c.form(_inserted(c.answer, r, "\ud800\udfff")),
    # the right number in the wrong place
    "two answers": lambda c, r: f"{c.form(c.answer)}<answer>{c.other}</answer>",
    "the answer twice": lambda c, r: f"{c.form(c.answer)}<answer>{c.answer}</answer>",
    "an answer only inside think": lambda c, r: f"<think><answer>{c.answer}</answer></think>",
    "think never closed": lambda c, r: c.form(c.answer).replace("</think>", ""),
    "answer, then thought": lambda c, r: f"<answer>{c.answer}</answer>{c.thought}",
    "a bare number": lambda c, r: c.answer,
    "a sentence without the tag": lambda c, r: f"{c.thought}\nThe answer is {c.answer}.",
    "the published #### form": lambda c, r: c.task["answer"],
    "#### instead of the tag": lambda c, r: f"{c.thought}\n#### {c.answer}",
    "boxed instead of the tag": lambda c, r: rf"{c.thought} \boxed{{{c.answer}}}",
    "another tag": lambda c, r: c.form(c.answer).replace("answer>", r.choice(("result>", "Answer>", "ANSWER>", "a>"))),
    "tag never closed": lambda c, r: c.form(c.answer).removesuffix("</answer>"),
    "tag never opened": lambda c, r: c.form(c.answer).replace("<answer>", ""),
    "tag in a tag": lambda c, r: c.form(f"<answer>{c.answer}</answer>"),
    "closed before opened": lambda c, r: f"{c.thought}\n</answer>{c.answer}<answer>",
    "every number a tag": lambda c, r: c.thought + "".join(f"<answer>{n}</answer>" for n in (c.answer, *range(200))),
    # nothing, echoes, floods
    "empty": lambda c, r: "",
    "a blank answer": lambda c, r: c.form(r.choice(("", " ", "\n\t"))),
    "the prompt again": lambda c, r: f"{SYSTEM}\n\n{c.task['question']}",
    "the instructions, filled in": lambda c, r: f"Between <think> and </think>, <answer> and </answer>: {c.answer}",
    "a flood of digits": lambda c, r: c.form(c.answer * LONG),
    "a flood of think tags": lambda c, r: "<think>" * (LONG // 7) + f"<answer>{c.answer}</answer>",
    "noise": lambda c, r: "".join(r.choices(_GARBAGE, k=r.randrange(1, 400))),
}

RIGHT: dict[str, Write] = {
    "gold": lambda c, r: c.form(c.answer),
    "with commas and decimals": lambda c, r: c.form(f"{int(c.number):,}.00"),
    "with a currency sign": lambda c, r: c.form(f"${c.answer}"),
    "with a unit": lambda c, r: c.form(f"{c.answer} {r.choice(('clips', 'km/h', 'square feet', '%', 'more apples'))}"),
    "with white space": lambda c, r: c.form(f"\n {c.answer}\t"),
    "no thought": lambda c, r: f"<answer>{c.answer}</answer>",
    "prose around it": lambda c, r: f"{c.thought} So it is <answer>{c.answer}</answer>, I say.",
    "think opened 2,800 times": lambda c, r: "<think>" * (LONG // 7) + c.form(c.answer),
    "a wrong answer thought of first": lambda c, r: f"<think><answer>{c.other}</answer></think>{c.form(c.answer)}",
}
"""The right answer written otherwise: all of it succeeds; what leaves the asked form loses the part `format`."""


def main() -> int:
    """Prints the tables of one job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("gsm8k", "baselines"))
    parser.add_argument(
        "given", nargs="*", help="the GSM8K folder; or environments, by default all that make their own"
    )
    parser.add_argument("--num-wrong", type=int, default=20_000, help="wrong completions in all")
    parser.add_argument("--num-tasks", type=int, default=1000, help="tasks of each environment")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    return gsm8k_tables(args) if args.what == "gsm8k" else baseline_tables(args)


def gsm8k_tables(args: argparse.Namespace) -> int:
    """Golds, then wrong completions by kind, then right ones in other words; 1 where one is judged amiss."""
    spec = f"gsm8k?path={args.given[0] if args.given else GSM8K}"
    env = make(spec)
    cases = make_cases(env, args.seed)
    per_kind = args.num_wrong // len(WRONG)
    golds = print_table(spec, "golds", (("gold", case.task, env.gold(case.task)) for case in cases))
    wrong = print_table(spec, "wrong", written(WRONG, cases, per_kind, args.seed), with_total=True)
    right = print_table(spec, "right", written(RIGHT, cases, per_kind, args.seed), with_total=True)
    amiss = [row for row in wrong if row["success"]] + [row for row in golds + right if not row["success"]]
    return int(bool(amiss))


def baseline_tables(args: argparse.Namespace) -> int:
    """Every baseline and gold on the same tasks of each environment; 1 where gold or the optimum falls short."""
    amiss = 0
    for spec in args.given or GENERATED:
        env = make(spec)
        tasks = list(islice(env.rows("test", args.seed), args.num_tasks))
        records = print_table(spec, "baselines", baseline_completions(env, tasks, args.seed))
        amiss += sum(row["kind"] in ("gold", "optimal") and not row["success"] for row in records)
    return int(amiss > 0)


def make_cases(env: Environment, seed: int) -> list[Case]:
    """Every problem of both splits, each with the answer of another one."""
    tasks = [task for split in env.splits for task in env.rows(split, seed)]
    answers = [task["answer"].rpartition("####")[2].strip().replace(",", "") for task in tasks]
    thoughts = [env.gold(task).partition("\n<answer>")[0] for task in tasks]
    others = derive_random(seed, purpose="other answers").sample(answers, len(answers))
    return [
        Case(task, thought, answer, read_number(answer), other)
        for task, thought, answer, other in zip(tasks, thoughts, answers, others, strict=True)
    ]


def written(kinds: dict[str, Write], cases: list[Case], per_kind: int, seed: int) -> Iterator[tuple[str, Task, str]]:
    """`per_kind` completions of each kind, each for a problem of its own where there are enough."""
    for kind, write in kinds.items():
        random = derive_random(seed, kind=kind)
        order = random.sample(cases, len(cases))
        found = ((case.task, text) for case in order if (text := write(case, random)) is not None)
        yield from ((kind, task, text) for task, text in islice(found, per_kind))


def baseline_completions(env: Environment, tasks: list[Task], seed: int) -> Iterator[tuple[str, Task, str]]:
    """The completion of each baseline for each task, gold last."""
    for name, baseline in {**env.baselines(), "gold": lambda task, _: env.gold(task)}.items():
        for task in tasks:
            yield name, task, baseline(task, derive_random(seed, baseline=name, task_id=env.task_id(task)))


def print_table(
    spec: str, name: str, completions: Iterable[tuple[str, Task, str]], with_total: bool = False
) -> list[dict[str, Any]]:
    """Scores by the command, prints a row a kind, and returns what was said of each completion."""
    records = score(spec, name, completions)
    numbers = [*records[0]["parts"], *(["optimum_ratio"] if "optimum_ratio" in records[0]["info"] else [])]
    print(f'\n`rlvr score --env "{spec}" --input {name}.jsonl --output {name}.scored.jsonl`\n')
    print(f"| kind | n | reward | success | {' | '.join(numbers)} | failures |")
    print(f"|---|---:|---:|---:|{'---:|' * len(numbers)}---|")
    kinds = list(dict.fromkeys(record["kind"] for record in records))
    for kind in kinds:
        print(table_line(kind, [record for record in records if record["kind"] == kind], numbers))
    if with_total:
        print(table_line("all", records, numbers))
    return records


def table_line(kind: str, rows: list[dict[str, Any]], numbers: list[str]) -> str:
    """One line: counts, means, and how often each failure or error occurred."""
    means = [fmean((row["parts"] | row["info"])[name] or 0.0 for row in rows) for name in numbers]
    failures = Counter(row["info"].get("failure", "none") for row in rows)
    failures.update("error" for row in rows if row["errors"])
    said = ", ".join(f"{failure} {count}" for failure, count in failures.items() if failure != "none") or "none"
    reward, success = fmean(row["reward"] for row in rows), fmean(bool(row["success"]) for row in rows)
    cells = [kind, f"{len(rows):,}", f"{reward:.3f}", f"{success:.1%}", *(f"{mean:.3f}" for mean in means), said]
    return f"| {' | '.join(cells)} |"


def score(spec: str, name: str, completions: Iterable[tuple[str, Task, str]]) -> list[dict[str, Any]]:
    """What `rlvr score` says of each completion."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / f"{name}.jsonl", Path(folder) / f"{name}.scored.jsonl"
        with source.open("w", encoding="ascii") as file:
            for kind, task, completion in completions:
                file.write(json.dumps({"kind": kind, "task": task, "completion": completion}) + "\n")
        command = [sys.executable, "-m", "rlvr", "score", "--env", spec, "--input", source, "--output", target]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        with target.open(encoding="ascii") as file:
            return [_slim(json.loads(line)) for line in file]


def _slim(record: dict[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("kind", "reward", "success", "parts", "errors", "info")}


if __name__ == "__main__":
    sys.exit(main())
