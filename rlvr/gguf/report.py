"""What an export says of itself: a table for the terminal, `parity.json`, `Modelfile` and `RUN.md` beside the files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.gguf.companions import modelfile, run_notes
from rlvr.gguf.export import Export, ExportedFile, ExportSettings
from rlvr.gguf.turns import turns_of
from rlvr.replacing import write_json, write_text

if TYPE_CHECKING:
    from rich.console import Console

UNPROVEN = "NOT VERIFIED: nobody has compared this file with the model"


def write_companions(exported: Export, to: Path, name: str, settings: ExportSettings) -> None:
    """Writes `parity.json`, and for the files that are there `Modelfile` (for the smallest) and `RUN.md`."""
    there = sorted((file for file in exported.files if file.passed), key=lambda file: file.size)
    if settings.verify:
        write_json(to / "parity.json", [_as_json(file) for file in exported.files])
    if not there:
        return
    metadata, tokens = exported.plan.metadata, exported.plan.metadata["tokenizer.ggml.tokens"]
    ends = [metadata[key] for kind in ("eos", "eot") if (key := f"tokenizer.ggml.{kind}_token_id") in metadata]
    context = metadata[f"{exported.plan.architecture}.context_length"]
    temperature = settings.params.temperature
    turns = turns_of(exported.tokenizer)
    stops = [tokens[token] for token in sorted(ends)]
    write_text(to / "Modelfile", modelfile(there[0].path.name, turns, stops, context, temperature))
    proofs = [proof_of(file) for file in there]
    names = [file.path.name for file in there]
    write_text(to / "RUN.md", run_notes(name, names, proofs, context, temperature, settings.measured_by))


def proof_of(file: ExportedFile) -> str:
    """What was compared, in a line."""
    if not file.findings:
        return UNPROVEN
    return "; ".join(f"{finding.name}: {finding.says}" for finding in file.findings)


def show_export(console: "Console", exported: Export, settings: ExportSettings) -> None:
    """A line for everything the gate found, then a table of files."""
    for file in exported.files:
        _show_file(console, file)
    if not settings.verify:
        console.print(f"--no-verify: {UNPROVEN}", style="bold red", markup=False, soft_wrap=True)
    elif settings.exam is None:
        console.print("the score was not compared: give --env ENV", style="yellow", soft_wrap=True)


def _show_file(console: "Console", file: ExportedFile) -> None:
    verdict = "" if not file.findings else "passed" if file.passed else "FAILED, not written"
    console.print(
        f"{file.path.name}  {file.size / 1e6:,.1f} MB  {verdict}", style="bold", markup=False, highlight=False
    )
    for finding in file.findings:
        style = None if finding.passed else "bold red"
        line = f"  {'✓' if finding.passed else '✗'} {finding.name}: {finding.says}"
        console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)
    if file.narrowed:
        console.print(f"  {narrowed(file)}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def narrowed(file: ExportedFile) -> str:
    """Which matrices have another type than the file's, and why."""
    count, kinds = len(file.narrowed), ", ".join(sorted(set(file.narrowed.values())))
    have = "1 matrix has" if count == 1 else f"{count} matrices have"
    return (
        f"{have} rows that are no whole blocks of {file.file_type} ({next(iter(file.narrowed))}"
        f"{', …' if count > 1 else ''}): stored as {kinds}, as llama.cpp does"
    )


def _as_json(file: ExportedFile) -> dict[str, Any]:
    return {
        "file": file.path.name,
        "type": str(file.file_type),
        "bytes": file.size,
        "passed": file.passed,
        "stored_otherwise": file.narrowed,
        "findings": [vars(finding) for finding in file.findings],
    }
