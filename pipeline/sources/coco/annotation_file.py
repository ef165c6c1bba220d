"""One of COCO's JSON files, read as a stream: where its rows lie and whose they are, not the rows themselves.

COCO 2017's instances are half a gigabyte of JSON, and several as Python objects; of each annotation its ids
and its place are kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.errors import UserError
from pipeline.sources.stream import CutShortError, json_elements, read_json

Row = dict[str, Any]
LISTS = ("images", "annotations", "categories")


class ListedImage(NamedTuple):
    """An entry of ``images``."""

    start: int
    end: int
    """Its bytes in the file."""
    says: int
    """Hash of file name, width and height: entries that say the same are the same image."""


@dataclass
class AnnotationFile:
    """What a captions or an instances file lists, in its order."""

    path: Path
    images: dict[str, ListedImage] = field(default_factory=dict)
    """By id, the first of each."""
    again: list[tuple[str, str]] = field(default_factory=list)
    """(image id, file name) of images that are listed more than once."""
    categories: dict[str, str] = field(default_factory=dict)
    """Names by id."""
    cut: str | None = None
    """From where on the file cannot be read, if it cannot."""
    _ids: list[str] = field(default_factory=list)
    _image_ids: dict[str, int] = field(default_factory=dict)
    _image: array[int] = field(default_factory=lambda: array("q"))
    _places: array[int] = field(default_factory=lambda: array("q"))

    def annotations(self) -> Iterator[tuple[str, str, int, int]]:
        """Image id, own id, first byte and one past the last byte of each annotation."""
        image_ids = list(self._image_ids)
        places = iter(self._places)
        for row_id, image in zip(self._ids, self._image, strict=True):
            yield image_ids[image], row_id, next(places), next(places)

    def add(self, name: str, start: int, end: int, value: Any) -> None:
        """Note an element of one of the file's lists.

        Raises:
            UserError: it has no id.
        """
        if name not in LISTS:
            return
        row_id = self._id_of(value, name)
        if name == "images":
            if row_id in self.images:
                self.again.append((row_id, str(value.get("file_name"))))
            else:
                said = [value.get(key) for key in ("file_name", "width", "height")]
                self.images[row_id] = ListedImage(start, end, hash(repr(said)))
        elif name == "categories":
            self.categories[row_id] = str(value.get("name"))
        else:
            image_id = str(value.get("image_id"))
            self._image.append(self._image_ids.setdefault(image_id, len(self._image_ids)))
            self._ids.append(row_id)
            self._places.extend((start, end))

    def _id_of(self, row: Any, name: str) -> str:
        if not isinstance(row, dict) or not isinstance(row.get("id"), (int, str)):
            raise UserError(f"{self.path}: an entry of `{name}` has no id: {str(row)[:200]}. Each needs one.")
        return str(row["id"])


def read(path: Path) -> AnnotationFile:
    """What an annotation file lists; of one that is cut short, what stands before.

    Raises:
        UserError: it is not laid out as COCO's files are, or an entry has no id.
    """
    found = AnnotationFile(path)
    kinds: dict[str, str] = {}
    try:
        for name, start, end, value in json_elements(path, kinds):
            found.add(name, start, end, value)
    except CutShortError as error:
        found.cut = str(error)
    for name in LISTS:
        if kinds.get(name, "[") != "[" or (name == "images" and name not in kinds):
            raise UserError(
                f"{path} has no list `{name}`: it is no COCO captions or instances file"
                + (f", or it is damaged. {found.cut}." if found.cut else ".")
            )
    return found


def rows_at(path: Path | None, places: np.ndarray) -> list[Row]:
    """The rows at some places (rows, 2) of a file."""
    if path is None or not len(places):
        return []
    with path.open("rb") as file:
        return [read_json(file, start, end) for start, end in places.tolist()]
