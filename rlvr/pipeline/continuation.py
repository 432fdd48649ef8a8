"""What transformers and TRL leave out of a checkpoint, so that a resumed training goes on as if nothing had happened.

transformers keeps weights, optimizer, schedule, random states and the step. It leaves out, and this adds:

1. Completions under way, where several updates are made from the same ones (`trl.num_iterations`), and which is next.
2. The order of the data in a later epoch: a sampler with a random stream of its own (TRL's `RepeatSampler`) would begin
   that of the first epoch again, one that draws from torch's would draw from a later state.
3. What was summed up since the last log line, where not every step is logged, and the count of tokens.
4. The moving reference of `trl.sync_ref_model`.
5. The state of a curriculum.

The private names of transformers and TRL that this leans on stand here alone; `test_continuation.py` holds them to the
installed versions.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rlvr.pipeline.processes import rank

if TYPE_CHECKING:
    from transformers import Trainer

COUNTERS = ("_total_train_tokens", "_globalstep_last_logged", "_failed_before")
"""Attributes of trainers that are plain numbers; each trainer has some of them."""
SUMS = ("_metrics", "_stored_metrics", "_sums")
"""What was logged in pieces: numbers by name, of TRL's by mode and name; the last is `ChannelTrainer`'s."""
STATES = ("curriculum_state",)
"""Attributes of our own trainers: dicts of numbers and texts, which take what they gave."""
SAMPLES = ("_buffered_inputs", "_step")
"""Completions that further passes learn from, and the number of the next pass; with none, TRL counts from 0 as well."""
LOSS = "_tr_loss"
_REFERENCE = "reference.safetensors"


class Continuation(TrainerCallback):
    """Holds what is to be saved beside transformers' own, and puts it back where training goes on.

    Args:
        trainer: Whose it is.
        checkpoint: What it goes on from; `None` where it starts anew.
    """

    def __init__(self, trainer: "Trainer", checkpoint: Path | None) -> None:
        self.trainer: Any = trainer
        self.saved = _load(checkpoint) if checkpoint else None
        self.checkpoint = checkpoint
        self.epoch_began: dict[str, torch.Tensor] = {}

    @property
    def holds_samples(self) -> bool:
        """Whether completions are under way that later steps learn from."""
        args = self.trainer.args
        every = getattr(args, "steps_per_generation", 1) * getattr(args, "num_iterations", 1)
        return bool(getattr(self.trainer, "_buffered_inputs", None)) and self.trainer._step % every != 0

    def save(self, folder: Path) -> None:
        """Writes this process's part into a checkpoint."""
        names = (*COUNTERS, *SUMS, *STATES, *(SAMPLES if self.holds_samples else ()), LOSS)
        state = {name: _plain(getattr(self.trainer, name)) for name in names if hasattr(self.trainer, name)}
        order = {"epoch_began": self.epoch_began, "now": self._order()}
        torch.save({"trainer": state, "order": order}, _file(folder, rank()))
        if self._reference is not None and rank() == 0:
            from safetensors.torch import save_model

            save_model(self._reference, str(folder / _REFERENCE))

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self.saved is None:
            return
        for name, value in self.saved["trainer"].items():
            if name in SUMS:
                for key, found in _on(value, args.device).items():
                    sums = getattr(self.trainer, name)
                    sums[key].update(found) if isinstance(found, dict) else sums.update({key: found})
            elif name == LOSS:
                self.trainer._tr_loss = value.to(args.device)
            else:
                setattr(self.trainer, name, _on(value, args.device))
        if self._reference is not None and self.checkpoint:
            from safetensors.torch import load_model

            load_model(self._reference, str(self.checkpoint / _REFERENCE))

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Draws the order of the epoch that training goes on in as it was; transformers then skips what was learned."""
        saved, self.saved = self.saved, None
        if saved:
            between_two = float(state.epoch or 0).is_integer()
            self._draw_from(saved["order"]["now" if between_two else "epoch_began"])
        self.epoch_began = self._order()

    def _order(self) -> dict[str, torch.Tensor]:
        """The states that an epoch's order is drawn from: torch's, and that of the sampler where it has one."""
        found = {"torch": torch.get_rng_state()}
        if (generator := self._generator()) is not None:
            found["sampler"] = generator.get_state()
        return found

    def _draw_from(self, order: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(order["torch"])
        generator = self._generator()
        if generator is not None and "sampler" in order:
            generator.set_state(order["sampler"])

    def _generator(self) -> torch.Generator | None:
        batches = getattr(self.trainer.callback_handler.train_dataloader, "batch_sampler", None)
        while inner := getattr(batches, "batch_sampler", None):  # accelerate's, around torch's
            batches = inner
        return getattr(getattr(batches, "sampler", None), "generator", None)

    @property
    def _reference(self) -> Any:
        """The reference model where it moves; one that stays is loaded again from where it was."""
        return self.trainer.ref_model if getattr(self.trainer.args, "sync_ref_model", False) else None


def _file(checkpoint: Path, process: int) -> Path:
    return checkpoint / f"continuation_{process}.pt"


def _load(checkpoint: Path) -> dict[str, Any]:
    """This process's part; the first one's where there were fewer: what is counted is the same in all."""
    own = _file(checkpoint, rank())
    return torch.load(own if own.exists() else _file(checkpoint, 0), map_location="cpu", weights_only=True)


def _plain(value: Any) -> Any:
    """A value of plain containers, numbers and tensors, which is read back without unpickling anything else."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, torch.Tensor):
        return value.detach()
    return value.item() if hasattr(value, "item") else value


def _on(value: Any, device: torch.device) -> Any:
    """A value with its tensors on a device."""
    if isinstance(value, dict):
        return {name: _on(each, device) for name, each in value.items()}
    if isinstance(value, list):
        return [_on(each, device) for each in value]
    return value.to(device) if isinstance(value, torch.Tensor) else value
