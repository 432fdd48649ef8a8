"""A stage that trains: what it starts from, how it goes on from a whole checkpoint, how it stops, what it leaves.

Not here: its settings and TRL's (`training`), which kinds there are (`rlvr.stages`), and the loops, which are TRL's.
"""

from abc import abstractmethod
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rlvr.config.schema import RunConfig
from rlvr.failure import WorkError
from rlvr.models.adapters import peft_config
from rlvr.models.memory import Workload
from rlvr.pipeline.checkpoints import step_of
from rlvr.pipeline.metrics import num_tokens, read_lines
from rlvr.pipeline.processes import by_first, is_first, num_processes, one_by_one
from rlvr.pipeline.resuming import checkpoint_to_go_on_from, made_from
from rlvr.pipeline.stage import Stage, StageResult
from rlvr.pipeline.trained_weights import (
    check_weights,
    choose_weights,
    described,
    kept_files,
    save_settings,
    settle_adapter,
)
from rlvr.pipeline.training import TrainingConfig, batch_arguments, check_training, trl_config
from rlvr.replacing import new_folder

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer

    from rlvr.pipeline.run import Run

_ECHO_S = 2.0


@dataclass(frozen=True)
class Start:
    """What a training stage starts from, opened.

    Attributes:
        path: The folder or hub id of the model.
        args: TRL's settings.
        tokenizer: Of the model.
        model: The model itself, an adapter merged into its base.
        checkpoint: The last whole one, to go on from.
        at_end: What is closed when training ends, however it does.
    """

    path: str
    args: Any
    tokenizer: "PreTrainedTokenizerBase"
    model: "PreTrainedModel"
    checkpoint: Path | None
    at_end: ExitStack

    @property
    def step(self) -> int:
        """Steps that the checkpoint has behind it; 0 where there is none."""
        return step_of(self.checkpoint) if self.checkpoint else 0

    def arguments(self, config: TrainingConfig, dataset: "Dataset") -> dict[str, Any]:
        """What each of TRL's trainers takes, to learn from a dataset."""
        return {
            "model": self.model,
            "args": self.args,
            "train_dataset": dataset,
            "processing_class": self.tokenizer,
            "peft_config": peft_config(config.lora),
        }


class TrainingStage(Stage):
    """A stage that trains a model with one of TRL's trainers.

    A kind of it is a file: settings (`Config`, a `TrainingConfig`) with TRL's class of settings, a trainer.

    Attributes:
        rows: What a step's rows are, such as `completions`.
        shown: Logged numbers to show below the bar, each with its label; see `ProgressCallback`.
    """

    together: ClassVar[bool] = True
    rows: ClassVar[str] = "examples"
    shown: ClassVar[dict[str, str]] = {"loss": "loss"}

    @classmethod
    @abstractmethod
    def work(cls, config: Any) -> str:
        """What the steps are made of, the start of the plan: such as `200 steps of 64 golds`."""

    @classmethod
    @abstractmethod
    def trainer(cls, config: Any, run: "Run", start: Start) -> "Trainer":
        """TRL's trainer with what it learns from, ready to train; refuses first what the opened model cannot take."""

    @classmethod
    def open_model(cls, path: str, config: Any, run: "Run") -> "PreTrainedModel":
        """The model that is trained; by default the causal language model itself."""
        from rlvr.models.load import load_model

        four_bit = config.lora is not None and config.lora.qlora
        return load_model(path, run.config.model, train_all=config.lora is None, four_bit=four_bit)

    @classmethod
    def check(cls, config: Any, run: RunConfig) -> None:
        check_training(config)
        check_weights(config, run)

    @classmethod
    def rehearse(cls, config: Any, run: "Run") -> None:
        trl_config(config, run, run.config.model.path)

    @classmethod
    def plan(cls, config: Any) -> str:
        return f"{cls.work(config)}, learning rate {config.learning_rate:g}{described(config)}"

    @classmethod
    def workload(cls, config: Any) -> Workload:
        return Workload(
            rows=batch_arguments(config)["per_device_train_batch_size"],
            sampled_rows=0,
            max_new_tokens=None,
            lora=config.lora,
            spectrum=config.spectrum,
            reference=False,
            optimizer=str(config.trl.get("optim", "")),
            recomputes=config.trl.get("gradient_checkpointing"),
        )

    @classmethod
    def run(cls, config: Any, run: "Run") -> StageResult:
        from rlvr.models.load import load_tokenizer

        path = run.model_before(config)
        args = trl_config(config, run, path)
        checkpoint = by_first(lambda: checkpoint_to_go_on_from(Path(str(args.output_dir)), config, run))
        tokenizer = load_tokenizer(path, run.config.model)
        model = cls.open_model(path, config, run)
        with one_by_one():
            choose_weights(model, path, config, run)
        with ExitStack() as at_end:
            start = Start(path, args, tokenizer, model, checkpoint, at_end)
            trainer = cls.trainer(config, run, start)
            settle_adapter(trainer.model, config)
            numbers = _train(trainer, cls, config, run, start)
        lines = read_lines(run.folder.path / "metrics.jsonl", config.name)
        kept = kept_files(config, run)
        return StageResult(_save(trainer, config, run), numbers, kept, num_tokens(lines))


