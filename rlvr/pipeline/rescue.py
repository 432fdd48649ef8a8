"""Training whose surroundings fail, such as a server that stays away: what was learned is saved, then it stops.

Of several processes all write a checkpoint, or none does. Where one alone failed, the others wait for it in the middle
of a step, and end when it ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rlvr.failure import OutsideError, WorkError
from rlvr.pipeline.checkpoints import last_step
from rlvr.pipeline.processes import all_come

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import Trainer


_TOGETHER_S = 30.0
"""How far apart processes notice that the same server is away."""


@contextmanager
def rescued(trainer: "Trainer") -> Iterator[None]:
    """Writes a checkpoint of the last finished step where an `OutsideError` comes out of the training in here.

    Raises:
        WorkError: In its place: it says what is saved.
    """
    try:
        yield
    except OutsideError as error:
        step, saved = trainer.state.global_step, last_step(Path(str(trainer.args.output_dir)))
        if step == 0:
            raise WorkError(f"{error}; no step was finished: the same command starts again") from error
        if saved != step and not all_come(_TOGETHER_S):
            kept = f"goes on from step {saved}" if saved else "starts again"
            raise WorkError(f"{error}; of the processes this one alone failed, and the same command {kept}") from error
        if saved != step:
            trainer._save_checkpoint(cast("Module", trainer.model), trial=None)
            trainer.control = trainer.callback_handler.on_save(trainer.args, trainer.state, trainer.control)
        raise WorkError(f"{error}; a checkpoint of step {step} is saved, and the same command goes on") from error
