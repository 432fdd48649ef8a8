"""Read what a run sampled: a browser in a terminal, else tables of steps, a step's groups, one group's completions.

RUN is a run's folder, its name under runs/, any folder of traces, or a .parquet or .jsonl of completions, such as TRL's
and verifiers'; without it, the newest run under runs/. --step shows the groups of a step, --step with --group the
completions of one. An evaluation is step 0.
"""

import argparse
import itertools
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.commands._runs import RUNS, run_path

if TYPE_CHECKING:
    from rich.console import Console

    from rlvr.traces.store import Shard

_MOST_STEPS = 30
"""Longer stages are shown at this many steps, evenly apart."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run (default: the newest under runs/)")
    parser.add_argument("--print", action="store_true", help="print tables and exit, also in a terminal")
    parser.add_argument("--stage", help="only this stage")
    parser.add_argument("--split", help="only this split")
    parser.add_argument("--step", type=int, help="only this step; 0 is an evaluation")
    parser.add_argument("--group", type=int, help="only this group of the step, with its completions")
    parser.add_argument("--export", metavar="OUT.html|.jsonl|.parquet", help="write a page, or the rows, instead")
    kinds = "rows (default); pairs or sft: what was judged in the browser, as JSONL for dpo or sft"
    parser.add_argument("--as", dest="kind", choices=("rows", "pairs", "sft"), default="rows", help=kinds)
    parser.add_argument("--force", action="store_true", help="replace OUT where it exists")
    parser.add_argument("--compact", action="store_true", help="make few large files of a run's many small ones")


def run(args: argparse.Namespace) -> int:
    from rlvr.installed import require

    require("rlvr traces", "pyarrow", extra="tui")
    from rlvr.console import console
    from rlvr_rewards import UserError

    if args.group is not None and args.step is None and not args.export:
        raise UserError(f"--group {args.group} needs the --step that it is of")
    if args.kind != "rows" and not args.export:
        raise UserError(f"--as {args.kind} needs --export OUT.jsonl")
    if args.compact:
        return _compact(args)
    if args.export and (args.kind != "rows" or args.export.endswith(".html")):
        from rlvr.commands._traces_export import export_judged, export_page

        return (export_page if args.kind == "rows" else export_judged)(args, run_path(args.run))
    if _is_for_the_browser(args):
        return _browse(args)
    folder = _folder(run_path(args.run))
    found = _chosen(folder, args)
    out = console()
    if args.export:
        _export(found, args)
    elif args.step is None:
        _show_steps(out, folder, found)
    elif args.group is None:
        _show_groups(out, _sole_stage(found), args.step)
    else:
        _show_group(out, _sole_stage(found), args)
    return 0


def _is_for_the_browser(args: argparse.Namespace) -> bool:
    """Whether someone sits at a terminal, wants to look around, and has what draws it."""
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if args.print or args.export or not at_terminal:
        return False
    if find_spec("textual") is None:
        _warn("pip install 'rlvr[tui]' opens a browser here instead of tables")
        return False
    return True


def _browse(args: argparse.Namespace) -> int:
    from rlvr.tui.app import browse
    from rlvr.tui.session import Start

    browse(None if args.run is None else run_path(args.run), RUNS, Start(args.stage, args.split, args.step, args.group))
    return 0


def _folder(path: Path) -> Path:
    """The folder that holds the shards of a run, or those made from another tool's file."""
    from rlvr.traces.foreign import source_of
    from rlvr.traces.index import TraceIndex

    if path.is_file() or source_of(path):
        return TraceIndex.open(path).folder
    return path / "traces" if (path / "traces").is_dir() else path


def _chosen(folder: Path, args: argparse.Namespace) -> "list[Shard]":
    from rlvr.traces.store import shards
    from rlvr_rewards import UserError

    everything = shards(folder)
    if not everything:
        raise UserError(f"{folder} holds no traces (yet): they appear once a stage has sampled its first step")
    found = shards(folder, args.stage, args.split, args.step)
    if not found:
        wanted = ((name, getattr(args, name)) for name in ("stage", "split", "step"))
        asked = " ".join(f"--{name} {value}" for name, value in wanted if value is not None)
        there = [
            f"{s} {p} (steps {low} to {high})" for (s, p), (low, high) in _spans(_in_order(folder, everything)).items()
        ]
        raise UserError(f"{folder} has no traces of {asked}; it has: {', '.join(there)}")
    return _in_order(folder, found)


def _in_order(folder: Path, found: "list[Shard]") -> "list[Shard]":
    """The shards in the order in which the run trained their stages."""
    from rlvr.traces.stage_order import StageOrder

    order = StageOrder(folder.parent if folder.name == "traces" else None)
    order.learn(found)
    return sorted(found, key=lambda shard: (order.place(shard.stage, shard.split), shard))


