"""The files of a traces folder and whose completions each holds, told from their names and, of packs, their footers.

    <stage>.<split>.step00000012.rank0000.parquet               one step of one rank, as it was written
    <stage>.<split>.steps00000001-00000400.pack0001.parquet     a pack: many of those in one, made by `--compact`

Where a step of a rank stands in several files, the one on its own counts, then the pack of the highest generation: a
crash between writing a pack and removing what went into it, and a step written anew, both leave nothing doubled.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq

_NAME = re.compile(r"(?P<stage>[^.].*)\.(?P<split>[^.]+)\.step(?P<step>\d{8,})\.rank(?P<rank>\d{4,})\.parquet")
_PACK = re.compile(r"(?P<stage>[^.].*)\.(?P<split>[^.]+)\.steps\d{8,}-\d{8,}\.pack(?P<generation>\d{4,})\.parquet")
CONTENTS = b"shards"
"""Under which key of its metadata a pack says what it holds: a JSON list of [step, rank, first row, row after last]."""


@dataclass(frozen=True, order=True)
class Shard:
    """One step of one rank, and where its completions stand; shards sort by stage, split, step and rank.

    Attributes:
        start, stop: Which rows of the file are its own; all of them where `stop` is `None`.
        generation: Of the pack that it is in; 0 where it has a file of its own.
    """

    stage: str
    split: str
    step: int
    rank: int
    path: Path
    start: int = 0
    stop: int | None = None
    generation: int = 0

    @classmethod
    def of(cls, folder: Path, stage: str, split: str, step: int, rank: int = 0) -> "Shard":
        """Where the shard of a step stands, whether or not it was written."""
        name = f"{_quoted(stage, split)}.step{step:08d}.rank{rank:04d}.parquet"
        return cls(stage, split, step, rank, folder / name)


def pack_path(folder: Path, stage: str, split: str, first_step: int, last_step: int, generation: int) -> Path:
    """Where a pack stands."""
    return folder / f"{_quoted(stage, split)}.steps{first_step:08d}-{last_step:08d}.pack{generation:04d}.parquet"


def parsed(path: Path) -> Shard | None:
    """The shard that a file is, by its name; `None` for a pack and for any other file."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    return Shard(unquote(match["stage"]), unquote(match["split"]), int(match["step"]), int(match["rank"]), path)


def is_pack(path: Path) -> bool:
    """Whether a file is a pack, by its name."""
    return _PACK.fullmatch(path.name) is not None


def is_shard(path: Path) -> bool:
    """Whether a file is one of ours, by its name."""
    return is_shard_name(path.name)


def is_shard_name(name: str) -> bool:
    """Whether a name is that of one of our files."""
    return bool(_NAME.fullmatch(name) or _PACK.fullmatch(name))


def packed(path: Path, contents: Iterable[tuple[int, int, int, int]]) -> list[Shard]:
    """The shards of a pack.

    Args:
        contents: Step, rank, first row and row after the last of each.
    """
    match = _PACK.fullmatch(path.name)
    assert match is not None, f"{path.name} is no pack"
    stage, split, generation = unquote(match["stage"]), unquote(match["split"]), int(match["generation"])
    return [Shard(stage, split, step, rank, path, start, stop, generation) for step, rank, start, stop in contents]


def shards_in_pack(path: Path) -> list[Shard]:
    """The shards of a pack, from its footer.

    Raises:
        OSError, pyarrow.ArrowException: It cannot be read, or does not say what it holds.
    """
    metadata = pq.read_metadata(path).metadata or {}
    try:
        contents = [(int(step), int(rank), int(a), int(b)) for step, rank, a, b in json.loads(metadata[CONTENTS])]
        return packed(path, contents)
    except (KeyError, TypeError, ValueError) as error:
        raise pa.ArrowInvalid("the pack does not say what it holds") from error


def counted_once(found: Iterable[Shard]) -> list[Shard]:
    """The shards in order, of each step and rank the one that counts."""
    chosen: dict[tuple[str, str, int, int], Shard] = {}
    for shard in found:
        key = (shard.stage, shard.split, shard.step, shard.rank)
        before = chosen.get(key)
        if before is None or (before.generation and (not shard.generation or shard.generation > before.generation)):
            chosen[key] = shard
    return sorted(chosen.values())


def _quoted(stage: str, split: str) -> str:
    first = re.sub(r"^\.", "%2E", quote(stage, safe=" "))  # a name that starts with a dot would be a hidden file
    return f"{first}.{quote(split, safe=' ').replace('.', '%2E')}"
