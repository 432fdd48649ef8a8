"""A policy on held-out tasks: sampled, scored, traced, and kept as values that intervals are made from.

Not here: intervals (`statistics`), the rows of `results.json` (`results`), the closing table (`table`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from rlvr.engine.rollout import traced_turns
from rlvr.engine.sampling import FinishReason
from rlvr.evaluation.metrics import OURS, is_number, pass_ks
from rlvr.evaluation.policy import Answer, Policy
from rlvr.evaluation.statistics import pass_at_k
from rlvr.score_stream import score_records
from rlvr.traces.schema import TraceRow
from rlvr.traces.store import TraceWriter
from rlvr_envs import Environment, Task
from rlvr_rewards import Reward, UserError
from rlvr_rewards.row import completion_text

_ROWS_AT_ONCE = 128
"""Completions sampled between two updates of the progress bar, and held in memory at once."""

Values = dict[str, list[list[float]]]


@dataclass(frozen=True)
class Exam:
    """What is the same for every policy of an evaluation.

    Attributes:
        tasks: Held-out tasks of `split`.
        num_samples: Completions a task.
        run: The name of the run, for the traces.
    """

    env: Environment
    reward: Reward
    split: str
    tasks: Sequence[Task]
    num_samples: int
    seed: int
    run: str


@dataclass(frozen=True)
class Evaluation:
    """What a policy did on the tasks of an exam.

    Attributes:
        stage: The name of the stage whose model it is, or of the baseline.
        temperature: Of sampling; `None` for a baseline.
        values: For each metric, for each task, the value of each sample that has one.
        first_error: What went wrong in the first completion a part of which failed; empty where none did.
    """

    stage: str
    temperature: float | None
    values: Values
    first_error: str = ""


@dataclass
class _Scored:
    """What a policy did so far."""

    num_tasks: int
    values: Values = field(default_factory=dict)
    first_error: str = ""

    def add(self, task_number: int, measured: dict[str, float | None]) -> None:
        """Adds one sample's values; a metric that it lacks, or that is `None`, stays without one."""
        for metric, value in measured.items():
            if value is not None:
                self.values.setdefault(metric, [[] for _ in range(self.num_tasks)])[task_number].append(value)


def held_out_tasks(env: Environment, split: str, num_tasks: int, seed: int) -> list[Task]:
    """The first `num_tasks` rows of a split under a seed, of several environments of each; fewer where there are fewer.

    Raises:
        UserError: There is no such split, or it has no rows.
    """
    env.require_split(split)
    tasks = [task for rows in env.streams(split, seed).values() for task in islice(rows, num_tasks)]
    if not tasks:
        raise UserError(f"{env.name} has no rows in its split {split!r}")
    return tasks


def evaluate(
    stage: str,
    policy: Policy,
    exam: Exam,
    traces: TraceWriter | None = None,
    policy_version: int | None = None,
    on_tasks: Callable[[int], None] = lambda num_tasks: None,
) -> Evaluation:
    """Lets a policy answer every task, scores its completions, and writes a trace row for each.

    The metrics: `score` (0.0 where a part failed, none where no part applied), `success`, `parts.NAME`, every number of
    the environment's info under its own name, `errors` (the share in which something failed), for a model `tokens` and
    `truncated` (cut short by the budget of tokens or turns), and with more than one sample `pass@2`, `pass@4`, … up to
    all of them.

    Args:
        stage: The name of the stage whose model it is, or of the baseline.
        policy: Who answers.
        exam: The tasks and how they are scored.
        traces: Where the rows go, as step 0; an earlier evaluation's are replaced.
        policy_version: Optimizer steps behind the model's weights, where known.
        on_tasks: Told after each chunk how many tasks it held.

    Raises:
        UserError: The policy cannot take one of the tasks; nothing was sampled.
    """
    policy.check(exam.tasks)
    if traces is None:
        return _evaluate(stage, policy, exam, lambda rows: None, policy_version, on_tasks)
    with traces.open_step(0) as write:
        return _evaluate(stage, policy, exam, write, policy_version, on_tasks)


