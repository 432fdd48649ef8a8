"""`--set key=value`: a setting changed on the command line, before the config is checked."""

import tomllib
from typing import Any

from rlvr_rewards.errors import UserError, unknown_name


def apply_override(raw: dict[str, Any], override: str) -> None:
    """Changes one value of parsed TOML in place.

    A stage is addressed by its name, as in `stage.grpo.steps=100`; of several environments one by its name or by its
    number from 0, as in `env.scheduling.tier=hard` or `env.0.tier=hard`.

    Raises:
        UserError: It is not `key=value`, names no stage or environment, or goes through a value as if it was a section.
    """
    key, equals, text = override.partition("=")
    keys = [part.strip() for part in key.split(".")]
    if not equals or not all(keys):
        raise UserError(f"--set {override}: write it as key=value, such as --set env.tier=hard")
    *parents, last = keys
    target: Any = raw
    if keys[0] == "stage":
        target, parents = _stage_named(raw, keys, override), parents[2:]
    elif keys[0] == "env" and isinstance(raw.get("env"), list):
        target, parents = _environment_named(raw["env"], keys, override), parents[2:]
    for part in parents:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise UserError(f"--set {override}: {part} is not a section")
    target[last] = _value(text.strip())


def _stage_named(raw: dict[str, Any], keys: list[str], override: str) -> dict[str, Any]:
    given = raw.get("stage", [])
    stages = {str(s.get("name", s.get("kind"))): s for s in given if isinstance(s, dict)}
    if len(keys) < 3:
        raise UserError(f"--set {override}: name the stage and its setting, such as stage.{_first(stages)}.steps=100")
    if keys[1] not in stages:
        raise UserError(f"--set {override}: {unknown_name('stage', keys[1], stages)}")
    return stages[keys[1]]


def _environment_named(given: list[Any], keys: list[str], override: str) -> dict[str, Any]:
    """One of several environments, by its name or its number."""
    names = [str(env.get("name")) if isinstance(env, dict) else "" for env in given]
    if len(keys) < 3:
        raise UserError(f"--set {override}: name the environment and its option, such as env.{names[0]}.tier=hard")
    asked = keys[1]
    if asked.isdecimal() and int(asked) < len(given):
        return given[int(asked)]
    if asked not in names:
        known = [*names, *map(str, range(len(names)))]
        raise UserError(f"--set {override}: {unknown_name('environment', asked, known)}")
    if names.count(asked) > 1:
        numbers = " or ".join(f"env.{number}" for number, name in enumerate(names) if name == asked)
        raise UserError(f"--set {override}: several environments are called {asked}: write {numbers}")
    return given[names.index(asked)]


def _first(names: dict[str, Any]) -> str:
    return next(iter(names), "grpo")


def _value(text: str) -> Any:
    """A value as TOML would read it; what TOML cannot read is text, so that paths need no quotes."""
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return document["value"] if set(document) == {"value"} else text
