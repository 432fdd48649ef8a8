"""Columns of traces as plain arrays: numbers with NaN for what is missing, and the values of a map by name.

What sums, groups, filters and sorts are made from. Not here: rows to read (`rlvr.traces.rows`).
"""

from typing import TypeAlias

import numpy as np
import pyarrow as pa

from rlvr.traces.arrow import pc

Column: TypeAlias = pa.ChunkedArray | pa.Array
Floats: TypeAlias = np.ndarray
"""float64, one a row, NaN where there is no value."""


def whole(column: Column) -> pa.Array:
    """A column as one array."""
    if isinstance(column, pa.Array):
        return column
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def floats(column: Column) -> Floats:
    """Numbers or truth values as float64, NaN where there is none.

    >>> floats(pa.array([True, None, False])).tolist()
    [1.0, nan, 0.0]
    """
    array = whole(column)
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan)
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    if not pa.types.is_float64(array.type):
        array = array.cast(pa.float64(), safe=False)
    return array.to_numpy(zero_copy_only=False)


def integers(column: Column, missing: int = 0) -> np.ndarray:
    """Whole numbers as int64, `missing` where there is none."""
    array = whole(column)
    if pa.types.is_null(array.type):
        return np.full(len(array), missing, dtype=np.int64)
    if array.null_count:
        array = pc.fill_null(array, missing)
    return array.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)


def by_name(maps: Column) -> dict[str, Floats]:
    """The values of a map column, row by row, for each name in it; NaN where a row lacks the name or its value.

    >>> column = pa.array([[("a", 1.0), ("b", None)], None, [("a", 0.5)]], pa.map_(pa.string(), pa.float64()))
    >>> {name: values.tolist() for name, values in by_name(column).items()}
    {'a': [1.0, nan, 0.5], 'b': [nan, nan, nan]}
    """
    array = whole(maps)
    if not isinstance(array, pa.MapArray):
        return {}
    rows, names, values = _entries(array)
    found: dict[str, Floats] = {}
    for number, name in enumerate(names.dictionary.to_pylist()):
        chosen = integers(names.indices, -1) == number
        found[name] = np.full(len(array), np.nan)
        found[name][rows[chosen]] = floats(values)[chosen]
    return found


def num_entries(maps: Column) -> np.ndarray:
    """How many entries the map of each row has; 0 where there is no map."""
    array = whole(maps)
    return np.diff(integers(array.offsets)) if isinstance(array, pa.MapArray) else np.zeros(len(array), np.int64)


def _entries(maps: pa.MapArray) -> tuple[np.ndarray, pa.DictionaryArray, pa.Array]:
    """The row, the name and the value of every entry."""
    offsets = integers(maps.offsets)
    first, count = int(offsets[0]), int(offsets[-1] - offsets[0])
    names = maps.keys.slice(first, count).dictionary_encode()
    return np.repeat(np.arange(len(maps)), np.diff(offsets)), names, maps.items.slice(first, count)


def means(values: Floats, groups: np.ndarray, num_groups: int) -> Floats:
    """The mean of the values of each group, over those that are there; NaN where none is.

    Args:
        values: One a row.
        groups: The number of each row's group, from 0.
    """
    known = ~np.isnan(values)
    sums = np.bincount(groups[known], weights=values[known], minlength=num_groups)
    counts = np.bincount(groups[known], minlength=num_groups)
    return np.divide(sums, counts, out=np.full(num_groups, np.nan), where=counts > 0)


def narrowed(mask: pa.Array, inner: pa.Array) -> pa.Array:
    """A mask with its true places replaced by what was found of those rows alone.

    >>> narrowed(pa.array([True, False, True]), pa.array([False, True])).to_pylist()
    [False, False, True]
    """
    return pc.replace_with_mask(mask, mask, inner)


def number(value: float) -> float | None:
    """A number of an array as it is shown: `None` for NaN."""
    return None if np.isnan(value) else float(value)