def _spans(found: "list[Shard]") -> dict[tuple[str, str], tuple[int, int]]:
    """The first and the last step of each stage and split."""
    spans = {}
    for key, group in itertools.groupby(found, key=lambda shard: (shard.stage, shard.split)):
        steps = [shard.step for shard in group]
        spans[key] = (steps[0], steps[-1])
    return spans


def _sole_stage(found: "list[Shard]") -> "list[Shard]":
    from rlvr_rewards import UserError

    keys = _spans(found)
    if len(keys) > 1:
        ways = ", ".join(f"--stage {stage} --split {split}" for stage, split in keys)
        raise UserError(f"step {found[0].step} is in several stages; say which: {ways}")
    return found


def _rows(found: "list[Shard]", columns: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    from rlvr.traces.store import read_shards
    from rlvr.traces.summary import row_dicts

    return [row for _, table in read_shards(found, _warn, columns) for row in row_dicts(table)]


def _warn(message: str) -> None:
    from rlvr.console import console

    console(stderr=True).print(message, soft_wrap=True)


def _show_steps(out: "Console", folder: Path, found: "list[Shard]") -> None:
    from rlvr.traces.show import summary_table
    from rlvr.traces.summary import COLUMNS, summarise

    out.print(f"traces in {folder}", soft_wrap=True)
    for (stage, split), group in itertools.groupby(found, key=lambda shard: (shard.stage, shard.split)):
        steps = {step: list(same) for step, same in itertools.groupby(group, key=lambda shard: shard.step)}
        shown = _evenly(list(steps), _MOST_STEPS)
        summaries = [((step,), summarise(rows)) for step in shown if (rows := _rows(steps[step], COLUMNS))]
        title = f"{stage} · {split}" + ("" if len(shown) == len(steps) else f" · {len(shown)} of {len(steps)} steps")
        if summaries:
            out.print(summary_table(title, ("step",), summaries))


def _evenly(steps: list[int], most: int) -> list[int]:
    """At most so many of the steps, evenly apart, with the first and the last."""
    if len(steps) <= most:
        return steps
    return [steps[round(index * (len(steps) - 1) / (most - 1))] for index in range(most)]


def _show_groups(out: "Console", found: "list[Shard]", step: int) -> None:
    from rlvr.traces.show import summary_table
    from rlvr.traces.summary import COLUMNS, by_group, summarise

    groups = by_group(_rows(found, COLUMNS))
    lines = [((number, rows[0]["task_id"]), summarise(rows)) for number, rows in groups.items()]
    out.print(summary_table(f"{found[0].stage} · {found[0].split} · step {step}", ("group", "task"), lines))


def _show_group(out: "Console", found: "list[Shard]", args: argparse.Namespace) -> None:
    from rlvr.traces.show import show_group
    from rlvr.traces.summary import by_group
    from rlvr_rewards import UserError

    groups = by_group(_rows(found))
    if args.group not in groups:
        there = f"{min(groups)} to {max(groups)}" if groups else "none that can be read"
        raise UserError(f"step {args.step} of {found[0].stage} has no group {args.group}; it has: {there}")
    rows = sorted(groups[args.group], key=lambda row: (row["attempt"] or 0, row["sample"]))
    title = f"{found[0].stage} · {found[0].split} · step {args.step} · group {args.group}"
    title += f" · {rows[0]['env']}" if rows[0]["env"] else ""
    show_group(out, title, rows)


def _compact(args: argparse.Namespace) -> int:
    from rlvr.commands._traces_export import progress_bar
    from rlvr.traces.compact import compact
    from rlvr.traces.index import TraceIndex
    from rlvr.traces.text import counted
    from rlvr_rewards import UserError

    index = TraceIndex.open(run_path(args.run))
    if index.is_foreign:
        raise UserError(f"{index.path} is another tool's: only a run's own traces are made into fewer files")
    with progress_bar("compacting") as progress:
        done = compact(index.folder, index.run, progress)
    for line in done.left_out:
        _warn(f"left as it is: {line}")
    _warn(f"{counted(done.files_before, 'file')} of traces in {index.folder}: {done.files_after:,} now")
    return 0


def _export(found: "list[Shard]", args: argparse.Namespace) -> None:
    from rlvr.replacing import replacing
    from rlvr.traces.export import FORMATS
    from rlvr.traces.store import read_shards
    from rlvr.traces.text import counted
    from rlvr_rewards import UserError

    write = FORMATS.get(Path(args.export).suffix)
    if write is None:
        raise UserError(f"--export {args.export}: its name must end with .html or {' or '.join(FORMATS)}")
    tables = (_of_group(table, args.group) for _, table in read_shards(found, _warn))
    with replacing(args.export, args.force) as file:
        num_rows = write(tables, file)
        if not num_rows:
            raise UserError(f"nothing to export: no row of group {args.group} could be read")
    _warn(f"{counted(num_rows, 'row')} written to {args.export}")


def _of_group(table: Any, group: int | None) -> Any:
    import pyarrow.compute as pc

    return table if group is None else table.filter(pc.equal(table["group"], group))  # pyright: ignore[reportAttributeAccessIssue]
