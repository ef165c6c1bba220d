"""Rows of large files, grouped by the image that they are about: offsets and ids, nothing else in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import cached_property

import numpy as np

Place = tuple[int, int, int]
"""File's number, first byte, one past the last byte; or whatever three numbers find a row."""


class RowIndex:
    """Which rows are about which image. Images come in the order in which they were first met.

    28 bytes a row, and an image's key once.
    """

    def __init__(self) -> None:
        self._number: dict[str, int] = {}
        self._image = array("q")
        self._places = (array("i"), array("q"), array("q"))

    def add(self, key: str, place: Place | None) -> None:
        """Note a row about the image ``key``; without a place, note only that there is such an image."""
        image = self._number.setdefault(key, len(self._number))
        if place is not None:
            self._image.append(image)
            for column, number in zip(self._places, place, strict=True):
                column.append(number)

    def __len__(self) -> int:
        """How many images there are."""
        return len(self._number)

    def __contains__(self, key: str) -> bool:
        return key in self._number

    @cached_property
    def keys(self) -> list[str]:
        """The images' keys, in order. To be asked for when all rows are in."""
        return list(self._number)

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        images = np.frombuffer(self._image, np.int64) if self._image else np.zeros(0, np.int64)
        order = np.argsort(images, kind="stable")
        return order, np.searchsorted(images[order], np.arange(len(self) + 1))

    def rows(self, key: str) -> list[Place]:
        """Where the rows about one image lie, in the order in which they came."""
        image = self._number.get(key)
        if image is None:
            return []
        order, firsts = self._sorted
        file, start, end = self._places
        return [(file[row], start[row], end[row]) for row in order[firsts[image] : firsts[image + 1]]]

    def between(self, first: int, last: int) -> Iterator[tuple[str, list[Place]]]:
        """Key and rows of the images from number ``first`` up to ``last``."""
        for key in self.keys[first:last]:
            yield key, self.rows(key)
