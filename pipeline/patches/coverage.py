"""The exact share of each patch's area that a box or a mask covers.

Nothing is sampled. A box's overlap with a patch is the product of its overlaps with the patch's row and
column. A mask's pixels are squares of area: with A_y (rows, height) and A_x (columns, width) the overlaps
of pixel and patch intervals, the covered area of all patches is A_y @ mask @ A_x.T. Only the image itself
can be covered, never its padding; what the crop cuts off lies on no patch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pipeline.patches.geometry import Axis, Geometry
from pipeline.patches.sparse import Coverage, concatenate, offsets_of, ranges
from pipeline.tables import masks

_CHUNK = 4096  # boxes at a time: what they take stays in the processor's cache


def box_coverage(boxes: ArrayLike, width: ArrayLike, height: ArrayLike, geometry: Geometry) -> Coverage:
    """Coverage of the patches by each box, one row a box.

    Args:
        boxes: (n, 4), x0 y0 x1 y1 in image pixels, half-open. What lies outside the image is cut off; a box
            without area, or with a coordinate that is no number, covers nothing.
        width: pixels of each box's image, (n,).
        height: the same.
        geometry: the encoder's.
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    width = np.broadcast_to(np.asarray(width, dtype=np.int64), len(boxes))
    height = np.broadcast_to(np.asarray(height, dtype=np.int64), len(boxes))
    if not len(boxes):
        return concatenate([])
    return concatenate(
        [
            _chunk(boxes[part], width[part], height[part], geometry)
            for part in (slice(low, low + _CHUNK) for low in range(0, len(boxes), _CHUNK))
        ]
    )


def _chunk(boxes: np.ndarray, width: np.ndarray, height: np.ndarray, geometry: Geometry) -> Coverage:
    scale_x, scale_y, shift_x, shift_y = geometry.transform(width, height)
    rows, columns = geometry.grid
    patch_y, patch_x = geometry.patch
    # Box edges in units of a patch, cut to the image and to the grid.
    x0, x1 = (_clip(boxes[:, i], width, scale_x / patch_x, shift_x / patch_x, columns) for i in (0, 2))
    y0, y1 = (_clip(boxes[:, i], height, scale_y / patch_y, shift_y / patch_y, rows) for i in (1, 3))
    real = (x1 > x0) & (y1 > y0)  # false for not-a-number, too
    x0, x1, y0, y1 = (np.where(real, edge, 0.0) for edge in (x0, x1, y0, y1))
    left, across = _spans(x0, x1)
    top, down = _spans(y0, y1)

    # One entry a box and column, and one a box and row ...
    column = ranges(left, across)
    column_share = _overlap(column, np.repeat(x0, across), np.repeat(x1, across))
    row = ranges(top, down)
    row_share = _overlap(row, np.repeat(y0, down), np.repeat(y1, down))
    # ... then their product: each row entry is followed through its box's columns. int32: half the traffic.
    width_of_row = np.repeat(across, down)
    ends = np.cumsum(width_of_row, dtype=np.int32)
    total = int(ends[-1]) if len(ends) else 0
    starts = ends - width_of_row.astype(np.int32)
    steps = np.arange(total, dtype=np.int32)
    first_column = np.repeat(offsets_of(across)[:-1], down).astype(np.int32)
    values = column_share.take(steps + np.repeat(first_column - starts, width_of_row))
    values *= np.repeat(row_share, width_of_row)
    first_patch = row * columns + np.repeat(left, down)
    patches = steps + np.repeat((first_patch - starts).astype(np.int32), width_of_row)
    return Coverage(offsets_of(across * down), patches, values)


def _clip(
    edge: np.ndarray, size: np.ndarray, scale: np.ndarray, shift: np.ndarray, patches: int
) -> np.ndarray:
    return np.clip(np.clip(edge, 0, size) * scale + shift, 0, patches)


def _spans(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First patch and number of patches that each interval [low, high) touches; none if it is empty."""
    first = np.floor(low).astype(np.int64)
    return first, np.where(high > low, np.ceil(high).astype(np.int64) - first, 0)


def _overlap(index: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Length of [index, index + 1) within [low, high)."""
    return np.minimum(high, index + 1) - np.maximum(low, index)


def mask_coverage(values: list[dict[str, Any]], geometry: Geometry) -> Coverage:
    """Coverage of the patches by each mask (values of a mask column), one row a mask.

    The areas are sums of whole numbers, rounded once at the end: the same on every machine.
    """
    matrices: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, int]] = {}
    lengths, patches, shares = [], [], []
    for value in values:
        height, width = size = tuple(value["size"])
        if size not in matrices:
            x, y = geometry.axes(width, height)
            # Below 2**24 whole numbers are exact in float32, which is twice as fast; A_y @ mask stays there
            # (a patch is `patch * height` units high), A @ mask @ A needs float64.
            a_y = overlaps(y, height, geometry.patch[0], geometry.grid[0])
            a_x = overlaps(x, width, geometry.patch[1], geometry.grid[1])
            area = geometry.patch[0] * int(y.unit[0]) * geometry.patch[1] * int(x.unit[0])
            exact = np.float32 if geometry.patch[0] * int(y.unit[0]) < 1 << 24 else np.float64
            matrices[size] = a_y.astype(exact), a_x.astype(np.float64), area
        a_y, a_x, area = matrices[size]
        covered = _area(value, a_y, a_x).ravel()
        found = np.flatnonzero(covered)
        lengths.append(len(found))
        patches.append(found.astype(np.int32))
        shares.append(covered[found] / area)
    return Coverage(
        offsets_of(np.array(lengths, dtype=np.int64)),
        np.concatenate([np.zeros(0, np.int32), *patches]),
        np.concatenate([np.zeros(0), *shares]),
    )


def _area(value: dict[str, Any], a_y: np.ndarray, a_x: np.ndarray) -> np.ndarray:
    """A_y @ mask @ A_x.T, of the mask's own tight box only: objects are small. (rows, columns), float64."""
    x0, y0, x1, y1 = (int(edge) for edge in masks.box(value))
    pixels = masks.decode(value)[y0:y1, x0:x1]
    return (a_y[:, y0:y1] @ pixels.astype(a_y.dtype)).astype(np.float64) @ a_x[:, x0:x1].T


def overlaps(
    axis: Axis, pixels: int, patch: int, count: int, low: float = 0.0, high: float = np.inf
) -> np.ndarray:
    """Length of each pixel's interval within each patch's, (count, pixels), float64.

    In units of 1 / ``axis.unit`` input pixels, in which every length is a whole number (of one image). Only
    the part of the image between ``low`` and ``high`` (image pixels) counts.
    """
    scale, shift, unit = int(axis.scale[0]), int(axis.shift[0]), int(axis.unit[0])
    edges = np.clip(np.arange(pixels + 1, dtype=np.float64), low, high) * scale + shift
    borders = np.arange(count + 1, dtype=np.float64)[:, None] * (patch * unit)
    return np.clip(np.minimum(edges[1:], borders[1:]) - np.maximum(edges[:-1], borders[:-1]), 0, None)
