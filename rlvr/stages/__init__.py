"""The stages of a pipeline, one kind a module; a new module here, or an entry point `rlvr.stages`, is found."""

from typing import Any

from rlvr.pipeline.stage import Stage
from rlvr_rewards.discovery import Catalogue


def _name_of(thing: Any) -> str | None:
    """The kind of a class of stages; those that only others build on have none."""
    return getattr(thing, "kind", None) if isinstance(thing, type) and issubclass(thing, Stage) else None


STAGES: Catalogue[type[Stage]] = Catalogue("stage kind", "rlvr.stages", "rlvr.stages", _name_of)
