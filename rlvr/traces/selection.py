"""Rows to take away: all of a run, or those of a step, a group or what was found, as tables of a bounded size."""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from rlvr.traces.columns import integers
from rlvr.traces.find import Found
from rlvr.traces.index import TraceIndex
from rlvr.traces.reading import UNREADABLE, read_tables
from rlvr.traces.rows import GroupKey
from rlvr.traces.scan import Progress
from rlvr.traces.schema import SCHEMA
from rlvr.traces.shelf import StepKey

Only = StepKey | GroupKey | Found
Mask = Callable[[pa.Table], np.ndarray]


def tables_of(
    index: TraceIndex, only: Only | None = None, progress: Progress = lambda done, total: None
) -> Iterator[pa.Table]:
    """Whole rows in the order of the run; files that cannot be read are passed over, and the index says which.

    Args:
        only: Those of a step, of a group, or that were found; by default all.
        progress: Told the number of shards read, and of all.
    """
    masks = None if only is None else _masks(only)
    shards = [s for s in index.shards() if masks is None or (s.stage, s.split, s.step) in masks]
    for done, shard in enumerate(shards, start=1):
        mask = _every if masks is None else masks[shard.stage, shard.split, shard.step]
        with contextlib.suppress(*UNREADABLE):
            for table in read_tables(shard, SCHEMA.names):
                yield table.filter(pa.array(mask(table)))
        progress(done, len(shards))


def _masks(only: Only) -> dict[StepKey, Mask]:
    """For each step of which rows are wanted, how to tell them."""
    if isinstance(only, GroupKey):
        return {(only.stage, only.split, only.step): lambda table: _is_of(table, only)}
    if isinstance(only, Found):
        return {step: lambda table, there=there: np.isin(_packed(table), there) for step, there in _by_step(only)}
    return {only: _every}


def _by_step(found: Found) -> Iterator[tuple[StepKey, np.ndarray]]:
    """The places of what was found, step by step; the shards of several ranks of a step together."""
    step_numbers = {step: number for number, step in enumerate(dict.fromkeys(found.steps))}
    numbers = np.array([step_numbers[step] for step in found.steps], np.int64)[found.places[:, 0]]
    packed = _pack(*found.places[:, 1:].T)
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(numbers[order]) != 0]) if len(order) else []
    names = list(step_numbers)
    for places in np.split(order, starts[1:]) if len(order) else ():
        yield names[numbers[places[0]]], packed[places]


def _every(table: pa.Table) -> np.ndarray:
    return np.ones(table.num_rows, bool)


def _is_of(table: pa.Table, key: GroupKey) -> np.ndarray:
    return (integers(table["group"]) == key.group) & (integers(table["attempt"]) == key.attempt)


def _packed(table: pa.Table) -> np.ndarray:
    return _pack(*(integers(table[name]) for name in ("group", "attempt", "sample")))


def _pack(group: np.ndarray, attempt: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Group, attempt and sample of each row as one number."""
    return (group.astype(np.int64) << 40) + (attempt.astype(np.int64) << 24) + sample
