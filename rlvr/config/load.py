"""From a TOML file and `--set key=value` to a checked `RunConfig`."""

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from rlvr.config.overrides import apply_override
from rlvr.config.schema import BASE, EnvConfig, RunConfig, StageConfig, WeightedEnvConfig
from rlvr.config.shipped import find_config
from rlvr.stages import STAGES
from rlvr_rewards.errors import UserError, unknown_name

_REWARD_FILE = re.compile(r"[^\s'\"()*+&]+\.py(?=:)")


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
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    for override in overrides:
        apply_override(raw, override)
    for env in _environments(raw):
        _find_environment(env, path.parent)
    for section in (raw, *_stages(raw)):
        _find_rewards(section, path.parent)
    return check_config(raw, str(path))


def _environments(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables of `[env]` or `[[env]]`, as far as they are tables."""
    given = raw.get("env")
    return [env for env in (given if isinstance(given, list) else [given]) if isinstance(env, dict)]


def _find_environment(env: dict[str, Any], folder: Path) -> None:
    """An environment's file (`my_env.py:MyEnv`) that is not here is looked for beside the config."""
    name = env.get("name")
    file, colon, _ = name.rpartition(":") if isinstance(name, str) else ("", "", "")
    if colon:
        env["name"] = f"{_found(file, folder)}{str(name)[len(file) :]}"


def _stages(raw: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tables of `[[stage]]`, as far as they are tables."""
    given = raw.get("stage")
    return [stage for stage in given if isinstance(stage, dict)] if isinstance(given, list) else []


def _find_rewards(raw: dict[str, Any], folder: Path) -> None:
    """The files in a reward's expression (`0.5 * 'my_reward.py:brief'`) are looked for there too."""
    reward = raw.get("reward")
    expression = reward.get("expression") if isinstance(reward, dict) else None
    if isinstance(reward, dict) and isinstance(expression, str):
        reward["expression"] = _REWARD_FILE.sub(lambda match: _found(match[0], folder), expression)


def _found(file: str, folder: Path) -> str:
    """A file here, or else the one in a folder; its name as it is where neither is."""
    return str(folder / file) if not Path(file).is_file() and (folder / file).is_file() else file


def check_config(raw: Mapping[str, Any], source: str) -> RunConfig:
    """A config from parsed TOML, each stage checked by its own kind."""
    _check_environments(raw, source)
    config = _validated(RunConfig, raw, source)
    stages = tuple(_check_stage(stage, source) for stage in config.stage)
    _check_names(stages, source)
    return config.model_copy(update={"stage": stages})


def _check_environments(raw: Mapping[str, Any], source: str) -> None:
    """Checks each environment by itself: as one of two forms, its mistakes would be those of both."""
    given, tables = raw.get("env"), _environments(raw)
    if isinstance(given, list):
        if not given or len(tables) < len(given):
            raise UserError(f"{source}: env: write a table [[env]] with a name for each environment")
        for number, env in enumerate(tables):
            _validated(WeightedEnvConfig, env, f"{source}: env.{number}")
    elif tables:
        _validated(EnvConfig, tables[0], f"{source}: env")


def _check_stage(raw: Any, source: str) -> StageConfig:
    if not isinstance(raw, dict) or not isinstance(raw.get("kind"), str):
        raise UserError(f"{source}: every [[stage]] needs a kind, one of: {', '.join(STAGES.names())}")
    settings: type[StageConfig] = STAGES.get(raw["kind"]).Config
    name = raw.get("name", raw["kind"])
    for key in raw:
        if key not in settings.model_fields and (advice := settings.advice(key, name)):
            raise UserError(f"{source}: stage {name}: {advice}")
    return _validated(settings, raw, f"{source}: stage {name}")


def _check_names(stages: tuple[StageConfig, ...], source: str) -> None:
    """Refuses two stages of one name, and a `start` that is no earlier stage with a model."""
    starts, seen = [BASE], set[str]()
    for stage in stages:
        if stage.name in seen:
            raise UserError(f'{source}: two stages are called {stage.name!r}: give each a name of its own (name = "…")')
        if stage.start is not None and stage.start not in starts:
            raise UserError(f"{source}: stage {stage.name}: {unknown_name('start', stage.start, starts)}")
        seen.add(stage.name)
        starts += [stage.name] if STAGES.get(stage.kind).makes_model else []


def _validated(model: type[BaseModel], raw: Mapping[str, Any], source: str) -> Any:
    try:  # strictly, so that neither "yes" nor 1 means true; as JSON, since only there a list may then be a tuple
        return model.model_validate_json(json.dumps(raw, default=str), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        *parents, last = map(str, first["loc"] or ("",))
        section = _section_at(model, parents)
        where = ".".join([*parents, last])
        if first["type"] == "extra_forbidden" and section:
            at = f" in [{'.'.join(parents)}]" if parents else ""
            raise UserError(f"{source}: {unknown_name(f'key{at}', last, section.model_fields)}") from None
        raise UserError(f"{source}: {where}: {_sentence(first)}") from None


def _sentence(error: Any) -> str:
    if error["type"] == "missing":
        return "is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}, not {error['input']!r:.80}"


def _section_at(model: type[BaseModel], parents: list[str]) -> type[BaseModel] | None:
    """The section that a path of keys leads to, also where it is optional."""
    for part in parents:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        options = [annotation, *get_args(annotation)]
        found = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
        if found is None:
            return None
        model = found
    return model
