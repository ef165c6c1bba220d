"""What is worth counting in each table: phrases a caption, regions a phrase, coverage, words a patch.

A measure turns a slice of a table, of which every image is whole, into numbers or into categories. Adding one
is a line in `MEASURES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.tables.schemas import SCHEMAS

Numbers = Callable[[pa.RecordBatch], np.ndarray]


@dataclass(frozen=True)
class Measure:
    """Numbers to be counted: one for each thing that the label speaks of."""

    label: str
    numbers: Numbers
    unit: str = ""
    step: float = 1.0
    """Numbers are rounded to multiples of this."""
    of: str = ""
    """The table whose every row has a number, 0 if this table never names it; empty: only what is named."""


@dataclass(frozen=True)
class Category:
    """Values to be counted."""

    label: str
    values: Callable[[pa.RecordBatch], pa.Array]


def values(array: pa.Array) -> np.ndarray:
    """An Arrow array of numbers without nulls as NumPy's, not copied."""
    # numpy.asarray would do, and bring in pandas: most of a second.
    return np.from_dlpack(array)


def per(column: str) -> Numbers:
    """How many rows name each value of a column."""

    def numbers(rows: pa.RecordBatch) -> np.ndarray:
        codes = rows[column].dictionary_encode()
        return np.bincount(values(codes.indices), minlength=len(codes.dictionary))

    return numbers


def length(column: str) -> Numbers:
    """How many elements a list column's lists have."""
    return lambda rows: np.diff(values(rows[column].offsets))


def characters(column: str) -> Numbers:
    """How many characters a text has."""
    return lambda rows: values(pc.utf8_length(rows[column]))


def number(column: str) -> Numbers:
    """The column's own numbers, nulls left out."""
    return lambda rows: values(pc.drop_null(rows[column]))


def element(column: str) -> Numbers:
    """The numbers in a list column's lists."""
    return lambda rows: values(rows[column].flatten())


def side_of_box(rows: pa.RecordBatch) -> np.ndarray:
    """The square root of a box's area, in pixels."""
    boxes = values(pc.drop_null(rows["box"]).flatten()).reshape(-1, 4)
    return np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))


def words_a_patch(rows: pa.RecordBatch) -> np.ndarray:
    """How many words each patch that carries any has, all phrases of its image taken together."""
    if rows.num_rows == 0:
        return np.empty(0, np.int64)
    images = values(rows["image_id"].dictionary_encode().indices).astype(np.int64)
    patches, sizes = values(rows["patches"].flatten()), length("patches")(rows)
    stride = int(patches.max(initial=0)) + 1
    cells = np.repeat(images * stride, sizes) + patches
    counts = np.bincount(cells, weights=np.repeat(length("words")(rows).astype(np.float64), sizes))
    return counts[counts > 0].astype(np.int64)


def column(name: str) -> Callable[[pa.RecordBatch], pa.Array]:
    """A column of texts as it is."""
    return lambda rows: rows[name]


def field(name: str, part: str) -> Callable[[pa.RecordBatch], pa.Array]:
    """A field of the elements of a list column."""
    return lambda rows: rows[name].flatten().field(part)


def has(name: str) -> Callable[[pa.RecordBatch], pa.Array]:
    """Whether a column has a value: ``true`` or ``false``."""
    return lambda rows: pc.is_valid(rows[name]).cast(pa.string())


_SPLIT = Category("split", column("split"))
_ANNOTATOR = Category("annotator", column("annotator"))
_TASK = Category("task", column("task"))
_SCORE = Measure("score", number("score"), step=0.001)

MEASURES: dict[str, tuple[Measure | Category, ...]] = {
    "images": (_SPLIT, Measure("width", number("width"), "px"), Measure("height", number("height"), "px")),
    "captions": (
        Measure("captions an image", per("image_id"), of="images"),
        Measure("length of a caption", characters("text"), "characters"),
    ),
    "objects": (
        Measure("objects an image", per("image_id"), of="images"),
        Measure("side of a box (root of its area)", side_of_box, "px"),
        Category("label", column("label")),
        Category("has a mask", has("mask")),
    ),
    "conversations": (
        _SPLIT,
        _TASK,
        Measure("conversations an image", per("image_id"), of="images"),
        Measure("turns a conversation", length("turns")),
    ),
    "phrases": (
        Measure("phrases a caption", per("caption_id"), of="captions"),
        Measure("words a phrase", length("words")),
        Category("role of a word", field("words", "role")),
    ),
    "regions": (
        Measure("regions a phrase", per("phrase_id"), of="phrases"),
        _SCORE,
        Measure("side of a box (root of its area)", side_of_box, "px"),
        Category("has a mask", has("mask")),
        _ANNOTATOR,
    ),
    "patch_words": (
        Measure("phrases an image", per("image_id"), of="images"),
        Measure("regions a phrase", length("region_ids")),
        Measure("patches a phrase", length("patches")),
        Measure("words a phrase", length("words")),
        Measure("words a patch, of those with any", words_a_patch),
        Measure("coverage of a patch", element("coverage"), step=0.001),
        _SCORE,
        _SPLIT,
        _ANNOTATOR,
    ),
    "rejects": (Category("reason", column("reason")),),
    "features": (_SPLIT,),
    "predictions": (_TASK, _SCORE),
    "similarity_maps": (
        Measure("phrases an image", per("image_id")),
        Measure("similarity of a patch", element("similarity"), step=0.001),
        Measure("coverage of a patch", element("coverage"), step=0.001),
    ),
}
assert set(MEASURES) <= set(SCHEMAS)
