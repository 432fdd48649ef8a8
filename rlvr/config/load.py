"""From a TOML file and `--set key=value` to a checked `RunConfig`."""

import tomllib
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from rlvr.config.schema import RunConfig, StageConfig
from rlvr.stages import STAGES
from rlvr_rewards.errors import UserError, unknown_name


def load_config(name_or_path: str, overrides: Iterable[str] = ()) -> RunConfig:
    """The config of a file, or of a shipped one by its name, with `--set` overrides applied.

    Raises:
        UserError: No such config, broken TOML, an unknown key or stage, or a value that cannot be.
    """
    path = find_config(name_or_path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from None
    for override in overrides:
        _apply_override(raw, override)
    return check_config(raw, str(path))


def find_config(name_or_path: str) -> Path:
    """The file of a config: a path, or the name of one that comes with the package."""
    path = Path(name_or_path)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise UserError(f"{path}: no such config file")
        return path
    shipped = shipped_configs()
    if name_or_path not in shipped:
        raise unknown_name("config", name_or_path, shipped)
    return shipped[name_or_path]


def shipped_configs() -> dict[str, Path]:
    """The configs that come with the package, by name: in a wheel inside it, in a checkout beside it."""
    inside = Path(str(files("rlvr"))) / "configs"
    folder = inside if inside.is_dir() else inside.parent.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def shipped_config_names() -> list[str]:
    return list(shipped_configs())


def check_config(raw: Mapping[str, Any], source: str) -> RunConfig:
    """A config from parsed TOML, each stage checked by its own kind."""
    config = _validated(RunConfig, dict(raw), source)
    stages = tuple(_check_stage(stage, source) for stage in config.stage)
    names = [stage.name for stage in stages]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f'{source}: two stages are called {name!r}: give each a name of its own (name = "…")')
    return config.model_copy(update={"stage": stages})


def _check_stage(raw: Any, source: str) -> StageConfig:
    if not isinstance(raw, dict) or "kind" not in raw:
        raise UserError(f"{source}: every [[stage]] needs a kind, one of: {', '.join(STAGES.names())}")
    return _validated(STAGES.get(raw["kind"]).Config, raw, f"{source}: stage {raw.get('name', raw['kind'])}")


def _validated(model: type[BaseModel], raw: dict[str, Any], source: str) -> Any:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = _fields_at(model, first["loc"][:-1])
            raise UserError(f"{source}: {unknown_name('key', str(first['loc'][-1]), known)}") from None
        raise UserError(f"{source}: {where}: {first['msg']}") from None


def _fields_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    for part in loc:
        annotation = model.model_fields[part].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)


def _apply_override(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set {override}: write it as key=value, such as --set env.tier=hard")
    *parents, last = key.strip().split(".")
    target: Any = raw
    if parents[:1] == ["stage"]:
        target, parents = _stage_named(raw, parents[1:2], override), parents[2:]
    for part in parents:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise UserError(f"--set {override}: {part} is a value, not a section")
    target[last] = _toml_value(text.strip())


def _stage_named(raw: dict[str, Any], name: list[str], override: str) -> dict[str, Any]:
    stages = {str(stage.get("name", stage.get("kind"))): stage for stage in raw.get("stage", [])}
    if not name or name[0] not in stages:
        raise UserError(f"--set {override}: {unknown_name('stage', ''.join(name), stages)}")
    return stages[name[0]]


def _toml_value(text: str) -> Any:
    """A value as TOML would read it; what TOML cannot read is text, so that paths need no quotes."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
