"""COCO's segmentations as masks of the ``objects`` table, checked on the way.

pycocotools trusts its input: runs that do not add up to the image make it read or write past its buffers.
So everything is checked here before it is handed over.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.sources.boxes import is_finite
from pipeline.sources.reasons import UnusableRowError
from pipeline.tables import masks

# Polygons may stick out of the image; one that reaches this many image sides away is a mistake, and
# pycocotools would walk along every pixel of its outline.
_FARTHEST = 10
_LARGEST_RUN_DIGITS = 7  # base-32 digits: runs up to 2^34


def mask_of(segmentation: Any, width: int, height: int) -> dict[str, Any] | None:
    """COCO's polygons, uncompressed or compressed runs as a value of a mask column.

    None if there is no segmentation (nothing, or an empty list): the box then stands for the object.

    Raises:
        UnusableRowError: ``mask_invalid``: unreadable, of another size than the image, or without a pixel.
    """
    if segmentation is None or segmentation == []:
        return None
    if isinstance(segmentation, dict):
        mask = _from_runs(segmentation, width, height)
    else:
        mask = masks.from_polygons(_checked_polygons(segmentation, width, height), height, width)
    if masks.area(mask) == 0:
        raise UnusableRowError("mask_invalid", "the segmentation holds no pixel of the image")
    return mask


def _checked_polygons(polygons: Any, width: int, height: int) -> list[list[float]]:
    if not isinstance(polygons, list) or not all(isinstance(polygon, list) for polygon in polygons):
        raise UnusableRowError("mask_invalid", "segmentation is neither a list of polygons nor runs")
    farthest = _FARTHEST * max(width, height)
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise UnusableRowError(
                "mask_invalid", f"a polygon has {len(polygon)} numbers; it takes x, y of three points or more"
            )
        if not all(map(is_finite, polygon)) or max(map(abs, polygon)) > farthest:
            raise UnusableRowError(
                "mask_invalid", "a polygon has a point that is no place in or near the image"
            )
    return polygons


def _from_runs(segmentation: dict[str, Any], width: int, height: int) -> dict[str, Any]:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if size != [height, width]:
        raise UnusableRowError("mask_invalid", f"the runs' size is {size!r}, the image's [{height}, {width}]")
    if isinstance(counts, str) and counts.isascii():
        runs = unpack_runs(counts.encode())
    elif isinstance(counts, list) and all(type(run) is int for run in counts):
        runs = np.array(counts, dtype=object)
    else:
        raise UnusableRowError("mask_invalid", "the runs' counts are neither a list of integers nor a string")
    if not len(runs) or min(runs) < 0 or sum(runs.tolist()) != height * width:
        raise UnusableRowError(
            "mask_invalid",
            f"the runs do not add up to the image's {height * width} pixels ({height} x {width})",
        )
    return masks.from_runs([int(run) for run in runs], height, width)


def unpack_runs(counts: bytes) -> np.ndarray:
    """The lengths, int64, of COCO's compressed runs.

    A length is written in base 32, low digit first: a character is 48 + digit, + 32 if more follow; bit 4 of
    the last digit is the sign. From the fourth on, a length is written as its difference to the one two
    before (pycocotools, ``common/maskApi.c``, ``rleFrString``).

    Raises:
        UnusableRowError: ``mask_invalid``: the string is cut short or has other characters.
    """
    digits = np.frombuffer(counts, np.uint8).astype(np.int64) - 48
    if not len(digits) or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        raise UnusableRowError("mask_invalid", "the compressed runs are cut short or damaged")
    lasts = np.flatnonzero(digits & 32 == 0)
    firsts = np.concatenate([[0], lasts[:-1] + 1])
    lengths = lasts - firsts + 1
    if lengths.max() > _LARGEST_RUN_DIGITS:
        raise UnusableRowError("mask_invalid", "the compressed runs are longer than any image")
    places = np.arange(len(digits)) - np.repeat(firsts, lengths)
    runs = np.add.reduceat((digits & 31) << (5 * places), firsts)
    runs -= np.where(digits[lasts] & 16, np.int64(1) << (5 * lengths), 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs
