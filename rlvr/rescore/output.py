"""The new scores of every completion as rows of a parquet file of its own; the traces stay as they are."""

from collections.abc import Iterable
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.rescore.comparison import Compared
from rlvr.traces.encoding import ENCODING
from rlvr.traces.schema import SCHEMA, writable

_KEYS = ("stage", "split", "step", "group", "attempt", "sample", "task_id", "reward", "advantage")
_MAPS = (("new_parts", pa.map_(pa.string(), pa.float64())), ("new_errors", pa.map_(pa.string(), pa.string())))
ROWS = pa.schema(
    [
        *(SCHEMA.field(name) for name in _KEYS),
        ("new_reward", pa.float64()),
        ("new_advantage", pa.float64()),
        *_MAPS,
        ("sign_changed", pa.bool_()),
        ("order_changed", pa.bool_()),
    ]
)
"""One row a completion: where it belongs, what is recorded, what the other reward says, and whether the signs or the
order of advantages change in its group."""


def rows_of(compared: Compared) -> pa.Table:
    """The rows of a chunk."""
    scored, chunk = compared.scored, compared.scored.chunk
    count = len(scored.before.rewards_B)
    columns = {
        "stage": pa.repeat(chunk.stage, count),
        "split": pa.repeat(chunk.split, count),
        "step": pa.repeat(pa.scalar(chunk.step, pa.int32()), count),
        **{name: chunk.table[name] for name in ("group", "attempt", "sample", "task_id", "reward", "advantage")},
        "new_reward": pa.array(scored.after.rewards_B, from_pandas=True),
        "new_advantage": pa.array(compared.new_B),
        "new_parts": _maps((score.parts.items() for score in scored.scores), 0),
        "new_errors": _maps(
            (((name, writable(said)) for name, said in score.errors.items()) for score in scored.scores), 1
        ),
        "sign_changed": pa.array(compared.sign_B),
        "order_changed": pa.array(compared.order_B),
    }
    return pa.table([columns[field.name] for field in ROWS], schema=ROWS)


def _maps(entries: Iterable[Iterable[tuple[str, object]]], number: int) -> pa.Array:
    return pa.array([[(writable(name), value) for name, value in each] for each in entries], _MAPS[number][1])


class Output:
    """A parquet file that rows are added to; complete once the block ends."""

    def __init__(self, file: BinaryIO) -> None:
        self._writer = pq.ParquetWriter(file, ROWS, compression=ENCODING["compression"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, tables: Iterable[pa.Table]) -> None:
        """Writes some rows."""
        if found := list(tables):
            self._writer.write_table(pa.concat_tables(found))
