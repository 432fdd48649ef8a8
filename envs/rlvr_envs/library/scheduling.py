"""`scheduling`: choose the events of a day that are worth most and do not overlap.

The task published as events-scheduling: its row schema, answer form, proportion of parts and order of failures. The
generator and the wording are ours, and its defects are mended: touching events are allowed by every part, nothing ends
after 24:00, an event inside the think block earns nothing, an event given twice is invalid, and every row has a seed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import combinations
from random import Random
from typing import Any

from rlvr_envs.environment import Baseline, GeneratedEnvironment, Message, Task
from rlvr_envs.scheduling.answer import TAG, Form, read_answer, write_answer, write_event
from rlvr_envs.scheduling.baselines import CHOOSERS, Chooser
from rlvr_envs.scheduling.events import Event, by_start, check_events, overlapping, read_events, value_of
from rlvr_envs.scheduling.generator import Tier, draw_day
from rlvr_envs.scheduling.solver import solve
from rlvr_envs.scheduling.verdict import FEWEST, Failure, credited, find_failure, rising, total_value
from rlvr_rewards import Reward, UserError, reward, think_format

SYSTEM = """You plan one day. Choose events so that no two overlap and the total is as high as it can be. \
An event counts its length in minutes, a priority event twice its length. \
One event may start at the minute another ends. Keep names and times as they are given, and choose at least two.

