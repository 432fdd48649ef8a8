"""The table that a run ends with: each stage's score with its interval, what it added, and what it cost.

What a stage added is the difference to the model that it started from, or to the nearest one before that was evaluated
on the same tasks. The table is made from `results.json`, the manifest and, where two models were evaluated by different
stages, the traces. It needs no model, and is made anew whenever a run ends.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rlvr.config.schema import BASE, RunConfig, StageConfig
from rlvr.evaluation.recalled import Recalled, recalled_difference
from rlvr.evaluation.results import ResultRow, difference
from rlvr.pipeline.folder import RunFolder, read_entries
from rlvr.pipeline.space import size_text
from rlvr.stages import STAGES

ClosingRow = dict[str, Any]
"""stage, kind, metric, mean, ci_low, ci_high, n (tasks), before, difference, difference_low, difference_high, tokens,
seconds, peak_memory (bytes by device); what a stage has not is `None`."""

_SCORE = ("mean", "ci_low", "ci_high", "n")


def closing_rows(config: RunConfig, folder: RunFolder) -> list[ClosingRow]:
    """A row for each stage in order, the base model first where it was evaluated; baselines are left out."""
    entries, results = read_entries(folder.path), folder.results()
    metric, splits = _metric(config), _splits(config)
    made_from = _made_from(config)
    rows: list[ClosingRow] = []
    for name in _names(config, splits):
        entry = entries.get(name, {})
        row: ClosingRow = {
            "stage": name,
            "kind": entry.get("kind"),
            **dict.fromkeys(("metric", *_SCORE)),
            **dict.fromkeys(("before", "difference", "difference_low", "difference_high")),
            "tokens": entry.get("tokens"),
            "seconds": entry.get("seconds"),
            "peak_memory": entry.get("peak_memory"),
        }
        policy = (name, splits.get(name, ""))
        if found := _find(results, policy, metric):
            row |= {"metric": metric} | {key: found[key] for key in _SCORE}
            row |= _change(policy, made_from, metric, results, folder.path / "traces", config.seed)
        rows.append(row)
    return rows


def show_closing(console: Console, rows: Sequence[ClosingRow]) -> None:
    """The table, on 80 columns."""
    metric = next((row["metric"] for row in rows if row["metric"]), None)
    scored = ["mean", "95%", "Δ before", "95%"] if metric else []
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    for header in ("stage", *scored, "tokens", "time", "memory"):
        is_first = header == "stage"
        table.add_column(header, justify="left" if is_first else "right", no_wrap=not is_first, overflow="fold")
    for row in rows:
        cells = [_number(row, "mean"), _interval(row, "ci"), _number(row, "difference", "+")] if metric else []
        cells += [_interval(row, "difference", "+")] if metric else []
        peak = row["peak_memory"] or {}
        table.add_row(
            Text(row["stage"]),
            *cells,
            _short(row["tokens"]),
            _duration(row["seconds"]),
            size_text(peak.get("gpu", peak["cpu"])) if peak else "",
        )
    console.print(Text("the run, stage by stage" + (f": {metric}{_tasks(rows)}" if metric else ""), style="bold"))
    console.print(table)


def _tasks(rows: Sequence[ClosingRow]) -> str:
    """Of how many tasks the means are; where they differ, by stages: ` on 40 tasks (sft, dpo), on 500 (file)`."""
    stages: dict[int, list[str]] = {}
    for row in rows:
        if row["n"] is not None:
            stages.setdefault(row["n"], []).append(row["stage"])
    found = [f" on {n:,}{'' if number else ' tasks'}" for number, n in enumerate(stages)]
    if len(found) == 1:
        return found[0]
    return ",".join(f"{on} ({', '.join(names)})" for on, names in zip(found, stages.values(), strict=True))


def _metric(config: RunConfig) -> str:
    """The first metric of the last stage that evaluates."""
    return next((stage.metrics[0] for stage in reversed(config.stage) if getattr(stage, "metrics", ())), "success")


def _splits(config: RunConfig) -> dict[str, str]:
    """The split on which each model was evaluated last."""
    return {
        policy: split
        for stage in config.stage
        if _evaluates(stage)
        for policy, split in STAGES.get(stage.kind).traced(stage, config)
        if policy not in getattr(stage, "baselines", ())
    }


def _names(config: RunConfig, splits: dict[str, str]) -> list[str]:
    """The stages in order; the base model stands first, other evaluated models before what evaluates them."""
    names = [BASE] if BASE in splits else []
    stages = {stage.name for stage in config.stage}
    for stage in config.stage:
        policies = STAGES.get(stage.kind).traced(stage, config) if _evaluates(stage) else []
        others = [policy for policy, _ in policies if policy in splits and policy not in stages]
        names += [name for name in others if name not in names] + [stage.name]
    return names


def _made_from(config: RunConfig) -> dict[str, str]:
    """Of each model, and of each file that a stage exports, the stage whose model it was made from."""
    from rlvr.pipeline.run import start_of

    found: dict[str, str] = {}
    for stage in config.stage:
        kind = STAGES.get(stage.kind)
        if kind.makes_model:
            found[stage.name] = start_of(stage, config)
        elif stage.kind == "export":
            found |= {policy: start_of(stage, config) for policy, _ in kind.traced(stage, config)}
    return found


def _evaluates(stage: StageConfig) -> bool:
    return hasattr(stage, "metrics")


def _find(results: Sequence[ResultRow], policy: tuple[str, str], metric: str) -> ResultRow | None:
    return next((r for r in results if (r["stage"], r["split"]) == policy and r["metric"] == metric), None)


def _change(
    policy: tuple[str, str],
    made_from: Mapping[str, str],
    metric: str,
    results: Sequence[ResultRow],
    traces: Path,
    seed: int,
) -> ClosingRow:
    """The paired difference to the nearest model before that was given the same tasks."""
    name, split = policy
    while before := made_from.get(name):
        if found := _find(results, policy, difference(metric, before)):
            change = found["mean"], found["ci_low"], found["ci_high"]
        elif made := recalled_difference(Recalled(traces, *policy), Recalled(traces, before, split), metric, seed):
            change = made.mean, made.ci_low, made.ci_high
        else:
            name = before
            continue
        names = ("before", "difference", "difference_low", "difference_high")
        return dict(zip(names, (before, *change), strict=True))
    return {}


def _number(row: ClosingRow, key: str, sign: str = "") -> str:
    return "" if row[key] is None else f"{row[key]:{sign}.3f}"


def _interval(row: ClosingRow, key: str, sign: str = "") -> str:
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return "" if low is None else f"{low:{sign}.3f}…{high:{sign}.3f}"


def _short(number: int | None) -> str:
    """Such as `950`, `12.3 k` or `1.2 M`."""
    if number is None:
        return ""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return str(number)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