def _evaluate(
    stage: str,
    policy: Policy,
    exam: Exam,
    write: Callable[[Sequence[TraceRow]], None],
    policy_version: int | None,
    on_tasks: Callable[[int], None],
) -> Evaluation:
    scored = _Scored(len(exam.tasks))
    for first, tasks in _chunks(exam):
        rows = []
        groups = enumerate(policy.answer(tasks, exam.num_samples), start=first)
        answered = [(number, sample, answer) for number, group in groups for sample, answer in enumerate(group)]
        started = time.perf_counter()
        verdicts = _verdicts([exam.tasks[number] for number, _, _ in answered], [each[2] for each in answered], exam)
        reward_s = (time.perf_counter() - started) / max(1, len(answered))
        for (number, sample, answer), verdict in zip(answered, verdicts, strict=True):
            scored.add(number, _metrics(verdict, answer))
            scored.first_error = scored.first_error or _first_error(verdict)
            rows.append(_trace_row(stage, exam, number, sample, answer, verdict, reward_s, policy_version))
        write(rows)
        on_tasks(len(tasks))
    _add_pass_at_k(scored.values, exam.num_samples)
    return Evaluation(stage, policy.temperature, scored.values, scored.first_error)


def _chunks(exam: Exam) -> Iterator[tuple[int, Sequence[Task]]]:
    """The tasks a few at a time, each with the number of the first of them."""
    size = max(1, _ROWS_AT_ONCE // exam.num_samples)
    for first in range(0, len(exam.tasks), size):
        yield first, exam.tasks[first : first + size]


def _verdicts(tasks: Sequence[Task], answers: Sequence[Answer], exam: Exam) -> list[dict[str, Any]]:
    """What is said of each answer; one that never came is an error, and scores nothing."""
    said, known = [answer.said for answer in answers], [_known(answer) for answer in answers]
    verdicts = score_records(tasks, said, exam.env, exam.reward, known)
    for answer, verdict in zip(answers, verdicts, strict=True):
        if answer.failure:
            errors = {"request": answer.failure, **verdict["errors"]}
            verdict.update(reward=None, success=False, errors=errors)
    return verdicts


def _known(answer: Answer) -> dict[str, Any]:
    """The tokens of an answer, as rewards in training know them; a server may only have counted them."""
    if answer.completion.token_ids:
        return {"completion_ids": answer.completion.own_ids}
    return {"num_tokens": answer.counted_tokens} if answer.counted_tokens else {}


def _metrics(verdict: dict[str, Any], answer: Answer) -> dict[str, float | None]:
    errors = verdict["errors"]
    is_cut = answer.completion.finish_reason in (FinishReason.LENGTH, FinishReason.TURNS)
    from_model = {"tokens": float(answer.num_tokens), "truncated": float(is_cut)}
    return {
        "score": 0.0 if verdict["reward"] is None and errors else verdict["reward"],
        "success": float(bool(verdict["success"])),
        **{name: float(value) for name, value in verdict["info"].items() if is_number(value) and name not in OURS},
        **{f"parts.{name}": 0.0 if name in errors else value for name, value in verdict["parts"].items()},
        "errors": float(bool(errors)),
        **(from_model if answer.num_tokens else {}),
    }


def _first_error(verdict: dict[str, Any]) -> str:
    return next((f"{name}: {error}" for name, error in verdict["errors"].items()), "")


def _add_pass_at_k(values: Values, num_samples: int) -> None:
    for k in pass_ks(num_samples):
        values[f"pass@{k}"] = [[pass_at_k(len(samples), int(sum(samples)), k)] for samples in values["success"]]


def _trace_row(
    stage: str,
    exam: Exam,
    number: int,
    sample: int,
    answer: Answer,
    verdict: dict[str, Any],
    reward_s: float,
    policy_version: int | None,
) -> TraceRow:
    task, completion = exam.tasks[number], answer.completion
    env_name, row = exam.env.traced(task)
    return TraceRow(
        run=exam.run,
        stage=stage,
        split=exam.split,
        env=env_name,
        step=0,
        group=number,
        sample=sample,
        task_id=exam.env.task_id(task),
        task=row,
        messages=exam.env.messages(task),
        gold=completion_text(exam.env.gold(task)),
        completion=answer.text,
        turns=traced_turns(completion) or list(answer.turns) or None,
        token_ids=completion.token_ids,
        logprobs=completion.logprobs,
        entropies=completion.entropies,
        alternatives=completion.alternatives,
        finish_reason=completion.finish_reason,
        parts=verdict["parts"],
        errors=verdict["errors"],
        info=verdict["info"],
        reward=verdict["reward"],
        success=verdict["success"],
        seed=answer.seed,
        policy_version=policy_version,
        prompt_tokens=answer.num_prompt_tokens,
        sample_s=completion.seconds,
        reward_s=reward_s,
        time=time.time(),
    )
