"""`export`: the model as GGUF files in the run's folder, each proven against it, with a Modelfile and RUN.md.

The files are evaluated like models, under the names `MODEL-TYPE`: the closing table shows what quantization cost.
"""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from rlvr.config.schema import RunConfig, StageConfig
from rlvr.gguf.file_types import FileType, parse_types
from rlvr.installed import require_gguf
from rlvr.models.room import check_budget
from rlvr.pipeline.stage import Stage, StageResult
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from rlvr.evaluation.evaluate import Exam
    from rlvr.evaluation.results import ResultRow
    from rlvr.gguf.export import Export, ExportSettings
    from rlvr.pipeline.run import Run


class ExportStageConfig(StageConfig):
    """Settings of `export`.

    Attributes:
        types: One file each: F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0.
        verify: Whether the files are compared with the model.
        num_tasks: Held-out tasks that model and files are both given; 0 leaves the score uncompared.
        split: Which tasks.
        temperature: Of sampling; 0 is greedy.
        max_new_tokens: The token budget of one completion.
        margin: Points that success and score may drop before a file fails, where chance does not explain it.
        metrics: What the closing table may show of the files.
        author, license: For the files' metadata.
    """

    types: tuple[str, ...] = ("F16", "Q8_0")
    verify: bool = True
    num_tasks: int = Field(default=500, ge=0)
    split: str = "test"
    temperature: float = Field(default=1.0, ge=0)
    max_new_tokens: int = Field(default=64, ge=1)
    margin: float = Field(default=2.0, ge=0)
    metrics: tuple[str, ...] = ("success", "score")
    author: str = ""
    license: str = ""

    @field_validator("types")
    @classmethod
    def _types_are_known(cls, types: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(str, parse_types(types)))


class ExportStage(Stage):
    """Converts, quantizes and proves; fails where a file does."""

    kind = "export"
    Config = ExportStageConfig
    makes_model = False

    @classmethod
    def check(cls, config: ExportStageConfig, run: RunConfig) -> None:
        from rlvr.pipeline.run import environment_of

        require_gguf()
        environment_of(run).require_split(config.split)
        check_budget(config.name, config.max_new_tokens, run.model)
        taken = {stage.name for stage in run.stage} & {policy for policy, _ in cls.traced(config, run)}
        if taken:
            raise UserError(f"stage {config.name}: a file is called {min(taken)}, and so is a stage: rename the stage")

    @classmethod
    def plan(cls, config: ExportStageConfig) -> str:
        proof = f"compared on {config.num_tasks} tasks" if config.num_tasks else "the score not compared"
        return f"GGUF {', '.join(config.types)}; {proof if config.verify else 'NOT verified'}"

    @classmethod
    def traced(cls, config: ExportStageConfig, run: RunConfig) -> list[tuple[str, str]]:
        if not (config.verify and config.num_tasks):
            return []
        return [(f"{_file_name(config, run)}-{each}", config.split) for each in config.types]

    @classmethod
    def run(cls, config: ExportStageConfig, run: "Run") -> StageResult:
        from rlvr.gguf.export import export, failure_of
        from rlvr.gguf.report import show_export, write_companions

        settings, name = _settings(config, run), _file_name(config, run.config)
        folder = run.folder.path / "gguf" / config.name
        exported = export(run.model_before(config), folder, name, settings, run.console)
        write_companions(exported, folder, name, settings)
        if settings.exam:
            run.folder.record_results(_result_rows(exported, settings.exam, config, run.folder.path))
        show_export(run.console, exported, settings)
        if failure := failure_of(exported):
            raise failure
        return StageResult(files=(folder,), metrics=_numbers(exported))

    @classmethod
    def recall(cls, config: ExportStageConfig, run: "Run") -> None:
        from rlvr.evaluation.table import show_metrics

        names = {policy for policy, _ in cls.traced(config, run.config)}
        if rows := [row for row in run.folder.results() if row["stage"] in names and row["split"] == config.split]:
            show_metrics(run.console, rows, config.metrics)


def _file_name(config: ExportStageConfig, run: RunConfig) -> str:
    """What the files begin with: the stage whose model they are."""
    from rlvr.pipeline.run import start_of

    return start_of(config, run)


def _settings(config: ExportStageConfig, run: "Run") -> "ExportSettings":
    from rlvr.engine.sampling import SamplingParams
    from rlvr.gguf.credits import Credits
    from rlvr.gguf.export import ExportSettings

    return ExportSettings(
        types=tuple(map(FileType, config.types)),
        verify=config.verify,
        exam=_exam(config, run),
        params=SamplingParams(config.max_new_tokens, config.temperature),
        margin=config.margin,
        credits=Credits(run.folder.path.name, config.author, config.license),
        force=True,
        trust_remote_code=run.config.model.trust_remote_code,
        traces=run.folder.traces,
        measured_by=_measured_by(config, run),
    )


def _measured_by(config: ExportStageConfig, run: "Run") -> str:
    """Options of `rlvr eval` that ask for the same tasks and budget; of several environments for those of the first."""
    return (
        f"--env {shlex.quote(run.config.envs[0].spec)} --n {config.num_tasks} --max-new-tokens {config.max_new_tokens} "
        f"--temperature {config.temperature:g} --seed {run.config.seed}"
    )


def _exam(config: ExportStageConfig, run: "Run") -> "Exam | None":
    from rlvr.evaluation.evaluate import Exam, held_out_tasks

    if not (config.verify and config.num_tasks):
        return None
    tasks = held_out_tasks(run.env, config.split, config.num_tasks, run.config.seed)
    return Exam(run.env, run.reward, config.split, tasks, 1, run.config.seed, run.folder.path.name)


def _result_rows(exported: "Export", exam: "Exam", config: ExportStageConfig, run_folder: Path) -> "list[ResultRow]":
    """The rows of the files; the model's own evaluation is there for their differences alone."""
    from rlvr.evaluation.results import result_rows

    found = {file.path.stem: file for file in exported.files if file.evaluation}
    evaluations = [each for each in (exported.before, *(file.evaluation for file in found.values())) if each]
    paths = {name: str(file.path.relative_to(run_folder)) for name, file in found.items()}
    rows = result_rows(evaluations, exam, paths, config.metrics)
    return [row for row in rows if row["stage"] in found]


def _numbers(exported: "Export") -> dict[str, dict[str, float]]:
    """For the manifest: of each file its size and the numbers of its proof."""
    return {
        file.path.name: {"bytes": float(file.size)}
        | {f"{finding.name}.{name}": value for finding in file.findings for name, value in finding.values.items()}
        for file in exported.files
    }
