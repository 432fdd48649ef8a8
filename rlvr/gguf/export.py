"""An export as a whole: convert, quantize, prove each file, and only then put it where it is asked for.

Every file is made in a hidden folder beside its place. One that the gate refuses never appears; those that pass do,
also where another one failed.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.config.schema import ModelConfig
from rlvr.engine.sampling import SamplingParams
from rlvr.failure import WorkError
from rlvr.gguf.checkpoint import stored_tensors
from rlvr.gguf.convert import Plan, plan_export, write_file
from rlvr.gguf.credits import Credits
from rlvr.gguf.file_types import FileType
from rlvr.gguf.gate import Finding, compare
from rlvr.gguf.llama_library import require_llama_cpp
from rlvr.gguf.llama_quantize import has_program, quantize_file
from rlvr.gguf.progress import bytes_bar
from rlvr.gguf.reference import Reference, ask_model
from rlvr.gguf.score import ScoreGate, evaluate_file
from rlvr.gguf.whole_model import whole_model
from rlvr.progress import progress_bar
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from rlvr.evaluation.evaluate import Evaluation, Exam

_SPARE_BYTES = 64 * 2**20
_ROOM_TO_SAMPLE = 1.3
"""What a model takes on a GPU while it samples, as a multiple of its weights."""


@dataclass(frozen=True)
class ExportSettings:
    """What is exported, and how it is proven.

    Attributes:
        types: One file each.
        verify: Whether the gate is run; without it nobody knows what the files say.
        exam: The environment's evaluation; `None` leaves the score uncompared.
        params: How completions are drawn in it; the budget is that of the gate's greedy completions too.
        margin: Points that success and score may drop.
        credits: For the files' metadata.
        force: Whether files of an earlier export are replaced.
        trust_remote_code: Whether the model's own code may run.
        traces: The folder for the files' completions; `None` keeps none.
        measured_by: Options of `rlvr eval` that give a file the same tasks again, for RUN.md.
    """

    types: tuple[FileType, ...]
    verify: bool = True
    exam: "Exam | None" = None
    params: SamplingParams = field(default_factory=lambda: SamplingParams(128))
    margin: float = 2.0
    credits: Credits = field(default_factory=Credits)
    force: bool = False
    trust_remote_code: bool = False
    traces: Path | None = None
    measured_by: str = "--env ENV"


@dataclass(frozen=True)
class ExportedFile:
    """What became of one type.

    Attributes:
        path: Where the file is, or would be.
        file_type: Its type.
        size: In bytes.
        narrowed: Matrices whose rows are no whole blocks of the type, each with the one that it got instead.
        findings: Of the gate; none where it was not run.
        evaluation: On the exam, where there was one and the gate got that far.
    """

    path: Path
    file_type: FileType
    size: int
    narrowed: dict[str, str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    evaluation: "Evaluation | None" = None

    @property
    def passed(self) -> bool:
        return all(finding.passed for finding in self.findings)


@dataclass(frozen=True)
class Export:
    """A finished export.

    Attributes:
        files: One a type, in the order asked for, those that failed too.
        before: The model's own evaluation, where there was an exam.
        tokenizer: Of the model.
        plan: What the files hold.
    """

    files: list[ExportedFile]
    before: "Evaluation | None"
    tokenizer: Any
    plan: Plan

    @property
    def failed(self) -> list[ExportedFile]:
        return [file for file in self.files if not file.passed]


def export(model: str, to: Path, name: str, settings: ExportSettings, console: "Console") -> Export:
    """Exports a model into a folder: one `NAME-TYPE.gguf` for each type that passes.

    Args:
        model: A folder, an adapter's folder (it is merged first), or a hub id.
        to: The folder, made where there is none.
        name: What the files begin with.
        settings: What and how.
        console: Where progress is shown.

    Raises:
        UserError: The model cannot be exported, a file is there already, or something that is needed is not installed.
        WorkError: The disk is too full.
    """
    from rlvr.models.load import load_tokenizer

    if settings.verify or (any(each.is_k_quant for each in settings.types) and not has_program()):
        require_llama_cpp()
    targets = {each: to / f"{name}-{each}.gguf" for each in settings.types}
    _refuse_existing(targets.values(), settings.force)
    _made_folder(to)
    config = ModelConfig(path=model, trust_remote_code=settings.trust_remote_code)
    with _hidden_folder(to / f".{name}.tmp") as work, whole_model(config, work / "merged", console) as folder:
        tokenizer = load_tokenizer(str(folder), config)
        plan = plan_export(folder, tokenizer, settings.credits)
        _refuse_full_disk(to, plan, settings.types)
        made = [_made_file(work, targets[each], plan, each, console) for each in settings.types]
        files, before = (_proven(work, made, folder, name, settings, console)) if settings.verify else (made, None)
        for file in files:
            if file.passed:
                (work / file.path.name).replace(file.path)
    return Export(files, before, tokenizer, plan)


def _made_file(work: Path, target: Path, plan: Plan, file_type: FileType, console: "Console") -> ExportedFile:
    """A file of one type, under its final name in the folder `work`."""
    path = work / target.name
    if file_type.is_k_quant and has_program():
        source = work / "float.gguf"
        if not source.exists():
            _write(source, plan, FileType.F32, console)
        quantize_file(source, path, file_type)
    else:
        _write(path, plan, file_type, console)
    return ExportedFile(target, file_type, path.stat().st_size, plan.narrowed(file_type))


def _write(path: Path, plan: Plan, file_type: FileType, console: "Console") -> None:
    with bytes_bar(console, path.name, plan.size(file_type)) as advance:
        write_file(path, plan, file_type, advance)


def _proven(
    work: Path, made: list[ExportedFile], folder: Path, name: str, settings: ExportSettings, console: "Console"
) -> "tuple[list[ExportedFile], Evaluation | None]":
    """Every file with what the gate found, and the model's own evaluation."""
    reference, before = _asked(folder, name, settings, console)
    gate = ScoreGate(settings.exam, settings.params, before, settings.margin) if settings.exam and before else None
    proven = []
    for file in made:
        path = work / file.path.name
        file = replace(file, findings=compare(path, file.file_type, reference))
        if gate and file.passed:
            with progress_bar(console, file.path.name, len(gate.exam.tasks)) as advance:
                evaluation, findings = evaluate_file(path, gate, settings.traces, advance)
            file = replace(file, evaluation=evaluation, findings=[*file.findings, *findings])
        proven.append(file)
    return proven, before


