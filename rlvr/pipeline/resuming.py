"""Which checkpoint a stage goes on from: the latest whole one, where it is of this very stage.

Settings, model, tasks and reward were compared with the manifest before (`state`); the checkpoint is compared once more
by its own record, since a folder can be copied. Nothing is removed before all of that is right.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.pipeline.checkpoints import Record, checkpoints, damage, read_record, remove, step_of, sweep
from rlvr.pipeline.inputs import config_hash, settings_of
from rlvr.pipeline.processes import num_processes
from rlvr.pipeline.state import changed_settings
from rlvr.pipeline.training import TrainingConfig
from rlvr_rewards.errors import UserError

if TYPE_CHECKING:
    from rlvr.pipeline.run import Run


def made_from(config: TrainingConfig, run: "Run") -> Record:
    """What goes on a checkpoint's record of the stage that writes it."""
    entry = run.folder.entry(config.name.partition("/")[0]) or {}  # a round of `rft` is part of its stage
    return {
        "version": entry.get("version"),
        "config": settings_of(config),
        "config_hash": config_hash(config),
        "inputs": entry.get("inputs", {}),
    }


def checkpoint_to_go_on_from(folder: Path, config: TrainingConfig, run: "Run") -> Path | None:
    """The latest whole checkpoint; those after it are damaged, are named in a line, and go.

    Args:
        folder: The stage's checkpoints.
        config: The stage.
        run: The run.

    Raises:
        UserError: It is of other settings, another model, or cannot be dealt out to as many processes.
    """
    sweep(folder)
    damaged: dict[Path, str] = {}
    found = None
    for path in checkpoints(folder):
        if (problem := damage(path)) is None:
            found = path
            break
        damaged[path] = problem
    if found:
        _refuse_foreign(found, config, run)
        _look_at_processes(found, config, run)
    _say(damaged, found, config, run)
    for path in damaged:
        remove(path)
    return found


def _say(damaged: dict[Path, str], found: Path | None, config: TrainingConfig, run: "Run") -> None:
    goes_on = f"the one of step {step_of(found)} is used" if found else "no other is whole, so that it starts anew"
    for path, problem in damaged.items():
        run.warn(f"{config.name}: the checkpoint of step {step_of(path)} is damaged ({problem}): {goes_on}")


def _refuse_foreign(checkpoint: Path, config: TrainingConfig, run: "Run") -> None:
    record, now = read_record(checkpoint), made_from(config, run)
    before = record.get("inputs", {})
    changes = changed_settings(record, config)
    changes += [
        f"another {_what(name)}" for name in {**before, **now["inputs"]} if before.get(name) != now["inputs"].get(name)
    ]
    if changes:
        raise UserError(
            f"stage {config.name}: {checkpoint} is not of this stage ({'; '.join(dict.fromkeys(changes[:3]))}): "
            "move it away, or give another --run-dir; nothing was touched"
        )


def _what(name: str) -> str:
    return "model" if name == "model" or name.startswith("stage ") else name


def _look_at_processes(checkpoint: Path, config: TrainingConfig, run: "Run") -> None:
    record = read_record(checkpoint)
    before, now = record.get("processes", 1), num_processes()
    if before == now:
        return
    if record.get("holds_samples"):
        raise UserError(
            f"stage {config.name}: {checkpoint} holds completions that {before} processes still learn from, and now "
            f"there are {now}: start {before}, or move it away to go on from the one before"
        )
    run.warn(
        f"{config.name}: the checkpoint is of {before} processes, now there are {now}: it goes on with the same tasks "
        "and rows of a step, though not bit for bit"
    )
