"""Pictures for the page: thumbnails made on demand, similarity maps by the report's drawing code."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.browse.grid import Grids
from pipeline.browse.store import Store, rows, take
from pipeline.errors import UserError
from pipeline.sources.pictures import load_picture

THUMBNAIL, VIEW = 320, 1600
"""Longest side in pixels."""
KEPT = 256
"""Thumbnails kept in memory: about 5 MB."""
AT_ONCE = 2
"""Pictures decoded at a time, so that memory does not grow with the number of requests."""

Encoded = tuple[bytes, str]
"""Bytes and media type."""


class Pictures:
    """The pictures of a data folder; ``root`` is the source's folder, for images that are kept by path."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._decoding = threading.BoundedSemaphore(AT_ONCE)
        self._kept: OrderedDict[tuple[int, str], Encoded] = OrderedDict()
        self._lock = threading.Lock()

    def thumbnail(self, store: Store, row: int, of: str = "") -> Encoded:
        """The image with that row number, at most 320 pixels a side.

        Args:
            store: the datasets.
            row: number of the row of ``images``.
            of: what the digest of the image begins with, as whoever asks knows it.

        Raises:
            UserError: there is no such row, its image is another one, or its file is missing or broken.
        """
        image = _asked(store, row, of)
        key = (row, image["sha256"])
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = self._encoded(image, THUMBNAIL)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return made

    def view(self, store: Store, row: int, of: str = "") -> Encoded:
        """The image with that row number, at most 1600 pixels a side. Raises as `thumbnail` does."""
        return self._encoded(_asked(store, row, of), VIEW)

    def similarity(self, store: Store, grids: Grids, phrase_id: str, name: str) -> Encoded:
        """A phrase's similarity map over its picture, in colours whose limits are those of all its maps.

        Raises:
            UserError: there is no such map, or no encoder to place it by.
        """
        from pipeline.report import canvas, drawing, overlays

        maps = {
            each: found[0]
            for each, table in store.maps.items()
            if (found := rows(table, "phrase_id", [phrase_id]))
        }
        if name not in maps:
            raise UserError(f"There is no similarity map {name} of phrase {phrase_id}: {_maps_advice(store)}")
        image = rows(store.table("images"), "image_id", [maps[name]["image_id"]])[0]
        edges = self._edges(grids, image, maps[name]["grid"])
        regions = rows(store.tables["regions"], "phrase_id", [phrase_id])
        arrays = drawing.similarity_grids(maps)
        limits = overlays.shared_limits(list(arrays.values()))
        with self._decoding:
            picture = load_picture(image["image"], self._root, image["image_id"])
            drawn = overlays.similarity_panel(picture, edges, arrays[name], limits, regions)
        return canvas.png(drawn), "image/png"

    def overlay(self, store: Store, grids: Grids, phrase_id: str) -> Encoded:
        """A phrase on its patches as a picture to keep, as `patchwords overlays` draws it.

        Raises:
            UserError: there is no such phrase, or no encoder to place its patches by.
        """
        from pipeline.report import drawing, lookup

        found = rows(store.table("patch_words"), "phrase_id", [phrase_id])
        if not found:
            raise UserError(f"patch_words has no phrase {phrase_id!r}: mend the id.")
        phrase = lookup.phrases(store.folder, [phrase_id])[phrase_id]
        self._edges(grids, dict(phrase.image), found[0]["grid"])
        assert grids.geometry is not None
        with self._decoding:
            picture = load_picture(phrase.image["image"], self._root, phrase.image["image_id"])
            return drawing.draw_phrase(picture, phrase, found[0], grids.geometry), "image/png"

    def _edges(self, grids: Grids, image: dict[str, Any], grid: list[int]) -> Any:
        from pipeline.report import overlays

        if grids.geometry is None:
            raise UserError(grids.problem or "There is no encoder.")
        if list(grids.geometry.grid) != list(grid):
            raise UserError("This was made for another patch grid than the encoder's: run `dvc repro`.")
        return overlays.patch_edges(grids.geometry, image["width"], image["height"])

    def _encoded(self, image: dict[str, Any], side: int) -> Encoded:
        with self._decoding:
            picture = load_picture(image["image"], self._root, image["image_id"])
            small = max(picture.size) <= THUMBNAIL
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            if small:
                picture.save(buffer, "PNG")
                return buffer.getvalue(), "image/png"
            picture.save(buffer, "JPEG", quality=85)
            return buffer.getvalue(), "image/jpeg"


def image_row(store: Store, row: int) -> dict[str, Any]:
    """The row of ``images`` with that number.

    Raises:
        UserError: there are not so many.
    """
    images = store.table("images")
    if not 0 <= row < images.num_rows:
        raise UserError(f"There is no image number {row}: the dataset has {images.num_rows}.")
    return take(images, [row])[0]


def _asked(store: Store, row: int, of: str) -> dict[str, Any]:
    """The row of ``images`` with that number, if it is still the image whose digest begins so."""
    image = image_row(store, row)
    if not image["sha256"].startswith(of):
        raise UserError("The dataset was replaced since this page was opened: reload the page.")
    return image


def _maps_advice(store: Store) -> str:
    if not store.maps:
        return "run `dvc repro evaluate` to make the maps of the arms."
    return f"maps are of the test split; there are {', '.join(store.maps)}."
