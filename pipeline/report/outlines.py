"""Regions as SVG paths in image pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.tables import masks


def of_region(region: Mapping[str, Any]) -> str:
    """The outline of a row of ``regions``: of its mask where there is one, else of its box."""
    return of_mask(masks.decode(region["mask"])) if region["mask"] else of_box(region["box"])


def of_box(box: list[float]) -> str:
    """The border of a box (x0, y0, x1, y1)."""
    x0, y0, x1, y1 = (f"{side:g}" for side in box)
    return f"M{x0} {y0}H{x1}V{y1}H{x0}Z"


def of_mask(inside: np.ndarray) -> str:
    """The edges between pixels inside and outside a boolean (height, width) mask, straight runs joined."""
    padded = np.pad(inside.astype(np.int8), 1)
    level = _runs(padded[1:, 1:-1] != padded[:-1, 1:-1])
    upright = _runs((padded[1:-1, 1:] != padded[1:-1, :-1]).T)
    return "".join(f"M{first} {line}H{end}" for line, first, end in level) + "".join(
        f"M{line} {first}V{end}" for line, first, end in upright
    )


def _runs(edges: np.ndarray) -> list[tuple[int, int, int]]:
    """Runs of True along the rows of a boolean array: (row, first, one past the last)."""
    change = np.diff(np.pad(edges.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, first = np.nonzero(change == 1)
    _, end = np.nonzero(change == -1)
    return list(zip(rows.tolist(), first.tolist(), end.tolist(), strict=True))
