"""What a stage is made from, by hash: its settings, the stages before it, the model, the tasks, the reward, your files.

A stage whose record in the manifest says the same was made from the same, and need not run again. The package's version
is on the record too, but another one alone is no reason to run again. Of a model's folder the names and sizes of its
files are known, not the weights themselves; of a hub model its name.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rlvr.config.schema import BASE, SCRATCH, RunConfig, StageConfig
from rlvr.data.sources import SUFFIXES
from rlvr.pipeline.stage_reward import files_of, in_stage, stages_named
from rlvr.stages import STAGES
from rlvr_envs.seeds import content_id
from rlvr_rewards.errors import UserError

_PYTHON_FILE = re.compile(r"[^\s'\"()]+\.py(?=:)")

Entry = dict[str, Any]
"""What the manifest holds of a stage."""


def settings_of(stage: StageConfig) -> dict[str, Any]:
    """A stage's settings as JSON, without those that are not set."""
    return stage.model_dump(mode="json", exclude_none=True)


def config_hash(stage: StageConfig) -> str:
    """16 hexadecimal digits for the settings that say what a stage makes."""
    settings = settings_of(stage)
    return content_id({name: settings[name] for name in settings if name not in stage.without_effect})


def input_hashes(stage: StageConfig, config: RunConfig, entries: dict[str, Entry]) -> dict[str, str]:
    """What a stage is made from beside its settings, each with the hash of its content.

    Args:
        stage: The stage.
        config: The run.
        entries: What the manifest holds of the stages, by name.
    """
    kind, paid = STAGES.get(stage.kind), in_stage(stage, config)
    found = {
        "seed": content_id(config.seed),
        "env": content_id(config.model_dump(mode="json", include={"env"})["env"]),
        **{f"env file {path}": hash_of(path) for path in _env_files(config)},
        **{f"file {path}": hash_of(path) for path in _stage_files(stage)},
    }
    for name in taken(stage, config):
        if name == BASE:
            found["model"] = content_id(_model(config))
        else:
            found[f"stage {name}"] = result_hash(entries.get(name, {}))
    if kind.uses_reward:
        found["reward"] = content_id(paid.reward.model_dump(mode="json"))
        found |= {f"reward file {path}": hash_of(path) for path in _python_files(paid.reward.expression or "")}
        found |= {f"reward file {path}": _kept_hash(path) for path in _reward_files(paid)}
    return found


def taken(stage: StageConfig, config: RunConfig) -> tuple[str, ...]:
    """The stages that a stage takes something of: models, and rewards that it pays by."""
    return tuple(dict.fromkeys([*STAGES.get(stage.kind).depends_on(stage, config), *stages_named(stage, config)]))


def result_hash(entry: Entry) -> str:
    """What stages that take its model know a finished stage by: how it was made, and what came of it."""
    return content_id([entry.get(key) for key in ("config_hash", "inputs", "outputs")])


def hash_of(path: Path) -> str:
    """32 hexadecimal digits for a file's content, or for the names and contents of all files of a folder."""
    digest = blake2b(digest_size=16)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(str(file.relative_to(path)).encode() + b"\0")
            with file.open("rb") as opened:
                while chunk := opened.read(1 << 20):
                    digest.update(chunk)
    return digest.hexdigest()


def _reward_files(config: RunConfig) -> list[Path]:
    """Files and folders that a reward's settings name; none of a reward that cannot be read, which a check says."""
    from rlvr.pipeline.run import environment_of, reward_of

    try:
        return list(files_of(reward_of(config, environment_of(config))))
    except UserError:
        return []


def _kept_hash(path: Path) -> str:
    """The hash of a file, or of a folder such as a model's, computed again once a size or a time in it is another."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return _hash_as_of(path, tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=64)
def _hash_as_of(path: Path, stamp: tuple[tuple[str, int, int], ...]) -> str:
    return hash_of(path)


def _env_files(config: RunConfig) -> Iterator[Path]:
    for env in config.envs:
        yield from _python_files(env.name)
        for value in env.options.values():
            if isinstance(value, str):
                yield from _data_files(value)


def _stage_files(stage: StageConfig) -> Iterator[Path]:
    """The files that a stage names: its data, as sources or, in a stage of the user's own, as a path or several."""
    data = getattr(stage, "data", None) or ()
    for source in [data] if isinstance(data, str | Path) else data:
        if file := getattr(source, "file", source):
            yield from _data_files(str(file))
    yield from _data_files(str(getattr(getattr(stage, "spectrum", None), "parameters", None) or ""))


def _python_files(text: str) -> Iterator[Path]:
    return (path for found in _PYTHON_FILE.findall(text) if (path := Path(found)).is_file())


def _data_files(name: str) -> Iterator[Path]:
    path = Path(name)
    if path.is_file():
        yield path
    elif path.is_dir() and str(path) != ".":
        yield from sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)


def _model(config: RunConfig) -> dict[str, Any]:
    model = config.model.model_dump(mode="json", exclude=None if config.model.path == SCRATCH else {"scratch"})
    folder = Path(config.model.path).expanduser()
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in _files(folder)}
    return {**model, "files": sizes}


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()] if folder.is_dir() else []
