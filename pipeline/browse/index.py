"""What filters need to know of every row (its image, score, coverage), made when it is first asked for.

A filter's answer is a list of row numbers, kept for the pages that scrolling asks for next, so that a page
costs what its own images cost.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.browse import columns
from pipeline.browse.store import Store, take
from pipeline.errors import UserError
from pipeline.tables.schemas import SPLITS

KEPT_SELECTIONS = 24
ANY, NONE = "any", "none"
NESTING = 3
"""Levels below an image in an id: caption, phrase, region."""


@dataclass(frozen=True)
class Filters:
    """What the gallery is narrowed to; None and "" narrow nothing.

    ``word``, ``annotator``, the ranges and ``where`` are about rows of ``patch_words`` and hold of one row
    together; ``split`` and ``rejects`` are about images. ``coverage`` is that of a row's best patch.
    """

    split: str = ""
    word: str = ""
    annotator: str = ""
    score_min: float | None = None
    score_max: float | None = None
    coverage_min: float | None = None
    coverage_max: float | None = None
    rejects: str = ""
    """``any``, ``none``, a stage, or ``stage/reason``."""
    where: str = ""
    """A condition on the columns of ``patch_words``, as `pipeline.inspection.expressions` has it."""

    @property
    def on_rows(self) -> bool:
        """Whether rows of ``patch_words`` are filtered, not only images."""
        ranges = (self.score_min, self.score_max, self.coverage_min, self.coverage_max)
        return bool(self.word or self.annotator or self.where) or any(end is not None for end in ranges)


class Selection(NamedTuple):
    """Row numbers, ascending: images that are shown, rows of ``patch_words`` that the filters hold for."""

    images: np.ndarray
    patch_words: np.ndarray


class Index:
    """Row numbers and values of a store's tables as arrays, and the filters over them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[Filters, Selection] = OrderedDict()
        self._image_of: dict[str, np.ndarray] = {}

    @cached_property
    def image_ids(self) -> pa.Array:
        """Ids of the images, in the table's order."""
        return columns.whole(self.store.tables["images"]["image_id"])

    @cached_property
    def splits(self) -> np.ndarray:
        """Each image's split as its place in `SPLITS`; -1 for any other."""
        return columns.places(self.store.tables["images"]["split"], columns.strings(SPLITS)).astype(np.int8)

    def image_of(self, name: str) -> np.ndarray:
        """The row number in ``images`` of each row's image, int32; -1 where there is none."""
        if name not in self._image_of:
            self._image_of[name] = columns.places(self.store.tables[name]["image_id"], self.image_ids)
        return self._image_of[name]

    def rows_of_images(self, name: str, images: np.ndarray) -> np.ndarray:
        """Row numbers of a table that are about some images, ascending."""
        return np.flatnonzero(np.isin(self.image_of(name), images))

    @cached_property
    def scores(self) -> np.ndarray:
        """Score of each row of ``patch_words``, float32."""
        return columns.numbers(self.store.tables["patch_words"]["score"])

    @cached_property
    def best_coverage(self) -> np.ndarray:
        """The highest coverage of each row of ``patch_words``, float32; 0 for a row without patches."""
        return _list_max(self.store.tables["patch_words"]["coverage"])

    @cached_property
    def reject_images(self) -> dict[str, np.ndarray]:
        """By stage, the row number in ``images`` of each reject's image; -1 where it is not there."""
        return {stage: self._images_of_keys(table["key"]) for stage, table in self.store.rejects.items()}

    def rejects_of(self, image: int) -> list[dict[str, Any]]:
        """The rejects that are about the image with that row number, or a caption, phrase or region of it."""
        found = []
        for stage, images in self.reject_images.items():
            found += take(self.store.rejects[stage], np.flatnonzero(images == image))
        return found

    def _images_of_keys(self, keys: pa.ChunkedArray) -> np.ndarray:
        """Images of keys such as ``phrase:790/c41/p2``: ids nest, the image's comes first."""
        ids = pc.replace_substring_regex(columns.whole(keys), r"^[^:]*:", "")
        # Spans follow a chunk's caption: chunk:790/c41:5-9.
        ids = pc.replace_substring_regex(ids, r":\d+-\d+$", "")
        found = columns.places(ids, self.image_ids)
        for _ in range(NESTING):
            if not (found < 0).any():
                break
            ids = pc.replace_substring_regex(ids, r"/[^/]*$", "")
            found = np.where(found < 0, columns.places(ids, self.image_ids), found)
        return found

    def select(self, filters: Filters) -> Selection:
        """The images and rows of ``patch_words`` that the filters hold for.

        An image is shown if it is of the split, has the rejects that are asked for, and, where rows are
        filtered, a row for which all of that holds.

        Raises:
            UserError: a filter has no such value or column, or needs a table that is missing.
        """
        with self._lock:
            if filters not in self._kept:
                self._kept[filters] = self._select(filters)
            self._kept.move_to_end(filters)
            while len(self._kept) > KEPT_SELECTIONS:
                self._kept.popitem(last=False)
            return self._kept[filters]

    def _select(self, filters: Filters) -> Selection:
        shown = np.ones(self.store.table("images").num_rows, dtype=bool)
        if filters.split:
            shown &= self.splits == _place(filters.split, SPLITS, "split")
        if filters.rejects:
            shown &= self._with_rejects(filters.rejects)
        if not filters.on_rows and "patch_words" in self.store.problems:
            return Selection(np.flatnonzero(shown), np.empty(0, dtype=np.int64))
        hits = self._rows(filters)
        image = self.image_of("patch_words")
        if len(shown):
            hits &= (image >= 0) & shown[image]
        if filters.on_rows:
            named = np.zeros(len(shown), dtype=bool)
            named[image[hits]] = True
            shown &= named
        return Selection(np.flatnonzero(shown), np.flatnonzero(hits))

    def _rows(self, filters: Filters) -> np.ndarray:
        """Whether the filters on rows hold, a boolean a row of ``patch_words``."""
        table = self.store.table("patch_words")
        hits = np.ones(table.num_rows, dtype=bool)
        if filters.where:
            from pipeline.inspection import expressions
            from pipeline.inspection import filters as conditions

            found = conditions.Selection(table, expressions.checked(table.schema, filters.where))
            hits = np.zeros(table.num_rows, dtype=bool)
            hits[np.asarray(found.numbers())] = True
        if filters.annotator:
            hits &= columns.among(table["annotator"], [filters.annotator])
        for low, high, of in (
            (filters.score_min, filters.score_max, "scores"),
            (filters.coverage_min, filters.coverage_max, "best_coverage"),
        ):
            if low is not None or high is not None:
                values = getattr(self, of)
                hits &= values >= np.float32(-np.inf if low is None else low)
                hits &= values <= np.float32(np.inf if high is None else high)
        if filters.word:
            hits &= carries(table["words"], filters.word)
        return hits

    def _with_rejects(self, wanted: str) -> np.ndarray:
        """Whether each image has such a reject."""
        has = np.zeros(self.store.tables["images"].num_rows, dtype=bool)
        stage, _, reason = wanted.partition("/")
        if stage not in (ANY, NONE) and stage not in self.store.rejects:
            raise UserError(
                f"There are no rejects of a stage {stage!r}, only of {', '.join(self.store.rejects)};"
                f" {ANY} and {NONE} ask for images with some and with none."
            )
        for name, images in self.reject_images.items():
            if stage not in (ANY, NONE, name):
                continue
            hit = images >= 0
            if reason:
                hit &= columns.among(self.store.rejects[name]["reason"], [reason])
            has[images[hit]] = True
        return ~has if wanted == NONE else has


