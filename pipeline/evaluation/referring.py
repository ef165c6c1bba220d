"""Referring expressions: how well answered boxes overlap the true ones.

Boxes are ``(x0, y0, x1, y1)`` in pixels, half-open.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

THRESHOLD = 0.5


class BoxScores(NamedTuple):
    """One value an example."""

    hit: np.ndarray
    """1.0 where the overlap is `THRESHOLD` or more (for a floor: the chance of that)."""
    iou: np.ndarray
    """Intersection over union (for a floor: its expectation)."""


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes ``... x 4`` and ``... x 4`` that broadcast; an empty union gives 0.

    A box with an edge on the wrong side has no area.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    overlap = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None)
    intersection = overlap.prod(-1)
    union = _area(a) + _area(b) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def box_scores(predicted: Sequence[Sequence[float] | None], true: np.ndarray) -> BoxScores:
    """Scores of answered boxes against the true ones, R x 4; None (an unparsable answer) scores 0 on both.

    Raises:
        ValueError: the two differ in length.
    """
    true = np.asarray(true, dtype=np.float64).reshape(-1, 4)
    if len(predicted) != len(true):
        raise ValueError(f"{len(predicted)} answers cannot be scored against {len(true)} boxes")
    nothing = (0.0, 0.0, 0.0, 0.0)
    boxes = np.array([nothing if box is None else tuple(box) for box in predicted], dtype=np.float64)
    overlap = iou(boxes.reshape(-1, 4), true)
    return BoxScores((overlap >= THRESHOLD).astype(np.float64), overlap)


def unparsable(predicted: Sequence[Sequence[float] | None]) -> np.ndarray:
    """1.0 for each answer that no box could be read from, else 0.0."""
    return np.array([box is None for box in predicted], dtype=np.float64)


def random_box_floor(true: np.ndarray, candidates: Sequence[np.ndarray]) -> BoxScores:
    """What naming one of the image's own boxes at random scores on average: exact expectations, no draw.

    Args:
        true: the asked boxes, R x 4.
        candidates: for each example, all boxes of its image, any number x 4, the asked one among them.

    Raises:
        ValueError: the two differ in length, or an example has no candidate.
    """
    true = np.asarray(true, dtype=np.float64).reshape(-1, 4)
    counts = np.array([len(boxes) for boxes in candidates], dtype=np.int64)
    if len(counts) != len(true):
        raise ValueError(f"{len(counts)} lists of candidates for {len(true)} boxes")
    if np.any(counts == 0):
        raise ValueError(f"{int((counts == 0).sum())} examples have no candidate box")
    if len(true) == 0:
        return BoxScores(np.zeros(0), np.zeros(0))
    flat = np.concatenate([np.asarray(boxes, dtype=np.float64).reshape(-1, 4) for boxes in candidates])
    owner = np.repeat(np.arange(len(true)), counts)
    overlap = iou(flat, true[owner])
    hits = np.bincount(owner, overlap >= THRESHOLD, minlength=len(true))
    return BoxScores(hits / counts, np.bincount(owner, overlap, minlength=len(true)) / counts)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(-1)
