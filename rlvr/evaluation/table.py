"""Evaluations side by side, as a table for the terminal."""

from collections.abc import Sequence

from rich.table import Table

from rlvr.evaluation.evaluate import Evaluation
from rlvr.evaluation.statistics import Estimate, paired_difference


def results_table(evaluations: Sequence[Evaluation], metrics: Sequence[str], seed: int) -> Table:
    """A row a policy: each metric with its 95% interval, and the paired difference to the row before."""
    metrics = [metric for metric in metrics if all(metric in e.values for e in evaluations)]
    table = Table(title_justify="left", title=f"{len(evaluations[0].values[metrics[0]])} held-out tasks, 95% intervals")
    table.add_column("stage")
    for metric in metrics:
        table.add_column(metric, justify="right")
        table.add_column("± row above", justify="right", style="dim")
    for index, evaluation in enumerate(evaluations):
        cells = []
        for metric in metrics:
            cells.append(interval(evaluation.estimate(metric, seed)))
            before = evaluations[index - 1] if index else None
            cells.append(
                interval(paired_difference(evaluation.values[metric], before.values[metric], seed), signed=True)
                if before
                else ""
            )
        table.add_row(evaluation.stage, *cells)
    return table


def interval(found: Estimate, signed: bool = False) -> str:
    """An estimate as text, such as `0.431 [0.390, 0.472]`."""
    sign = "+" if signed else ""
    return f"{found.mean:{sign}.3f} [{found.ci_low:{sign}.3f}, {found.ci_high:{sign}.3f}]"
