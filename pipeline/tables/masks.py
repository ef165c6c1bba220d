"""COCO run-length masks in Arrow columns: pycocotools does the work, this names it once."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco


def encode(pixels: np.ndarray) -> dict[str, Any]:
    """A boolean (height, width) array as a value of a mask column."""
    return from_coco(coco.encode(np.asfortranarray(pixels, dtype=np.uint8)))


def decode(value: dict[str, Any]) -> np.ndarray:
    """A value of a mask column as a boolean (height, width) array."""
    return coco.decode(_to_coco(value)).astype(bool)


def area(value: dict[str, Any]) -> int:
    """Pixels in the mask."""
    return int(coco.area(_to_coco(value)))


def box(value: dict[str, Any]) -> tuple[float, float, float, float]:
    """The tight box (x0, y0, x1, y1) around the mask, half-open; all zero if it is empty."""
    x, y, width, height = (float(number) for number in coco.toBbox(_to_coco(value)))
    return x, y, x + width, y + height


def union(values: list[dict[str, Any]]) -> dict[str, Any]:
    """The pixels that are in any of the masks, which share one size."""
    return from_coco(coco.merge([_to_coco(value) for value in values]))


def from_polygons(polygons: list[list[float]], height: int, width: int) -> dict[str, Any]:
    """COCO polygons (x, y, x, y, ... in pixels) as a mask column's value."""
    return from_coco(coco.merge(coco.frPyObjects(polygons, height, width)))


def from_runs(counts: list[int], height: int, width: int) -> dict[str, Any]:
    """COCO's uncompressed runs (column-major, starting with background) as a mask column's value."""
    return from_coco(coco.frPyObjects({"counts": counts, "size": [height, width]}, height, width))


def from_coco(encoded: dict[str, Any]) -> dict[str, Any]:
    """pycocotools' compressed RLE as a mask column's value."""
    counts = encoded["counts"]
    return {
        "size": [int(side) for side in encoded["size"]],
        "counts": counts.encode() if isinstance(counts, str) else bytes(counts),
    }


def _to_coco(value: dict[str, Any]) -> dict[str, Any]:
    return {"size": list(value["size"]), "counts": value["counts"]}
