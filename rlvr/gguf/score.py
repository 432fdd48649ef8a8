"""The environment's own evaluation, model against file, on the same tasks with the same random numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rlvr.engine.sampling import SamplingParams
from rlvr.evaluation.evaluate import Evaluation, Exam, evaluate
from rlvr.evaluation.gguf_policy import GGUFPolicy
from rlvr.evaluation.statistics import Estimate, paired_difference
from rlvr.gguf.gate import Finding
from rlvr.traces.store import TraceWriter

METRICS = ("success", "score")


@dataclass(frozen=True)
class ScoreGate:
    """What may be lost.

    Attributes:
        exam: The tasks.
        params: How completions are drawn.
        before: The model in transformers, on that exam.
        margin: Points (hundredths of the most there is) that success and score may drop.
    """

    exam: Exam
    params: SamplingParams
    before: Evaluation
    margin: float


def evaluate_file(
    path: Path, gate: ScoreGate, traces: Path | None = None, on_tasks: Callable[[int], None] = lambda num_tasks: None
) -> tuple[Evaluation, list[Finding]]:
    """A file on the exam, and for success and score whether it dropped by more than the margin, beyond chance.

    Beyond chance: the 95% interval of the paired difference lies below zero.
    """
    writer = TraceWriter(traces, path.stem, gate.exam.split) if traces else None
    policy = GGUFPolicy(str(path), gate.exam.env, gate.params, gate.exam.split, gate.exam.seed)
    try:
        found = evaluate(path.stem, policy, gate.exam, writer, on_tasks=on_tasks)
    finally:
        policy.close()
    return found, [judged(metric, gate, found) for metric in METRICS if metric in found.values]


def judged(metric: str, gate: ScoreGate, found: Evaluation) -> Finding:
    """Whether one metric holds, in points."""
    most = 1.0 if metric == "success" else gate.exam.reward.max
    before = gate.before.values.get(metric)
    if before is None:
        return Finding(metric, True, "the model has none to compare with")
    change = _in_points(paired_difference(found.values[metric], before, gate.exam.seed), most)
    dropped = change.mean < -gate.margin and change.ci_high < 0
    unsure = " (the tasks are too few to tell)" if not dropped and change.ci_low < -gate.margin else ""
    interval = f"{change.ci_low:+.1f} … {change.ci_high:+.1f}"
    verb = f"dropped by {-change.mean:.1f}" if dropped else f"{change.mean:+.1f}"
    values = {"points": change.mean, "ci_low": change.ci_low, "ci_high": change.ci_high, "n": change.n}
    return Finding(metric, not dropped, f"{verb} points ({interval}) on {change.n} tasks{unsure}", values)


def _in_points(change: Estimate, most: float) -> Estimate:
    scale = 100 / most
    return Estimate(change.mean * scale, change.ci_low * scale, change.ci_high * scale, change.n)
