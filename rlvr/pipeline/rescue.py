"""Training whose surroundings fail, such as a server that stays away: what was learned is saved, then it stops."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rlvr.failure import OutsideError, WorkError
from rlvr.pipeline.checkpoints import last_step

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import Trainer


@contextmanager
def rescued(trainer: "Trainer") -> Iterator[None]:
    """Writes a checkpoint of the last finished step where an `OutsideError` comes out of the training in here.

    Raises:
        WorkError: In its place: it says what is saved.
    """
    try:
        yield
    except OutsideError as error:
        step = trainer.state.global_step
        if step == 0:
            raise WorkError(f"{error}; no step was finished: the same command starts again") from error
        if last_step(Path(str(trainer.args.output_dir))) != step:
            trainer._save_checkpoint(cast("Module", trainer.model), trial=None)
            trainer.control = trainer.callback_handler.on_save(trainer.args, trainer.state, trainer.control)
        raise WorkError(f"{error}; a checkpoint of step {step} is saved, and the same command goes on") from error