Reason between <think> and </think>. Then write your choice once, by start time, in this form:
<schedule>
<event><name>the name</name><start>HH:MM</start><end>HH:MM</end></event>
</schedule>"""


@reward
def schedule_format(completion: str, *, form: Form = Form.ELEMENTS) -> float:
    """1.0 for one think block, then one schedule that can be read, and nothing else.

    >>> schedule_format("<think>A and C</think><schedule>A0-3 C5-8</schedule>", form=Form.WORDS)
    1.0
    >>> schedule_format("<schedule>A0-3 C5-8</schedule>", form=Form.WORDS)
    0.0
    """
    return float(think_format(completion, tag=TAG) == 1.0 and read_answer(completion, form) is not None)


@reward
def rising_starts(completion: str, *, form: Form = Form.ELEMENTS) -> float:
    """1.0 for at least two events whose starts strictly rise, given or not.

    >>> rising_starts("<schedule>C5-8 A0-3</schedule>", form=Form.WORDS)
    0.0
    """
    answer = read_answer(completion, form)
    return float(answer is not None and len(answer) >= FEWEST and rising(answer))


@reward
def schedule_value(
    completion: str,
    events: list[list[str]],
    priority_events: list[str],
    optimal_score: int,
    *,
    form: Form = Form.ELEMENTS,
) -> float:
    """The weighted minutes over the optimum's: of two events that overlap neither counts.

    0.0 for fewer than two events, or where one is invented, altered or given twice. Range [0, 1].

    >>> day = dict(events=[["A", "00:00", "03:00"], ["B", "03:00", "05:00"]], priority_events=["A"], optimal_score=480)
    >>> schedule_value("<schedule>A0-3 B3-5</schedule>", **day, form=Form.WORDS)  # touching is no overlap
    1.0
    >>> schedule_value("<schedule>A0-3 A0-3</schedule>", **day, form=Form.WORDS)
    0.0
    """
    answer = read_answer(completion, form)
    return total_value(credited(answer, set(read_events(events))), priority_events) / optimal_score


@dataclass(frozen=True)
class Scheduling(GeneratedEnvironment):
    """Days of events in three tiers: `published`, `compact` for tiny models, `hard` for rules of thumb.

    Success is a valid schedule worth the optimum. `info` tells how far one came otherwise: `failure`, what is wrong
    with it, and `optimum_ratio`, its value over the optimum's, 0 where it is invalid.
    """

    name = "scheduling"
    columns = ("events", "priority_events", "optimal_score")
    metrics = ("optimum_ratio",)

    tier: Tier = Tier.PUBLISHED
    reward: Reward = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = (
            0.1 * schedule_format.using(form=self.form).named("format")
            + 0.2 * rising_starts.using(form=self.form).named("order")
            + 0.7 * schedule_value.using(form=self.form).named("value")
        )
        object.__setattr__(self, "reward", parts)  # the form of an answer is the tier's, so the reward is too

    @property
    def form(self) -> Form:
        """How this tier writes an answer."""
        return Form.WORDS if self.tier == Tier.COMPACT else Form.ELEMENTS

    def draw(self, random: Random) -> Task:
        return draw_day(Tier(self.tier), random)

    def messages(self, task: Task) -> list[Message]:
        events, priorities = read_events(task["events"]), task["priority_events"]
        if self.form is Form.WORDS:
            words = [write_event(e, self.form) + "*" * (e.name in priorities) for e in by_start(events)]
            return [{"role": "user", "content": " ".join(words)}]
        lines = [f"- {e.name}: {e.start} to {e.end}{', priority' * (e.name in priorities)}" for e in events]
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": "\n".join(["Events:", *lines])}]

    def gold(self, task: Task) -> str:
        """The best schedule; the thought goes from the last event to the first and keeps the best total so far."""
        plan = solve(read_events(task["events"]), task["priority_events"])
        steps = list(zip(plan.events, plan.totals, strict=True))[::-1]
        if self.form is Form.WORDS:
            thought = " ".join(f"{event.name}{total // 60}" for event, total in steps)
        else:
            thought = "\n".join(_step(event, total, task["priority_events"]) for event, total in steps)
        return write_answer(thought, plan.chosen, self.form)

    def success(self, task: Task, completion: str) -> bool:
        failure, ratio = self._judge(task, completion)
        return failure is Failure.NONE and ratio == 1.0

    def info(self, task: Task, completion: str) -> dict[str, Any]:
        failure, ratio = self._judge(task, completion)
        return {"failure": failure.value, "optimum_ratio": ratio}

    def difficulty(self, task: Task) -> float:
        """The share of the pairs of events that do not overlap: the more go together, the longer are the plans."""
        pairs = [not overlapping(one, other) for one, other in combinations(read_events(task["events"]), 2)]
        return sum(pairs) / max(1, len(pairs))

    def baselines(self) -> dict[str, Baseline]:
        return {name: partial(self._answer_of, chooser) for name, chooser in CHOOSERS.items()}

    def content(self, task: Task) -> Any:
        """The set of events and that of the priorities: their order, or another column, makes no other task."""
        return [sorted(task["events"]), sorted(task["priority_events"])]

    def check(self, task: Mapping[str, Any]) -> None:
        """Refuses a row without a column, with an event or a priority that cannot be, or with a wrong optimum."""
        super().check(task)
        check_events(task)
        events = read_events(task["events"])
        if self.form is Form.WORDS:
            _check_words(events)
        plan = solve(events, task["priority_events"])
        if len(plan.chosen) < FEWEST:
            raise UserError(
                f"events: the best schedule has fewer than {FEWEST}, so that no valid answer is the best one"
            )
        if task["optimal_score"] != plan.score:
            raise UserError(f"optimal_score: {task['optimal_score']!r:.80} is given, and {plan.score} is the optimum")

    def _judge(self, task: Task, completion: str) -> tuple[Failure, float]:
        events, priorities = tuple(map(tuple, task["events"])), tuple(task["priority_events"])
        failure, value = _judged(completion, self.form, events, priorities)
        return failure, value / task["optimal_score"]

    def _answer_of(self, chooser: Chooser, task: Task, random: Random) -> str:
        chosen = chooser(read_events(task["events"]), task["priority_events"], random)
        return write_answer("", chosen, self.form)


@lru_cache(maxsize=512)  # a step's completions: success and info, and rewards made of them, ask for the same
def _judged(
    completion: str, form: Form, events: tuple[tuple[str, ...], ...], priorities: tuple[str, ...]
) -> tuple[Failure, int]:
    """What is wrong with a schedule, and its value, 0 where it is invalid; events as a task has them."""
    answer = read_answer(completion, form)
    failure = find_failure(answer, set(read_events(events)))
    return failure, 0 if answer is None or failure is not Failure.NONE else total_value(answer, priorities)


def _step(event: Event, total: int, priorities: list[str]) -> str:
    return f"{event.name}, {event.start} to {event.end}: worth {value_of(event, priorities)}, best from here {total}"


def _check_words(events: list[Event]) -> None:
    for event in events:
        if read_answer(write_answer("", [event], Form.WORDS), Form.WORDS) != [event]:
            raise UserError(f"events: {event.name!r:.80}: the tier compact wants one letter and whole hours, 0 to 9")
