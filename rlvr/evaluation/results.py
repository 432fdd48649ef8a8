"""The rows of `results.json`: one a policy and metric, and one for each paired difference between two policies.

A difference to an earlier policy of the same evaluation is a row like the others, whose metric says so: `success-sft`
in the stage `grpo` is the success of `grpo` less that of `sft` on the same tasks, with a paired interval.
"""

from collections.abc import Sequence
from typing import Any

from rlvr.evaluation.evaluate import Evaluation, Exam
from rlvr.evaluation.statistics import Estimate, Kind, estimate, paired_difference

ResultRow = dict[str, Any]
"""stage, model, env, split, metric, mean, ci_low, ci_high, n, samples, temperature, seed."""


def result_rows(
    evaluations: Sequence[Evaluation], exam: Exam, models: dict[str, str], compared: Sequence[str]
) -> list[ResultRow]:
    """The rows of an evaluation, in the order of its policies.

    Args:
        evaluations: One a policy.
        exam: What they were given.
        models: The model of each policy that has one, by its stage: a hub id, or a path.
        compared: The metrics whose differences to every policy before are rows too.
    """
    rows = []
    for number, evaluation in enumerate(evaluations):
        found = {metric: estimate(values, exam.seed, kind_of(metric)) for metric, values in evaluation.values.items()}
        for before in evaluations[:number]:
            for metric in compared:
                if metric in evaluation.values and metric in before.values:
                    ours, theirs = evaluation.values[metric], before.values[metric]
                    found[difference(metric, before.stage)] = paired_difference(ours, theirs, exam.seed)
        rows += [_row(evaluation, exam, models.get(evaluation.stage), metric, found[metric]) for metric in found]
    return rows


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


def _row(evaluation: Evaluation, exam: Exam, model: str | None, metric: str, found: Estimate) -> ResultRow:
    return {
        "stage": evaluation.stage,
        "model": model,
        "env": exam.env.name,
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
