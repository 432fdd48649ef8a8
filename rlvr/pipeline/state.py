"""What a run has still to do, stage by stage, and why: told by `--plan`, and followed by the run itself.

A stage that was finished is skipped. One whose settings or inputs are not what they were runs again, and those that
take its model after it; one that was broken off goes on from its last whole checkpoint. What a stage made under other
settings is kept aside until the run is complete (`aside`), and is put back when the settings are those again.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydantic import ValidationError

from rlvr.config.schema import RunConfig, StageConfig
from rlvr.pipeline.aside import Aside, asides
from rlvr.pipeline.checkpoints import last_step
from rlvr.pipeline.folder import differences, read_entries, refuse_other_run
from rlvr.pipeline.inputs import Entry, config_hash, input_hashes, settings_of, taken
from rlvr_rewards.errors import UserError

_SHOWN = 3
"""Changes of a stage that are named; of the others only how many there are."""


class Action(StrEnum):
    """What becomes of a stage."""

    RUN = "run"
    SKIP = "be skipped"
    GO_ON = "go on"
    RERUN = "run again"
    PUT_BACK = "be put back"


@dataclass(frozen=True)
class Planned:
    """A stage, and what would become of it.

    Attributes:
        stage: The stage.
        action: What would become of it.
        why: The reason, in a few words.
        aside: What was made under these very settings before, where it is put back.
    """

    stage: StageConfig
    action: Action
    why: str
    aside: Aside | None = None

    @property
    def makes_new(self) -> bool:
        """Whether those that take its model would have another one than before."""
        return self.action in (Action.RUN, Action.RERUN, Action.GO_ON)

    def __str__(self) -> str:
        return f"would {self.action}{' because' if self.action == Action.RERUN else ':'} {self.why}"


def plan_stages(config: RunConfig, folder: Path) -> list[Planned]:
    """What would become of every stage, in order.

    Raises:
        UserError: The folder's run has another model, environment or seed, or the manifest is damaged.
    """
    refuse_other_run(folder, config)
    planned: list[Planned] = []
    entries = read_entries(folder)
    for stage in config.stage:
        after = [each.stage.name for each in planned if each.makes_new]
        made = _planned(stage, config, folder, entries, after)
        if made.aside:
            entries = {**entries, stage.name: made.aside.entry}
        planned.append(made)
    return planned


def _planned(
    stage: StageConfig, config: RunConfig, folder: Path, entries: dict[str, Entry], remade: list[str]
) -> Planned:
    """What would become of one stage, `remade` being those before it that would run."""
    from_remade = [name for name in taken(stage, config) if name in remade]
    inputs = input_hashes(stage, config, entries)
    entry = entries.get(stage.name)
    changes = _changes(entry, stage, inputs, folder) if entry else []
    if from_remade and entry:
        changes = [*changes, *(f"it takes the model of {name}, which runs before it" for name in from_remade)]
    if entry and not changes:
        return _unchanged(stage, entry, folder)
    if not from_remade:
        for aside in asides(folder, stage.name):
            if aside.entry["status"] == "done" and not _changes(aside.entry, stage, inputs, aside.path):
                why = f"it was finished with these settings, and is kept in {aside.path.name}"
                return Planned(stage, Action.PUT_BACK, why, aside)
    if entry:
        shown, hidden = changes[:_SHOWN], changes[_SHOWN:]
        return Planned(stage, Action.RERUN, "; ".join([*shown, f"and {len(hidden)} more"] if hidden else shown))
    return Planned(stage, Action.RUN, "it was not run yet")


def _unchanged(stage: StageConfig, entry: Entry, folder: Path) -> Planned:
    if entry["status"] == "done":
        return Planned(stage, Action.SKIP, f"finished {entry['finished']}")
    if step := last_step(folder / "checkpoints" / stage.name):
        return Planned(stage, Action.GO_ON, f"from the checkpoint of step {step}")
    return Planned(stage, Action.RUN, f"it was {_BROKEN_OFF.get(entry['status'], 'broken off')} before a checkpoint")


_BROKEN_OFF = {"failed": "broken off by an error", "stopped": "stopped"}


def _changes(entry: Entry, stage: StageConfig, inputs: dict[str, str], folder: Path) -> list[str]:
    """What is not as it was when a stage was made, each in a few words; nothing where all is.

    Seed, tasks and base model are the same for a whole run: with others it is another run, which is refused.
    """
    found = changed_settings(entry, stage)
    before = entry["inputs"]
    names = [name for name in dict.fromkeys([*inputs, *before]) if before.get(name) != inputs.get(name)]
    has_made = entry["status"] == "done" or last_step(folder / "checkpoints" / stage.name)
    for name in names:
        is_other_model = name == "model" and name in before and name in inputs
        if has_made and (name.startswith(("seed", "env")) or is_other_model):
            raise UserError(
                f"{_named(name)} is not what it was when stage {stage.name} was made: put it back, or start anew with "
                "another --run-dir"
            )
        found.append(_change(name, before, inputs))
    if entry["status"] == "done":
        found += [f"{path} is gone" for path in entry["outputs"] if not (folder / path).exists()]
    return found


def _named(name: str) -> str:
    what = {"seed": "the seed", "env": "the environment", "model": "the model"}
    return what.get(name, name.removeprefix("env file "))


def _change(name: str, before: dict[str, str], now: dict[str, str]) -> str:
    what = name.removeprefix("reward ") if name.startswith("reward file") else name
    what = {"reward": "the reward"}.get(what, what)
    if name not in now:
        return f"it is not made from {what} any more"
    if name not in before:
        return f"it is now made from {what}"
    return f"{what} {'was run again' if name.startswith('stage ') else 'changed'}"


def changed_settings(entry: Entry, stage: StageConfig) -> list[str]:
    """What a stage's settings differ in from those on record (`config`, `config_hash`), each as a few words."""
    if entry["config_hash"] == config_hash(stage):
        return []
    try:  # with the defaults of today, so that a key that is new since then is no change
        earlier = type(stage).model_validate_json(json.dumps(entry["config"]), strict=True)
    except ValidationError:
        earlier = None
    before = settings_of(earlier) if earlier else entry["config"]
    if earlier and config_hash(earlier) == config_hash(stage):
        return []
    now = settings_of(stage)
    same = {name: now.get(name) for name in stage.without_effect}
    return differences({**before, **same}, {**now, **same}) or ["its settings changed"]
