"""The stages of a pipeline, one kind a module; a new module here, or an entry point `rlvr.stages`, is found."""

from typing import Any

from rlvr.pipeline.stage import Stage
from rlvr_rewards.discovery import Catalogue


def _name_of(thing: Any) -> str | None:
    return thing.kind if isinstance(thing, type) and issubclass(thing, Stage) and thing is not Stage else None


STAGES: Catalogue[type[Stage]] = Catalogue("stage kind", "rlvr.stages", "rlvr.stages", _name_of)