def _asked(
    folder: Path, name: str, settings: ExportSettings, console: "Console"
) -> "tuple[Reference, Evaluation | None]":
    """The model in transformers, in float32, asked once; it is gone from memory afterwards."""
    from rlvr.evaluation.evaluate import evaluate
    from rlvr.evaluation.policy import ClosablePolicy, load_policy
    from rlvr.models.load import load_model, load_tokenizer

    config = ModelConfig(path=str(folder), dtype="float32", trust_remote_code=settings.trust_remote_code)
    exam = settings.exam
    model, tokenizer = load_model(str(folder), config), load_tokenizer(str(folder), config)
    env, seed = (exam.env, exam.seed) if exam else (None, 0)
    reference = ask_model(model, tokenizer, env, settings.params.max_new_tokens, seed)
    del model
    if exam is None:
        return reference, None
    config = _config_of_exam(config, folder, console)
    policy: ClosablePolicy = load_policy(str(folder), config, exam.env, settings.params, exam.split, exam.seed)
    with contextlib.closing(policy), progress_bar(console, "transformers", len(exam.tasks)) as advance:
        return reference, evaluate(name, policy, exam, on_tasks=advance)


def _config_of_exam(config: ModelConfig, folder: Path, console: "Console") -> ModelConfig:
    """Float32, unless there is a GPU and no room on it: then as the model is saved."""
    import torch

    num_bytes = sum(4 * prod(tensor.shape) for tensor in stored_tensors(folder).values())
    if not torch.cuda.is_available() or num_bytes * _ROOM_TO_SAMPLE <= torch.cuda.mem_get_info()[0]:
        return config
    console.print(
        f"the GPU has no room for {folder.name} in float32 ({num_bytes / 2**30:.0f} GiB): its own score is taken in "
        "the precision that it is saved in",
        style="yellow",
        markup=False,
    )
    return config.model_copy(update={"dtype": "auto"})


def failure_of(exported: Export) -> WorkError | None:
    """What to say where files failed: which, and each one's first fault; `None` where all passed."""
    if not exported.failed:
        return None
    faults = [
        f"{file.path.name}: {fault.name}: {fault.says}"
        for file in exported.failed
        for fault in [next(finding for finding in file.findings if not finding.passed)]
    ]
    return WorkError(
        f"{len(exported.failed)} of {len(exported.files)} files failed the parity gate and were not written "
        f"({'; '.join(faults)})"
    )


def _refuse_existing(paths: Any, force: bool) -> None:
    for path in paths:
        if path.exists() and not force:
            raise UserError(f"{path} exists: give --force to replace it, or another folder")


def _made_folder(to: Path) -> None:
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--to {to}: {error.strerror}: name another folder") from None


def _refuse_full_disk(to: Path, plan: Plan, types: tuple[FileType, ...]) -> None:
    needed = sum(plan.size(each) for each in types) + _SPARE_BYTES
    if any(each.is_k_quant for each in types) and has_program():
        needed += plan.size(FileType.F32)
    free = shutil.disk_usage(to).free
    if needed > free:
        raise WorkError(
            f"{to}: the files take {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} are free: free some space"
        )


@contextlib.contextmanager
def _hidden_folder(path: Path) -> Iterator[Path]:
    shutil.rmtree(path, ignore_errors=True)  # left by a process that was killed
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
