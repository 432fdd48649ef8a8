"""The user's own files that a run is made from, by hash: one that changed since a stage was finished is noticed.

Not here: models and hub data, which are named in the config and large.
"""

import re
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rlvr.config.schema import RunConfig
from rlvr_rewards.errors import UserError

_PYTHON_FILE = re.compile(r"[^\s'\"()]+\.py(?=:)")


def input_hashes(config: RunConfig, stage: Any) -> dict[str, str]:
    """Each file of the environment, the reward and the stage, with 32 hexadecimal digits of its content's hash."""
    return {str(path): _hash(path) for path in sorted(set(_files(config, stage)))}


def refuse_changed_inputs(entries: list[dict[str, Any]]) -> None:
    """Refuses to go on with a run one of whose finished stages was made from a file that is not the same any more.

    Args:
        entries: The manifest's stages.

    Raises:
        UserError: A file changed or is gone.
    """
    for entry in entries:
        for name, digest in entry.get("inputs", {}).items() if entry["status"] == "done" else ():
            if not Path(name).is_file() or _hash(Path(name)) != digest:
                raise UserError(
                    f"{name} is not what it was when stage {entry['name']} was finished: put it back, or start anew "
                    "with another --run-dir"
                )


def _files(config: RunConfig, stage: Any) -> Iterator[Path]:
    named = [config.env.name, config.reward.expression or ""]
    yield from (Path(found) for text in named for found in _PYTHON_FILE.findall(text))
    given = [value for value in config.env.options.values() if isinstance(value, str)]
    for path in map(Path, [*given, str(getattr(stage, "data", None) or "")]):
        if path.is_file():
            yield path
        elif path.is_dir() and str(path) != ".":
            yield from path.glob("*.jsonl")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        digest = blake2b(digest_size=16)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
