"""Which data a stage learns from, as its config says it: files, folders or sets of the hub, and how much of each.

data = "demos.jsonl"
data = ["demos.jsonl", "owner/name"]
data = [{ path = "golds", weight = 1 }, { path = "more.csv", columns = { prompt = "question" }, weight = 3 }]
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer

from rlvr.config.schema import Section
from rlvr_rewards.errors import UserError

GOLDS = "golds"
"""The path that means: the golds of the environment's training tasks."""
SUFFIXES = (".jsonl", ".json", ".parquet", ".csv")


class DataSource(Section):
    """One set of rows.

    Attributes:
        path: A file (`.jsonl`, `.json`, `.parquet`, `.csv`), a folder of such, a hub id as `owner/name`, or `golds`.
        split: Of a set on the hub.
        subset: Of a set on the hub that has several.
        revision: Of a set on the hub; by default its newest.
        columns: Our names of columns, such as `prompt`, with the set's own, such as `question`.
        weight: Its share of the mix, beside the weights of the others; by default the sets are taken whole.
        channel: Under which name its loss is logged, for rows without a `task_type`.
    """

    path: str = Field(min_length=1)
    split: str = "train"
    subset: str | None = None
    revision: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    weight: float | None = Field(default=None, gt=0)
    channel: str | None = Field(default=None, min_length=1)

    @model_serializer(mode="wrap")
    def _what_was_set(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is as by default, so that plan and config show what was written."""
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}

    @property
    def file(self) -> Path | None:
        """The file or folder that it is; `None` for golds and for a set of the hub.

        Raises:
            UserError: It looks like a file, and there is none.
        """
        path = Path(self.path).expanduser()
        if self.path == GOLDS:
            return None
        if path.exists():
            return path
        if path.suffix in SUFFIXES or self.path.startswith((".", "/", "~")) or self.path.count("/") != 1:
            raise UserError(
                f"data {self.path}: no such file: give a file, a folder, a hub id as owner/name, or {GOLDS}"
            )
        return None


def _as_sources(value: Any) -> Any:
    given = value if isinstance(value, list | tuple) else [value]
    return tuple({"path": each} if isinstance(each, str) else each for each in given)


DataSources = Annotated[tuple[DataSource, ...], BeforeValidator(_as_sources)]
"""One path, one table, or a list of either."""


def check_weights(stage: str, sources: Sequence[DataSource]) -> None:
    """Refuses weights for some sets only: nobody could say what share the others have."""
    without = [source.path for source in sources if source.weight is None]
    if 0 < len(without) < len(sources):
        raise UserError(
            f"stage {stage}: data {without[0]} has no weight, and others have: give all of them one, or none"
        )


def describe(sources: Sequence[DataSource]) -> str:
    """The sets in a few words, as the plan shows them."""
    if len(sources) == 1:
        return sources[0].path
    return " + ".join(source.path + (f" x {source.weight:g}" if source.weight else "") for source in sources)
