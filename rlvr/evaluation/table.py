"""Evaluations side by side for the terminal: a table a metric, narrow enough for 80 columns."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlvr.evaluation.evaluate import Evaluation
from rlvr.evaluation.results import ResultRow, difference
from rlvr.traces.text import visible


def show_results(
    console: Console, rows: Sequence[ResultRow], evaluations: Sequence[Evaluation], metrics: Sequence[str]
) -> None:
    """A table for each of the metrics, then a warning for each policy with errors."""
    show_metrics(console, rows, metrics)
    for evaluation in evaluations:
        _warn_of_errors(console, rows, evaluation)


def show_metrics(console: Console, rows: Sequence[ResultRow], metrics: Sequence[str]) -> None:
    """A table for each of the metrics and environments, from the rows of `results.json` alone."""
    known = dict.fromkeys(row["metric"] for row in rows)
    for metric in metrics:
        if metric in known:
            for env in dict.fromkeys(row["env"] for row in rows if row["metric"] == metric):
                _show_metric(console, [row for row in rows if row["env"] == env], metric)
        else:
            _warn(console, f"nothing has the metric {metric!r}; there are: {', '.join(known)}")


def show_model(console: Console, rows: Sequence[ResultRow], evaluation: Evaluation) -> None:
    """One policy by itself: a line a metric, then a warning where there were errors."""
    table = _table("metric", "mean", "95%")
    for row in rows:
        table.add_row(Text(visible(row["metric"])), f"{row['mean']:.3f}", _interval(row))
    _show(console, f"{evaluation.stage} on {_tasks(rows)}", table)
    _warn_of_errors(console, rows, evaluation)


def _show_metric(console: Console, rows: Sequence[ResultRow], metric: str) -> None:
    """A line a policy: its mean, and the paired difference to the line above, both with 95% intervals."""
    lines = [row for row in rows if row["metric"] == metric]
    errors = {row["stage"]: row["mean"] for row in rows if row["metric"] == "errors"}
    has_errors = any(errors.values())
    table = _table("stage", metric, "95%", "Δ above", "95%", *(["errors"] if has_errors else []))
    above = ""
    for row in lines:
        change = _find(rows, row["stage"], difference(metric, above))
        table.add_row(
            Text(row["stage"]),
            f"{row['mean']:.3f}",
            _interval(row),
            *([f"{change['mean']:+.3f}", _interval(change, "+")] if change else ["", ""]),
            *([f"{errors.get(row['stage'], 0.0):.1%}"] if has_errors else []),
        )
        above = row["stage"]
    _show(console, f"{metric} on {_tasks(lines)}", table)


def _table(*headers: str) -> Table:
    """An empty table: names at the left, numbers at the right."""
    table = Table(box=box.SIMPLE_HEAD)
    for header in headers:
        is_first = header == headers[0]
        table.add_column(
            Text(visible(header)),
            justify="left" if is_first else "right",
            overflow="fold",
            no_wrap=header == "95%",
            max_width=20 if is_first else None,
        )
    return table


def _show(console: Console, title: str, table: Table) -> None:
    console.print(Text(visible(title), style="bold"))
    console.print(table)


def _tasks(rows: Sequence[ResultRow]) -> str:
    """Such as `500 tasks of gsm8k test, 1 sample each, temperature 1`; policies without a model have no temperature."""
    row = rows[-1]
    samples = "1 sample" if row["samples"] == 1 else f"{row['samples']} samples"
    temperature = "" if row["temperature"] is None else f", temperature {row['temperature']:g}"
    return f"{row['n']} tasks of {row['env']} {row['split']}, {samples} each{temperature}"


def _interval(row: ResultRow, sign: str = "") -> str:
    """Such as `0.390 … 0.472`."""
    return f"{row['ci_low']:{sign}.3f} … {row['ci_high']:{sign}.3f}"


def _find(rows: Sequence[ResultRow], stage: str, metric: str) -> ResultRow | None:
    return next((row for row in rows if row["stage"] == stage and row["metric"] == metric), None)


def _warn_of_errors(console: Console, rows: Sequence[ResultRow], evaluation: Evaluation) -> None:
    share = _find(rows, evaluation.stage, "errors")
    if share and share["mean"] > 0:
        _warn(
            console,
            f"{evaluation.stage}: in {share['mean']:.1%} of completions something failed, and a score that is "
            f"missing counts as 0; the first error: {evaluation.first_error}",
        )


def _warn(console: Console, message: str) -> None:
    console.print(Text(f"warning: {visible(message)}", style="yellow"), soft_wrap=True)
