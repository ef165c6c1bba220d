"""Boxes as datasets write them, to boxes of the tables: (x0, y0, x1, y1) in pixels, half-open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.sources.reasons import UnusableRowError

Box = tuple[float, float, float, float]


def clipped_box(bbox: Any, width: int, height: int) -> Box:
    """COCO's (x, y, width, height) as (x0, y0, x1, y1) in pixels, half-open, clipped to the image.

    Raises:
        UnusableRowError: ``box_invalid`` (not four finite numbers, or no positive width and height) or
            ``box_outside`` (nothing of it is inside the image).
    """
    if not are_four_numbers(bbox):
        raise UnusableRowError(
            "box_invalid", f"bbox is {bbox!r}, not four finite numbers x, y, width, height"
        )
    x, y, box_width, box_height = map(float, bbox)
    if box_width <= 0 or box_height <= 0:
        raise UnusableRowError("box_invalid", f"bbox is {bbox!r}: width and height have to be above zero")
    return _clipped((x, y, x + box_width, y + box_height), width, height, bbox)


def clipped_corners(corners: Any, width: int, height: int) -> Box:
    """A box (x0, y0, x1, y1) in pixels, half-open, clipped to the image.

    Raises:
        UnusableRowError: as `clipped_box`; a box whose corners are in the wrong order is ``box_invalid``.
    """
    if not are_four_numbers(corners):
        raise UnusableRowError("box_invalid", f"box is {corners!r}, not four finite numbers x0, y0, x1, y1")
    x0, y0, x1, y1 = map(float, corners)
    if x0 >= x1 or y0 >= y1:
        raise UnusableRowError("box_invalid", f"box is {corners!r}: x0 < x1 and y0 < y1 have to hold")
    return _clipped((x0, y0, x1, y1), width, height, corners)


def corners_of(bbox: Any) -> Any:
    """COCO's (x, y, width, height) as (x0, y0, x1, y1), unchecked; what is no such thing as it is."""
    try:
        x, y, width, height = bbox
        return x, y, x + width, y + height
    except (TypeError, ValueError, OverflowError):
        return bbox


def unpadded(box: Sequence[float], width: int, height: int) -> Box:
    """A box in shares of the image padded to a square, in the middle of it, as pixels of the image.

    So LLaVA-1.5 writes boxes (its images are padded before they are encoded: ``expand2square`` in LLaVA's
    ``mm_utils.py``). Nothing is clipped.
    """
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    x0, y0, x1, y1 = (float(edge) * side for edge in box)
    return x0 - left, y0 - top, x1 - left, y1 - top


def scaled(box: Sequence[float], width: int, height: int) -> Box:
    """A box in shares of the image's width and height as pixels."""
    x0, y0, x1, y1 = map(float, box)
    return x0 * width, y0 * height, x1 * width, y1 * height


def are_four_numbers(box: Any) -> bool:
    """Whether a value read from a file is a sequence of four finite numbers."""
    return isinstance(box, Sequence) and len(box) == 4 and all(map(is_finite, box))


def is_finite(number: Any) -> bool:
    """Whether a value read from a file is a finite number (and no truth value)."""
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        return False
    try:
        return math.isfinite(number)
    except OverflowError:  # JSON allows integers of any length
        return False


def _clipped(corners: Box, width: int, height: int, found: Any) -> Box:
    # Rounded to the column's precision first, so that what is inside here is inside in the table too.
    x0, y0, x1, y1 = (
        float(np.float32(min(max(edge, 0.0), side)))
        for edge, side in zip(corners, (width, height, width, height), strict=True)
    )
    if x0 >= x1 or y0 >= y1:
        raise UnusableRowError("box_outside", f"box is {found!r}: nothing of it is inside {width} x {height}")
    return x0, y0, x1, y1
