"""Groups sampled once from one model, scored and traced, before anything is learned from them.

They are sampled in batches, and a batch is one shard of the traces, whole or absent: so the traces are where an
interrupted stage goes on. Not here: what is made of the groups, and sampling during an update (`GroupTrainer`).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from rlvr.engine.failing_rewards import reward_always_failed
from rlvr.engine.new_rollout import new_rollout
from rlvr.engine.rollout import Origin
from rlvr.engine.sampling import MAX_ROWS, FinishReason, Sampler, SamplingParams
from rlvr.engine.turns import sample_episodes
from rlvr.models.chat import prompt_ids
from rlvr.progress import progress_bar
from rlvr.replacing import write_json
from rlvr.traces.schema import TraceRow
from rlvr.traces.store import TraceWriter, read_shards, shards
from rlvr_envs import Environment, Message, Task
from rlvr_envs.seeds import canonical_json, content_id
from rlvr_rewards import Reward, UserError

_SPLIT = "train"
_MARK = "sampled.json"


@dataclass(frozen=True)
class Sampled:
    """One completion, with the columns of its trace row that pairs and verified samples need."""

    task_id: str
    messages: list[Message]
    completion: str
    completion_tokens: int
    finish_reason: str
    reward: float | None
    success: bool | None
    turns: list[dict[str, Any]] | None = None

    @property
    def finished(self) -> bool:
        """Whether the model ended its turn itself."""
        return self.finish_reason == FinishReason.STOP


_COLUMNS = tuple(field.name for field in fields(Sampled))


@dataclass(frozen=True)
class GroupPlan:
    """Which groups are sampled, of what, and where they are written.

    Attributes:
        env: Of the tasks.
        reward: What completions earn.
        tasks: One group each.
        group_size: Completions a task.
        params: How they are drawn.
        origin: The run, stage and seed.
        first_step: The batches are the steps after this one in the traces.
        policy_version: Which of the stage's models samples; 0: the one that it starts from.
        traces: The run's folder of them.
        state: The stage's folder of checkpoints; what it says of the groups decides whether those there are these.
    """

    env: Environment
    reward: Reward
    tasks: Sequence[Task]
    group_size: int
    params: SamplingParams
    origin: Origin
    first_step: int
    policy_version: int
    traces: Path
    state: Path

    @property
    def tasks_at_once(self) -> int:
        return max(1, MAX_ROWS // self.group_size)

    @property
    def steps(self) -> range:
        """The batches' numbers in the traces."""
        return range(self.first_step + 1, self.first_step + 1 - (-len(self.tasks) // self.tasks_at_once))

    def batch(self, step: int) -> Sequence[Task]:
        first = (step - self.first_step - 1) * self.tasks_at_once
        return self.tasks[first : first + self.tasks_at_once]


def training_tasks(env: Environment, num_tasks: int, seed: int) -> list[Task]:
    """The first training tasks under a seed; fewer where there are fewer.

    Raises:
        UserError: There is none.
    """
    tasks = list(islice(env.rows(_SPLIT, seed), num_tasks))
    if not tasks:
        raise UserError(f"{env.name} has no training tasks to sample completions of")
    return tasks


def begin(state: Path, traces: Path, stage: str, made_from: Any) -> bool:
    """Keeps the batches that a stage has sampled where they were made from the same, and removes them otherwise.

    Returns:
        Whether it begins anew.

    Args:
        state: The stage's folder of checkpoints.
        traces: The run's folder of them.
        stage: The name of the stage.
        made_from: What the groups depend on, as JSON values.
    """
    mark = state / _MARK
    if mark.exists() and mark.read_text(encoding="utf-8") == f'"{content_id(made_from)}"\n':
        return False
    TraceWriter(traces, stage, _SPLIT).drop_after(0)
    state.mkdir(parents=True, exist_ok=True)
    write_json(mark, content_id(made_from))
    return True


def not_sampled(plan: GroupPlan) -> list[int]:
    """The batches that are not in the traces yet."""
    there = {shard.step for shard in shards(plan.traces, plan.origin.stage, _SPLIT)}
    return [step for step in plan.steps if step not in there]


def sample_groups(
    plan: GroupPlan, steps: Sequence[int], sampler: Sampler, tokenizer: Any, console: Console, label: str
) -> None:
    """Samples, scores and writes some batches, each a shard of the traces.

    Raises:
        UserError: The reward fails for every completion of a batch.
    """
    writer = TraceWriter(plan.traces, plan.origin.stage, _SPLIT)
    with progress_bar(console, f"{label}: sampling", sum(len(plan.batch(step)) for step in steps)) as advance:
        for step in steps:
            writer.write(step, _sample_batch(plan, step, sampler, tokenizer))
            advance(len(plan.batch(step)))


def read_groups(plan: GroupPlan) -> Iterator[list[Sampled]]:
    """The completions of each group, in order, as they stand in the traces.

    Raises:
        UserError: A file of them cannot be read.
    """
    found = [shard for shard in shards(plan.traces, plan.origin.stage, _SPLIT) if shard.step in plan.steps]

    def refuse(line: str) -> None:
        raise UserError(f"stage {plan.origin.stage}: {line}: remove that file, and run again to sample it anew")

    for _, table in read_shards(found, on_bad=refuse, columns=["group", *_COLUMNS]):
        groups: dict[int, list[Sampled]] = {}
        for row in table.to_pylist():
            number = row.pop("group")
            row["messages"] = json.loads(row["messages"])
            row["turns"] = row["turns"] and json.loads(row["turns"])
            groups.setdefault(number, []).append(Sampled(**row))
        yield from groups.values()


def _sample_batch(plan: GroupPlan, step: int, sampler: Sampler, tokenizer: Any) -> list[TraceRow]:
    tasks = [task for task in plan.batch(step) for _ in range(plan.group_size)]
    inputs = [{"task": canonical_json(task), "task_id": plan.env.task_id(task)} for task in tasks]
    rollout = new_rollout(inputs, [row // plan.group_size for row in range(len(tasks))], plan.origin, step)
    prompts = [
        prompt_ids(tokenizer, plan.env.messages(task)) for task in plan.batch(step) for _ in range(plan.group_size)
    ]
    groups = sample_episodes(sampler, rollout.requests(prompts), plan.params, plan.env, rollout.asked(), tokenizer)
    rollout.take(groups, prompts, tokenizer)
    rollout.score(plan.env, plan.reward)
    if all(score.errors for score in rollout.scores):
        raise reward_always_failed(rollout, f"a batch of {plan.origin.stage}")
    rows = rollout.trace_rows(plan.env, [None] * len(rollout), rollout.unscored())
    for row in rows:
        row.policy_version = plan.policy_version
    return rows