def carries(words: pa.ChunkedArray, word: str) -> np.ndarray:
    """Whether each row's ``words`` hold one whose lemma or text is ``word``, whatever its case."""
    wanted = word.strip().lower()
    found = []
    for chunk in words.chunks:
        flat = chunk.flatten()
        lemma, text = (columns.among(pc.utf8_lower(flat.field(name)), [wanted]) for name in ("lemma", "text"))
        hit = np.zeros(len(chunk), dtype=bool)
        hit[columns.parents(chunk)[lemma | text]] = True
        found.append(hit)
    return np.concatenate(found) if found else np.empty(0, dtype=bool)


def _list_max(column: pa.ChunkedArray) -> np.ndarray:
    found = []
    for chunk in column.chunks:
        lengths = columns.lengths(chunk)
        best = np.zeros(len(chunk), dtype=np.float32)
        filled = lengths > 0
        if filled.any():
            starts = (np.cumsum(lengths) - lengths)[filled]
            best[filled] = np.maximum.reduceat(np.from_dlpack(chunk.flatten()), starts)
        found.append(best)
    return np.concatenate(found) if found else np.empty(0, dtype=np.float32)


def _place(value: str, known: tuple[str, ...], what: str) -> int:
    try:
        return known.index(value)
    except ValueError:
        raise UserError(f"There is no {what} {value!r}; there are {', '.join(known)}.") from None
