"""A policy on held-out tasks: sampled, scored, and summed up with intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from typing import Any

from rlvr.evaluation.statistics import Estimate, estimate
from rlvr_envs import Baseline, Environment, Task
from rlvr_envs.seeds import derive_random
from rlvr_rewards import Reward, UserError

NUMERIC_INFO = ("optimum_ratio",)

Policy = Callable[[Sequence[Task], int], list[list[str]]]
"""For each task, as many completions as asked for."""


@dataclass(frozen=True)
class Evaluation:
    """What a policy did on the held-out tasks.

    Attributes:
        stage: The name of the stage whose model it is, or of the baseline.
        values: For each metric, for each task, the value of each sample.
    """

    stage: str
    values: dict[str, list[list[float]]]

    def estimate(self, metric: str, seed: int) -> Estimate:
        return estimate(self.values[metric], seed)


def held_out_tasks(env: Environment, split: str, num_tasks: int, seed: int) -> list[Task]:
    """The first `num_tasks` rows of a split under a seed; fewer where there are fewer."""
    tasks = list(islice(env.rows(split, seed), num_tasks))
    if not tasks:
        raise UserError(f"{env.name} has no rows in its split {split!r}")
    return tasks


def evaluate(
    stage: str, env: Environment, reward: Reward, tasks: Sequence[Task], completions: Sequence[Sequence[str]]
) -> Evaluation:
    """Scores each task's completions: `score` (0.0 where a part failed), `success`, each part, and numeric info."""
    values: dict[str, list[list[float]]] = {}
    for task, samples in zip(tasks, completions, strict=True):
        measured = [_measure(env, reward, task, completion) for completion in samples]
        for metric in measured[0]:
            values.setdefault(metric, []).append([sample[metric] for sample in measured])
    return Evaluation(stage, values)


def _measure(env: Environment, reward: Reward, task: Task, completion: str) -> dict[str, float]:
    score = reward.score(completion, **task)
    info = env.info(task, completion)
    return {
        "score": score.reward or 0.0,
        "success": float(env.success(task, completion)),
        **{metric: float(info[metric]) for metric in NUMERIC_INFO if metric in info},
        **{f"parts.{name}": value or 0.0 for name, value in score.parts.items()},
        "errors": float(bool(score.errors)),
    }


def baseline_policy(env: Environment, name: str, seed: int) -> Policy:
    """A baseline of the environment as a policy."""
    baseline: Baseline = env.baselines()[name]

    def sample(tasks: Sequence[Task], num_samples: int) -> list[list[str]]:
        return [
            [baseline(task, _random(env, name, task, seed, sample)) for sample in range(num_samples)] for task in tasks
        ]

    return sample


def _random(env: Environment, name: str, task: Task, seed: int, sample: int) -> Random:
    return derive_random(seed, baseline=name, task_id=env.task_id(task), sample=sample)


def result_rows(evaluation: Evaluation, common: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """The rows of `results.json`: one a metric, with its mean and 95% interval."""
    rows = []
    for metric in evaluation.values:
        found = evaluation.estimate(metric, seed)
        rows.append(
            {
                "stage": evaluation.stage,
                **common,
                "metric": metric,
                "mean": found.mean,
                "ci_low": found.ci_low,
                "ci_high": found.ci_high,
                "n": found.n,
            }
        )
    return rows