def _train(
    trainer: "Trainer", kind: type[TrainingStage], config: TrainingConfig, run: "Run", start: Start
) -> dict[str, float]:
    """Trains from the last whole checkpoint, or from the start; the checkpoints stay until the stage counts as done.

    Returns:
        The numbers shown last, by their labels.

    Raises:
        KeyboardInterrupt: A signal asked to stop; a checkpoint was written first.
        WorkError: The loss, a gradient or a weight is no finite number.
    """
    from transformers import PrinterCallback

    from rlvr.pipeline.callbacks import (
        DivergenceGuard,
        MetricsCallback,
        SpaceGuard,
        SpeedCallback,
        StopRequest,
    )
    from rlvr.pipeline.checkpoint_writing import CheckpointWriter, final_checkpoint, swept
    from rlvr.pipeline.continuation import Continuation
    from rlvr.pipeline.metrics import Metrics
    from rlvr.pipeline.progress import ProgressCallback
    from rlvr.pipeline.rescue import rescued
    from rlvr.stopping import stop_asks

    if start.step:
        run.warn(f"{config.name}: resuming from step {start.step} of {config.steps}")
    stop = StopRequest(lambda step: run.console.print(f"[dim]{config.name}: a checkpoint of step {step} is saved[/]"))
    speed = SpeedCallback(config.rows_per_step, f"{kind.rows}_per_s")
    progress = ProgressCallback(run.console, config.name, {**kind.shown, speed.metric: f"{kind.rows}/s"})
    trainer.remove_callback(PrinterCallback)
    trainer.callback_handler.callbacks.insert(0, speed)  # before those that pass on what is logged
    guards = DivergenceGuard(config.name), SpaceGuard(config.name, run.folder.path)
    going_on = Continuation(trainer, start.checkpoint)
    writer = CheckpointWriter(trainer, made_from(config, run), config.keep_checkpoints, going_on)
    for callback in (going_on, writer, stop, *guards):  # the guards look at what is saved, asked for or not
        trainer.add_callback(callback)
    if is_first():
        trainer.add_callback(MetricsCallback(Metrics(run.folder.path / "metrics.jsonl", config.name, start.step)))
    trainer.add_callback(progress)
    asked = stop_asks(stop.request, echo_s=_ECHO_S if num_processes() > 1 else 0.0)
    with asked, closing(progress), swept(writer.folder), rescued(trainer):
        if start.step < config.steps or trainer.is_fsdp_enabled:
            trainer.train(resume_from_checkpoint=str(start.checkpoint) if start.checkpoint else None)
        elif start.checkpoint:  # stopped before the model was saved; in a broken epoch transformers would train on
            trainer._load_from_checkpoint(str(final_checkpoint(start.checkpoint, start.args)))
            for line in read_lines(run.folder.path / "metrics.jsonl", config.name):
                progress.recall(line)
    if stop.signal_number is not None:
        saved = f"{config.name}: a checkpoint of step {trainer.state.global_step} is saved"
        run.warn(f"{saved}; the same command goes on")
    stop.raise_if_requested()
    if (step := max(trainer.state.global_step, start.step)) < config.steps:
        raise WorkError(f"stage {config.name}: training ended after {step} of {config.steps} steps, with no word why")
    return progress.last


def _save(trainer: "Trainer", config: TrainingConfig, run: "Run") -> Path:
    """The folder of the model, whole; the first process writes it, and the others give it their shards."""
    model = run.folder.models / config.name
    if not is_first():
        trainer.save_model(str(model))
        return model
    with new_folder(model) as target:
        trainer.save_model(str(target))
        (target / "training_args.bin").unlink(missing_ok=True)  # a pickle, which nobody who gets the model should open
        if config.lora:
            save_settings(trainer.model, target)
    return model
