"""Hostile texts through every pure parser, reward and environment. Markdown on stdout.

python benchmarks/fuzz.py                                # 100,000 texts through each, about eight minutes
python benchmarks/fuzz.py --num 2000 --only number       # those with "number" in their name

Nothing may raise, a value lies within the reward's bounds or is `None`, an error is on the record, and no text takes
more than a quarter of a second (CPU time, since a busy machine is not the reader's fault); what runs in a process of
its own gets 2,000 texts, and keeps its deadline. The exit code is 1 where something does not, and the text is shown.
The texts are `rlvr.audit.hostile.hostile_text`, drawn by the seed; half of them are texts that the target can read,
damaged. "Read" counts those in which a parser found something, or that earned something: were it 0, little would be
shown. `benchmarks/fuzz_coverage.py` looks for texts by what code they reach.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr.audit.answer import cut
from rlvr.audit.hostile import hostile_text
from rlvr_envs import Environment, make
from rlvr_envs.catalogue import every_tier
from rlvr_envs.library.countdown import work_out
from rlvr_envs.scheduling.answer import Form, read_answer
from rlvr_envs.seeds import derive_random
from rlvr_rewards import Reward, Score, UserError, parse_reward
from rlvr_rewards.catalogue import REWARDS
from rlvr_rewards.errors import one_line
from rlvr_rewards.examples import example_of
from rlvr_rewards.extract import AnswerForm, final_answer, final_text, tagged
from rlvr_rewards.json_text import NotJSONError, read_json
from rlvr_rewards.numerals import gold_number, read_number
from rlvr_rewards.outside import outside_of
from rlvr_rewards.patterns import compiled
from rlvr_rewards.pieces import pieces
from rlvr_rewards.row import turns_of

DEADLINE_S = 0.25
FORMS = ("<think>3+4\nis 7</think>\n<answer>{}</answer>", "so it is\n#### {}\n", r"It is \boxed{{{}}}.", "It is {}.")
SAID = ("7", "-7", "$7.00", "7 clips", "14/2", "8", "B", "(B)", "New York", "1,007", "3 or 4")
ANSWERS = tuple(form.format(text) for text in SAID for form in FORMS)
NUMBERS = (
    "7",
    "-5",
    "1,234,567.50",
    "$1,000",
    "-$5",
    "3/4",
    "1 3/4",
    "2.5e3",
    "72 clips",
    "30 km/h",
    "50%",
    "3 sq feet",
)
EXPRESSIONS = ("(3 + 25) / 2", "25 - 3 * 2", "((2))", "3*25+2", "2/(3-25)")
JSONS = ('{"name": "duck", "legs": 2, "eats": ["grass", -1.5e3, null, true]}', '[[], {}, "a\\u00e9"]', "7", '"B"')
PATTERNS = ("[0-9]{4}-[0-9]{2}", r"(?i)\bKt-[a-h][1-8]\b", r"(a|b)*\.?\pL+$")
SCHEDULES = (
    "<think>A</think><schedule>A0-3 C5-8</schedule>",
    "<schedule>\n<event><name>a call</name><start>08:00</start><end>09:15</end></event>\n</schedule>",
)
REWARDS_WRITTEN = (
    "2.0*exact_number + 0.5*think_format",
    "(exact_number(form='boxed') & think_format).named('correct') - 0.1*words_within.using(most=5)",
    "tolerant_number(rel=0.05).clip(0, 0.5).on_error('zero')",
)
MOST_POOLED = 2000
"""Texts through what runs in a process of its own."""
_MOST_OF_PROGRAMS_S = 60.0
"""Seconds that an environment whose answers are programs may take for one, all tests of it twice."""
IN_FORM = dict(zip(AnswerForm, (*FORMS, "<think>so</think>{}"), strict=True))
GSM8K_ROW = {"question": "3+4?", "answer": "3+4=<<3+4=7>>7\n#### 7"}

Check = Callable[[str], "Score | bool"]
"""Reads one text: whether there was something in it, or its score, which is looked at. What it raises is a fault."""


@dataclass
class Target:
    """What is fuzzed, and what came of it.

    Attributes:
        seeds: Texts that it can read, to be damaged.
        bounds: Of a reward's values; `None` for a parser.
        pooled_s: The deadline of what runs in a process of its own.
        num_read: Texts in which something was found, or that earned something.
        num_errors: Texts on which an error is on the record.
        slowest_s: The most CPU seconds that one text took.
        faults: What must not be, with the text; the first ten.
    """

    name: str
    check: Check
    seeds: tuple[str, ...] = ANSWERS
    bounds: tuple[float, float] | None = None
    pooled_s: float | None = None
    num_texts: int = 0
    num_read: int = 0
    num_none: int = 0
    num_errors: int = 0
    slowest_s: float = 0.0
    faults: list[str] = field(default_factory=list)

    def feed(self, text: str) -> None:
        """One text; what runs in a process of its own takes no more than 2,000."""
        if self.pooled_s and self.num_texts >= MOST_POOLED:
            return
        self.num_texts += 1
        clock, most_s = (time.perf_counter, self.pooled_s + 1) if self.pooled_s else (time.process_time, DEADLINE_S)
        start = clock()
        try:
            score = self.check(text)
        except Exception as error:  # whatever it is, it is a fault
            self.blame(f"raised {one_line(error)}", text)
            return
        seconds = clock() - start
        self.slowest_s = max(self.slowest_s, seconds)
        if seconds > most_s:
            self.blame(f"took {seconds:.2f} s", text)
        if isinstance(score, Score):
            self._look_at(score, text)
        else:
            self.num_read += score

    def _look_at(self, score: Score, text: str) -> None:
        self.num_errors += bool(score.errors)
        self.num_none += score.reward is None
        self.num_read += bool(score.reward)
        if score.reward is not None and self.bounds and not self.bounds[0] <= score.reward <= self.bounds[1]:
            self.blame(f"gave {score.reward}, outside {self.bounds}", text)

    def blame(self, what: str, text: str) -> None:
        """Keeps a fault."""
        if len(self.faults) < 10:
            self.faults.append(f"{self.name}: {what}: {text[:300]!r}{'…' if len(text) > 300 else ''}")


SEEDS: dict[str, tuple[str, ...]] = {
    "read_number": NUMBERS,
    "gold_number": NUMBERS,
    "work_out": EXPRESSIONS,
    "read_json": JSONS,
    "compiled": PATTERNS,
    "parse_reward": REWARDS_WRITTEN,
    "read_answer, elements": SCHEDULES,
    "read_answer, words": SCHEDULES,
}
"""What a parser reads, where that is no completion with an answer."""


def targets() -> list[Target]:
    """Everything that is fuzzed: the parsers, the rewards found by name, the environments in each tier."""
    return [*parsers(), *rewards(), *environments()]


def parsers() -> Iterator[Target]:
    """The readers of text that rewards and commands are made of."""
    readers: dict[str, Callable[[str], object]] = {
        "read_number": read_number,
        "gold_number": _unless(ValueError, gold_number),
        "final_text": final_text,
        "tagged": lambda text: tagged(text, "answer"),
        **{f"final_answer, {form.value}": _answer_reader(form) for form in AnswerForm},
        **{f"read_answer, {form.value}": _schedule_reader(form) for form in Form},
        "work_out": lambda text: work_out(text, [2, 3, 25]),
        "parse_reward": _unless(UserError, parse_reward),
        "cut": cut,
        "read_json": _unless(NotJSONError, read_json),
        "compiled": _unless(ValueError, compiled),
        "pieces": pieces,
    }
    for name, read in readers.items():
        yield Target(name, _found_by(read), SEEDS.get(name, ANSWERS))


def rewards() -> Iterator[Target]:
    """Every reward of the library on the columns of its example, those with a setting `form` in each form."""
    for name in REWARDS.names():
        reward = REWARDS.get(name)
        if outside := outside_of(reward):
            print(f"{name}: left out, since it rests on {', '.join(outside)}", file=sys.stderr)
        elif "form" in getattr(getattr(reward, "injected", None), "settings", {}):
            yield from (_target(f"{name}, {form.value}", reward.using(form=form)) for form in _forms(reward))
        else:
            yield _target(name, reward)


def _forms(reward: Reward) -> Iterator[AnswerForm]:
    """The forms in which the answer of its example can be written: a word is never the last number."""
    example = example_of(reward)
    answer = cut(example.completion).answer
    for form in AnswerForm:
        if reward.using(form=form).score(IN_FORM[form].format(answer), **example.columns).reward:
            yield form
        else:
            print(f"{reward.name}, {form.value}: left out, since its answers cannot be written so", file=sys.stderr)


def _target(name: str, reward: Reward) -> Target:
    """A reward; half of the texts to be damaged are its example in each form, the others answers of all kinds."""
    example, running = example_of(reward), getattr(reward, "running", None)
    answer = cut(example.completion).answer
    seeds = [example.completion, *(form.format(answer) for form in IN_FORM.values())]
    pooled_s = running.deadline_s if running and reward.has_ahead else None
    return Target(name, _scorer(reward, example.columns), (*seeds * 7, *ANSWERS), reward.bounds, pooled_s)


def environments() -> Iterator[Target]:
    """Every environment found by name, in each tier: its score, verdict and info on one task."""
    for spec in every_tier():
        env = make(spec)
        task = GSM8K_ROW if spec == "gsm8k" else next(iter(env.rows("train", 0)))
        golds = [str(turn["content"]) for turn in turns_of(env.gold(task))]  # of several turns each by itself
        seeds = (*ANSWERS[:8], *golds * -(-8 // len(golds)))
        pooled_s = _MOST_OF_PROGRAMS_S if env.reward.has_ahead else None
        yield Target(f"env {spec}", _judge(env, task), seeds, env.reward.bounds, pooled_s)


def run(fuzzed: Sequence[Target], num: int, seed: int) -> None:
    """As many texts through each; those that read the same kind of text get the same ones."""
    kinds: dict[tuple[str, ...], list[Target]] = {}
    for target in fuzzed:
        kinds.setdefault(target.seeds, []).append(target)
    for seeds, sharing in kinds.items():
        random = derive_random(seed, benchmark="fuzz", seeds=seeds)
        for _ in range(num):
            text = hostile_text(random, seeds)
            for target in sharing:
                target.feed(text)


def main() -> int:
    """Fuzzes, prints the table, and shows the faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=100_000, help="texts through each (default 100,000)")
    parser.add_argument("--only", default="", help="targets whose name holds this")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    fuzzed = [target for target in targets() if args.only in target.name]
    start = time.perf_counter()
    run(fuzzed, args.num, args.seed)
    print("| fuzzed | texts | read | no value | errors on record | slowest, ms | faults |")
    print(f"|---|{'---:|' * 6}")
    for t in fuzzed:
        cells = (t.num_texts, t.num_read, t.num_none, t.num_errors, f"{1000 * t.slowest_s:.1f}", len(t.faults))
        print(f"| {t.name} | {' | '.join(f'{cell:,}' if isinstance(cell, int) else cell for cell in cells)} |")
    total = sum(target.num_texts for target in fuzzed)
    print(f"\n{len(fuzzed)} targets, {total:,} readings in {time.perf_counter() - start:.0f} s, seed {args.seed}")
    faults = [fault for target in fuzzed for fault in target.faults]
    print("\n".join(faults) or "no fault")
    return int(bool(faults))


def _answer_reader(form: AnswerForm) -> Callable[[str], object]:
    return lambda text: final_answer(text, form)


def _schedule_reader(form: Form) -> Callable[[str], object]:
    return lambda text: read_answer(text, form)


def _unless(allowed: type[Exception], read: Callable[[str], object]) -> Callable[[str], object]:
    """A reader that says by an exception of this kind that a text is none of its own."""

    def reads(text: str) -> object:
        try:
            return read(text)
        except allowed as error:
            if type(error) is not allowed:
                raise
            return None

    return reads


def _found_by(read: Callable[[str], object]) -> Check:
    return lambda text: read(text) not in (None, "", [])


def _scorer(reward: Reward, columns: Mapping[str, Any]) -> Check:
    return lambda text: reward.score(text, **columns)


def _judge(env: Environment, task: dict[str, Any]) -> Check:
    def check(text: str) -> Score:
        heard = env.heard(task, text) if env.max_turns == 1 else env.episode(task, [text] * env.max_turns)
        env.info(task, heard)
        success, score = env.success(task, heard), env.score(task, heard)
        assert not success or score.reward is not None, "succeeds without a reward"
        return score

    return check


if __name__ == "__main__":
    sys.exit(main())
