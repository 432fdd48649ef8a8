"""Rank a model's matrices by signal and noise, and write the list that Spectrum trains.

MODEL is a folder, an adapter's too, or a hub id that was downloaded before; one matrix is in memory at a time. The YAML
is what [stage.spectrum] takes as parameters, and the reference tool's users know. A model of billions of weights takes
hours on a CPU: with --rows every ratio is kept, and the same command again goes on.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlvr.models.spectrum import Matrix, Signal


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a model's folder, or a hub id as owner/name")
    parser.add_argument(
        "--top-percent", type=_percent, default=25.0, help="the share of each type of module (default 25)"
    )
    parser.add_argument("--modules", nargs="+", default=[], metavar="TYPE", help="types to choose from (default: all)")
    parser.add_argument("--embeddings", action="store_true", help="name embeddings and the head as well")
    parser.add_argument("--to", metavar="OUT.yaml", help="write the list")
    parser.add_argument("--force", action="store_true", help="replace OUT.yaml where it exists")
    parser.add_argument("--rows", metavar="ROWS.jsonl", help="keep every matrix's ratio, and go on from it")


def run(args: argparse.Namespace) -> int:
    import contextlib
    import tempfile

    from rlvr.installed import require

    require("rlvr spectrum", "torch", "safetensors", "transformers")
    from rlvr.console import console
    from rlvr.models.spectrum import best, chosen_types, outside_of_layers
    from rlvr.models.spectrum_files import fingerprint, scan_into, unfrozen_yaml
    from rlvr.pipeline.environment import prepare_process, quiet_libraries
    from rlvr.progress import progress_bar
    from rlvr.replacing import replacing

    prepare_process(offline=True)
    quiet_libraries()
    matrices = _matrices(args.model)
    wanted = chosen_types(matrices, args.modules)
    with contextlib.ExitStack() as stack:
        rows = Path(args.rows or f"{stack.enter_context(tempfile.TemporaryDirectory())}/rows.jsonl")
        out = stack.enter_context(replacing(args.to, args.force)) if args.to else None
        with progress_bar(console(stderr=True), "scan", len(wanted)) as advance:
            signals = scan_into(rows, fingerprint(args.model), wanted, advance)
        chosen = best(signals, args.top_percent)
        if out:
            others = outside_of_layers(matrices) if args.embeddings else []
            out.write(unfrozen_yaml(chosen, others).encode())
    _show(signals, chosen)
    return 0


def _matrices(model: str) -> "list[Matrix]":
    from rlvr.config.schema import ModelConfig
    from rlvr.models.adapters import is_adapter
    from rlvr.models.load import load_model
    from rlvr.models.shape import model_folder
    from rlvr.models.spectrum import held_matrices, stored_matrices
    from rlvr_rewards import UserError

    if is_adapter(model):  # what it makes of its base is in no file
        return list(held_matrices(load_model(model, ModelConfig(path=model))))
    folder = model_folder(model)
    if folder is None:
        raise UserError(f"model {model} is not on this machine: download it first, or give a folder")
    return list(stored_matrices(folder))


def _show(signals: "Sequence[Signal]", chosen: "Sequence[Signal]") -> None:
    """A table of the types: how many matrices, the range of their ratios, how many are trained, and what is to note."""
    from rlvr.console import console, table

    names = {signal.name for signal in chosen}
    groups: dict[tuple[str, tuple[int, int]], list[Signal]] = {}
    for signal in signals:
        groups.setdefault((signal.kind, signal.shape), []).append(signal)
    rows = [
        (
            kind,
            f"{shape[0]} x {shape[1]}",
            len(group),
            sum(signal.name in names for signal in group),
            min(signal.snr for signal in group),
            max(signal.snr for signal in group),
            "; ".join(sorted({signal.note for signal in group if signal.note})),
        )
        for (kind, shape), group in groups.items()
    ]
    columns = ("type", "shape", "matrices", "trained", "least", "most", "to note")
    console().print(table("signal to noise", columns, rows))


def _percent(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no share of 100 above 0")
    return value
