"""The coverage of several regions of one phrase together: every place counts once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pipeline.patches.coverage import box_coverage, mask_coverage, overlaps
from pipeline.patches.geometry import Geometry
from pipeline.patches.sparse import Coverage, runs, sum_rows
from pipeline.tables import masks

_CELLS = 1 << 22  # cells of the compressed grids at a time: some 16 MB


def boxes_union(
    boxes: ArrayLike,
    groups: np.ndarray,
    count: int,
    width: np.ndarray,
    height: np.ndarray,
    geometry: Geometry,
) -> Coverage:
    """Coverage of the patches by each group's boxes together, one row a group.

    Args:
        boxes: (n, 4) in image pixels.
        groups: the group of each box, (n,), ascending, below ``count``; a group may have none.
        count: how many groups there are.
        width: pixels of each group's image, (count,).
        height: the same.
        geometry: the encoder's.
    """
    boxes, groups = disjoint(boxes, groups)
    covered = box_coverage(boxes, width[groups], height[groups], geometry)
    return sum_rows(covered, groups, count, geometry.patches)


def disjoint(boxes: ArrayLike, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes that share no area within a group and cover what the group's boxes cover, with their groups.

    A group whose boxes do not overlap stays as it is. Otherwise the edges of its k boxes cut the plane into
    (2k - 1)^2 cells, a running sum over the boxes' corners tells the covered ones, and each run of them
    along x becomes a box.
    """
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    first, size = runs(groups)
    kept, pieces = np.ones(len(boxes), dtype=bool), []
    for k in np.unique(size[size > 1]):
        step = max(1, _CELLS // int(2 * k) ** 2)
        of_size = first[size == k]
        for low in range(0, len(of_size), step):
            members = of_size[low : low + step, None] + np.arange(k)
            members = members[_overlapping(boxes[members])]
            if len(members):
                kept[members] = False
                cut, owner = _cut(boxes[members])
                pieces.append((cut, groups[members[owner, 0]]))
    if not pieces:
        return boxes, groups
    boxes = np.concatenate([boxes[kept], *(cut for cut, _ in pieces)])
    groups = np.concatenate([groups[kept], *(group for _, group in pieces)])
    order = np.argsort(groups, kind="stable")
    return boxes[order], groups[order]


def mixed_union(mask: dict[str, Any], boxes: np.ndarray, geometry: Geometry) -> Coverage:
    """Coverage of the patches by a mask and some boxes (n, 4) of its image together: a single row.

    area(mask) + area(boxes) - area(mask and boxes), the last summed over disjoint parts of the boxes.
    """
    height, width = mask["size"]
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
    parts, _ = disjoint(boxes, np.zeros(len(boxes), dtype=np.int64))
    x, y = geometry.axes(width, height)
    patch_area = geometry.patch[0] * int(y.unit[0]) * geometry.patch[1] * int(x.unit[0])
    pixels = masks.decode(mask).astype(np.float64)
    both = np.zeros(geometry.grid)
    for x0, y0, x1, y1 in parts:
        a_x = overlaps(x, width, geometry.patch[1], geometry.grid[1], x0, x1)
        a_y = overlaps(y, height, geometry.patch[0], geometry.grid[0], y0, y1)
        both += a_y @ pixels @ a_x.T
    whole = mask_coverage([mask], geometry)
    covered = box_coverage(parts, width, height, geometry)
    total = -both.ravel() / patch_area
    total[whole.patches] += whole.values
    np.add.at(total, covered.patches, covered.values)
    # What only one of them covers is exact; the difference of the rest is so to some 1e-16.
    found = np.unique(np.concatenate([whole.patches, covered.patches]))
    return Coverage(np.array([0, len(found)], dtype=np.int64), found, total[found])


def _overlapping(boxes: np.ndarray) -> np.ndarray:
    """Whether any two boxes of each group share area; boxes (groups, k, 4)."""
    low = np.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = np.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    shared = (high > low).all(axis=-1)
    k = boxes.shape[1]
    return shared[:, ~np.eye(k, dtype=bool)].any(axis=1)


def _cut(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Disjoint boxes that cover what each group's do, and the group of each; boxes (groups, k, 4)."""
    count, k, _ = boxes.shape
    real = (boxes[..., 2:] > boxes[..., :2]).all(axis=-1)
    edges_x, rank_x = _rank(boxes[..., [0, 2]])
    edges_y, rank_y = _rank(boxes[..., [1, 3]])
    depth = np.zeros((count, 2 * k, 2 * k), dtype=np.int32)
    group = np.arange(count)[:, None]
    for end_y in (0, 1):
        for end_x in (0, 1):
            sign = real * (1 if end_x == end_y else -1)
            np.add.at(depth, (group, rank_y[..., end_y], rank_x[..., end_x]), sign)
    inside = depth.cumsum(axis=1).cumsum(axis=2) > 0
    # The last row and column of cells are beyond the last edge: never inside.
    before = np.zeros_like(inside)
    before[..., 1:] = inside[..., :-1]
    owner, j, i0 = np.nonzero(inside & ~before)
    _, _, i1 = np.nonzero(before & ~inside)
    cut = np.stack([edges_x[owner, i0], edges_y[owner, j], edges_x[owner, i1], edges_y[owner, j + 1]], axis=1)
    thick = (cut[:, 2:] > cut[:, :2]).all(axis=1)
    return cut[thick], owner[thick]


def _rank(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each group's edges in order (groups, 2k), and the place of each in it; edges (groups, k, 2)."""
    flat = edges.reshape(len(edges), -1)
    order = np.argsort(flat, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(flat.shape[1])[None], axis=1)
    return np.take_along_axis(flat, order, axis=1), rank.reshape(edges.shape)
