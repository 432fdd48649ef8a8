"""What a run says of its stages: those that its config plans, those that its manifest has entries of.

Read from the run's folder; nothing of the pipeline is imported, and a file that is missing or odd says nothing.
"""

import json
import tomllib
from pathlib import Path
from typing import Any

_BASE = "base"
"""The name under which the model that a run starts from is evaluated."""


def planned_stages(run: Path) -> list[str]:
    """The names of the stages of the config, in order; none where it cannot be read."""
    try:
        return [str(stage.get("name") or stage["kind"]) for stage in _config(run)]
    except (KeyError, TypeError, AttributeError):
        return []


def manifest_entries(run: Path) -> list[dict[str, Any]]:
    """The entries of a manifest, a stage each; none where it is missing or is no manifest."""
    try:
        stages = json.loads((run / "manifest.json").read_text(encoding="utf-8"))["stages"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if not isinstance(stages, list):
        return []
    return [entry for entry in stages if isinstance(entry, dict) and isinstance(entry.get("name"), str)]


def in_order(run: Path) -> list[str]:
    """The names that traces of a run can bear, in the order of training: baselines, the base model, the stages."""
    try:
        baselines = [str(name) for stage in _config(run) for name in stage.get("baselines", ())]
    except (TypeError, AttributeError):
        baselines = []
    stages = planned_stages(run) or [entry["name"] for entry in manifest_entries(run)]
    return list(dict.fromkeys([*baselines, _BASE, *stages])) if stages else []


def _config(run: Path) -> list[Any]:
    """The stages of the config as they stand there."""
    try:
        stages = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))["stage"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return stages if isinstance(stages, list) else []
