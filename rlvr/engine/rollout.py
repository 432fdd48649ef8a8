"""The completions of one step on this process: whose they are, their seeds, their scores, and their trace rows.

Not here: how they are sampled (`Sampler`) and what is learned from them (`GroupTrainer`).
"""

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rlvr.engine.sampling import Completion, Request
from rlvr.score_stream import judge
from rlvr.traces.schema import TraceRow
from rlvr_envs import Environment, Task
from rlvr_envs.seeds import derive_seed
from rlvr_rewards import Score
from rlvr_rewards.row import ABSENT


@dataclass(frozen=True)
class Origin:
    """Where the completions of a trainer belong: what its traces and seeds are labelled with."""

    run: str
    stage: str
    seed: int


@dataclass
class Rollout:
    """N completions of whole or parts of groups; row `n` is sample `samples[n]` of group `groups[n]`.

    Attributes:
        origin: The run and stage.
        step: The optimizer step that they are sampled for, from 1.
        seeds: Of each completion, all different.
        solved: Whether each completion solves its task; `None` where the environment failed to say.
        infos: What else the environment says of each completion.
        reward_s: Seconds that scoring took, a completion.
    """

    origin: Origin
    step: int
    tasks: list[Task]
    task_ids: list[str]
    groups: list[int]
    samples: list[int]
    seeds: list[int]
    prompt_tokens: list[int] = field(default_factory=list)
    completions: list[Completion] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    solved: list[bool | None] = field(default_factory=list)
    infos: list[dict[str, Any]] = field(default_factory=list)
    reward_s: float = 0.0

    def requests(self, prompt_ids: Sequence[Sequence[int]]) -> list[Request]:
        """One request a group; the rows of a group stand next to each other."""
        prompts: dict[int, Sequence[int]] = {}
        seeds: dict[int, list[int]] = {}
        for group, ids, seed in zip(self.groups, prompt_ids, self.seeds, strict=True):
            prompts.setdefault(group, ids)
            seeds.setdefault(group, []).append(seed)
        return [Request(ids, seeds[group]) for group, ids in prompts.items()]

    def columns(self) -> dict[str, list[Any]]:
        """The columns that tasks have, as rewards ask for them: each task keeps its own, whatever stands beside it."""
        names = dict.fromkeys(name for task in self.tasks for name in task)
        return {name: [task.get(name, ABSENT) for task in self.tasks] for name in names}

    def judge(self, env: Environment) -> None:
        """Asks the environment what it says of each completion; where it fails, the completion's errors say so."""
        for task, text, score in zip(self.tasks, self.texts, self.scores, strict=True):
            success, info, errors = judge(task, text, env)
            self.solved.append(success)
            self.infos.append(info)
            score.errors.update(errors)

    def trace_rows(self, env: Environment, advantages: Sequence[float]) -> list[TraceRow]:
        """One row a completion, once all of it is known."""
        prompts = {
            group: (env.messages(task), env.gold(task)) for group, task in zip(self.groups, self.tasks, strict=True)
        }
        now = time.time()
        return [
            TraceRow(
                run=self.origin.run,
                stage=self.origin.stage,
                split="train",
                env=env.name,
                step=self.step,
                group=self.groups[n],
                sample=self.samples[n],
                task_id=self.task_ids[n],
                task=self.tasks[n],
                messages=prompts[self.groups[n]][0],
                gold=prompts[self.groups[n]][1],
                completion=self.texts[n],
                token_ids=completion.token_ids,
                logprobs=completion.logprobs,
                finish_reason=completion.finish_reason,
                parts=score.parts,
                errors=score.errors,
                info=self.infos[n],
                reward=score.reward,
                success=self.solved[n],
                advantage=advantages[n],
                kept=score.reward is not None,
                why_not_kept="the reward failed or did not apply" if score.reward is None else None,
                seed=self.seeds[n],
                policy_version=self.step - 1,
                prompt_tokens=self.prompt_tokens[n],
                sample_s=completion.seconds,
                reward_s=self.reward_s,
                time=now,
            )
            for n, (completion, score) in enumerate(zip(self.completions, self.scores, strict=True))
        ]


def new_rollout(
    inputs: Sequence[dict[str, Any]], first_row: int, group_size: int, origin: Origin, step: int
) -> Rollout:
    """The rows that TRL hands to this process, before anything is sampled.

    Args:
        inputs: Rows of the dataset, each with `task` (JSON text) and `task_id`.
        first_row: The number of the first of them in the batch of all processes: row // group size is the group.
        group_size: Completions a prompt.
        origin: The run and stage.
        step: The optimizer step that they are sampled for.
    """
    places = [divmod(first_row + row, group_size) for row in range(len(inputs))]
    groups, samples = [group for group, _ in places], [sample for _, sample in places]
    task_ids = [example["task_id"] for example in inputs]
    occurrences = _occurrences(groups, task_ids)
    seeds = [
        derive_seed(
            origin.seed,
            stage=origin.stage,
            split="train",
            step=step,
            task_id=task_id,
            occurrence=occurrences[group],
            attempt=0,
            turn=0,
            sample=sample,
        )
        for task_id, group, sample in zip(task_ids, groups, samples, strict=True)
    ]
    return Rollout(origin, step, [json.loads(e["task"]) for e in inputs], task_ids, groups, samples, seeds)


def _occurrences(groups: Sequence[int], task_ids: Sequence[str]) -> dict[int, int]:
    """For each group, how many groups before it in this batch are of the same task."""
    seen: Counter[str] = Counter()
    found: dict[int, int] = {}
    for group, task_id in zip(groups, task_ids, strict=True):
        if group not in found:
            found[group] = seen[task_id]
            seen[task_id] += 1
    return found
