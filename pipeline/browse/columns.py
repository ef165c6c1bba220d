"""Arrow columns as NumPy arrays, and the comparisons that the page makes of them.

``to_numpy``, ``pyarrow.array`` and ``pyarrow.scalar`` all import pandas where it is installed, which takes
most of a second: too much of the three in which the page has to open. What is here does without.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Column: TypeAlias = pa.ChunkedArray | pa.Array


def numbers(column: Column) -> np.ndarray:
    """A column of numbers without nulls."""
    return _joined([np.from_dlpack(chunk) for chunk in _chunks(column)], column.type.to_pandas_dtype())


def whole(column: Column) -> pa.Array:
    """A column as one array."""
    if isinstance(column, pa.Array):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def strings(values: Iterable[str]) -> pa.StringArray:
    """Texts as an Arrow array."""
    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int32)
    offsets[1:] = np.cumsum([len(each) for each in encoded])
    data = pa.py_buffer(b"".join(encoded))
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets.tobytes()), data)


def among(column: Column, values: Iterable[str]) -> np.ndarray:
    """Whether each text is one of the values."""
    wanted = strings(sorted(set(values)))
    return _joined([booleans(pc.is_in(chunk, value_set=wanted)) for chunk in _chunks(column)], bool)


def places(column: Column, known: pa.Array) -> np.ndarray:
    """Where each text stands among the known ones, int32; -1 where it does not."""
    # All chunks in one call: each call makes the known texts' hash table anew.
    return _joined([_filled(chunk) for chunk in _chunks(pc.index_in(column, value_set=known))], np.int32)


def booleans(array: pa.BooleanArray) -> np.ndarray:
    """An Arrow array of booleans without nulls."""
    return np.from_dlpack(pc.cast(array, pa.uint8())).view(bool)


def lengths(lists: pa.ListArray) -> np.ndarray:
    """How many elements each list has; none for a null."""
    sizes = np.diff(np.from_dlpack(lists.offsets))
    return sizes * booleans(pc.is_valid(lists)) if lists.null_count else sizes


def parents(lists: pa.ListArray) -> np.ndarray:
    """The row of each element of a list array's ``flatten()``."""
    return np.from_dlpack(pc.list_parent_indices(lists))


def _filled(found: pa.Int32Array) -> np.ndarray:
    """Numbers, with -1 for null."""
    if found.null_count:
        nowhere = pa.py_buffer(np.full(len(found), -1, dtype=np.int32))
        found = pc.coalesce(found, pa.Array.from_buffers(pa.int32(), len(found), [None, nowhere]))
    return np.from_dlpack(found)


def _chunks(column: Column) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def _joined(pieces: list[np.ndarray], kind: type) -> np.ndarray:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=kind)
