"""When the trainer saves: the checkpoint is completed, given its record and its place, and older ones are pruned."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from rlvr.pipeline.checkpoints import UNFINISHED, Record, prune, publish, sweep, unfinished
from rlvr.pipeline.continuation import Continuation
from rlvr.pipeline.processes import is_first, num_processes, wait

if TYPE_CHECKING:
    from transformers import Trainer


class CheckpointWriter(TrainerCallback):
    """Lets the trainer write into a hidden folder, and makes of what it wrote a checkpoint that is whole.

    Args:
        trainer: Who writes.
        made_from: What goes on record: the settings, and what the stage is made from.
        keep: Checkpoints that stay.
        continuation: What is saved beside transformers' own.
    """

    def __init__(self, trainer: "Trainer", made_from: Record, keep: int, continuation: Continuation) -> None:
        self.folder, self.keep, self.made_from = Path(str(trainer.args.output_dir)), keep, made_from
        self.continuation = continuation
        hidden = str(self.folder / UNFINISHED)
        setattr(trainer, "_get_output_dir", lambda trial: hidden)  # noqa: B010 - where it saves, and nothing else

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._name_the_best(state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        written = unfinished(self.folder, state.global_step)
        written.mkdir(parents=True, exist_ok=True)
        self.continuation.save(written)
        wait()  # each process writes a part
        if is_first():
            made = {**self.made_from, "processes": num_processes(), "holds_samples": self.continuation.holds_samples}
            publish(self.folder, state.global_step, made)
            self._name_the_best(state)
            prune(self.folder, self.keep, Path(state.best_model_checkpoint) if state.best_model_checkpoint else None)
        wait()
        self._name_the_best(state)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        wait()  # each process has listed the folder just now, which `swept` takes away

    def _name_the_best(self, state: TrainerState) -> None:
        """Where the trainer finds the best one again, with `trl.load_best_model_at_end`: it knows where it wrote it."""
        best = _best(self.folder, state)
        state.best_model_checkpoint = str(best) if best else None


def final_checkpoint(last: Path, args: TrainingArguments) -> Path:
    """Whose weights a stage ends with: those of its last step, or with `trl.load_best_model_at_end` of the best one."""
    if not args.load_best_model_at_end:
        return last
    return _best(last.parent, TrainerState.load_from_json(str(last / TRAINER_STATE_NAME))) or last


def _best(folder: Path, state: TrainerState) -> Path | None:
    best = folder / f"checkpoint-{state.best_global_step}"
    return best if state.best_global_step and best.exists() else None


@contextmanager
def swept(folder: Path) -> Iterator[None]:
    """Leaves nothing half-written, also where the disk became full: it then has that room again."""
    try:
        yield
    finally:
        if is_first():
            sweep(folder)
