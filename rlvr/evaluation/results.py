"""The rows of `results.json`: one a policy and metric, and one for each paired difference between two policies.

A difference to an earlier policy of the same evaluation is a row like the others, whose metric says so: `success-sft`
in the stage `grpo` is the success of `grpo` less that of `sft` on the same tasks, with a paired interval.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rlvr.evaluation.evaluate import Evaluation, Exam
from rlvr.evaluation.statistics import Estimate, Kind, estimate, paired_difference

ResultRow = dict[str, Any]
"""stage, model, env, split, metric, mean, ci_low, ci_high, n, samples, temperature, seed."""


def result_rows(
    evaluations: Sequence[Evaluation], exam: Exam, models: dict[str, str], compared: Sequence[str]
) -> list[ResultRow]:
    """The rows of an evaluation, in the order of its policies; of several environments first all tasks, then each's.

    Args:
        evaluations: One a policy.
        exam: What they were given.
        models: The model of each policy that has one, by its stage: a hub id, or a path.
        compared: The metrics whose differences to every policy before are rows too.
    """
    labels = [exam.env.traced(task)[0] for task in exam.tasks]
    rows = []
    for env in dict.fromkeys((exam.env.name, *labels)):
        of_env = evaluations if env == exam.env.name else [_of(each, env, labels) for each in evaluations]
        for number, evaluation in enumerate(of_env):
            found = _estimates(evaluation, of_env[:number], compared, exam.seed)
            model = models.get(evaluation.stage)
            rows += [_row(evaluation, exam, env, model, metric, found[metric]) for metric in found]
    return rows


def _of(evaluation: Evaluation, env: str, labels: Sequence[str]) -> Evaluation:
    """What a policy did on the tasks of one environment; metrics that they have not are left out."""
    values = {
        metric: [samples for samples, label in zip(of_tasks, labels, strict=True) if label == env]
        for metric, of_tasks in evaluation.values.items()
    }
    return replace(evaluation, values={metric: found for metric, found in values.items() if any(found)})


def _estimates(
    evaluation: Evaluation, before: Sequence[Evaluation], compared: Sequence[str], seed: int
) -> dict[str, Estimate]:
    """Each metric, and the differences to the policies before."""
    found = {metric: estimate(values, seed, kind_of(metric)) for metric, values in evaluation.values.items()}
    for other in before:
        for metric in compared:
            if metric in evaluation.values and metric in other.values:
                ours, theirs = evaluation.values[metric], other.values[metric]
                found[difference(metric, other.stage)] = paired_difference(ours, theirs, seed)
    return found


def kind_of(metric: str) -> Kind:
    """What the values of a metric are, by its name.

    >>> kind_of("success"), kind_of("parts.format"), kind_of("optimum_ratio")
    (<Kind.SHARE: 'share'>, <Kind.FRACTION: 'fraction'>, <Kind.NUMBER: 'number'>)
    """
    if metric in ("success", "errors", "truncated") or metric.startswith("pass@"):
        return Kind.SHARE
    return Kind.FRACTION if metric.startswith("parts.") else Kind.NUMBER


def difference(metric: str, stage: str) -> str:
    """The name of the metric that says how much better a policy is than that of `stage`, such as `success-sft`."""
    return f"{metric}-{stage}"


def _row(evaluation: Evaluation, exam: Exam, env: str, model: str | None, metric: str, found: Estimate) -> ResultRow:
    return {
        "stage": evaluation.stage,
        "model": model,
        "env": env,
        "split": exam.split,
        "metric": metric,
        "mean": found.mean,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "n": found.n,
        "samples": exam.num_samples,
        "temperature": evaluation.temperature,
        "seed": exam.seed,
    }
