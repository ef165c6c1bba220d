"""From a detector's boxes and scores to the boxes of a phrase, in image pixels."""

from __future__ import annotations

import numpy as np


def to_pixels(boxes_Q4: np.ndarray, scale: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    """Centre, width and height as shares of what the detector saw, as half-open pixel boxes of the image.

    Args:
        boxes_Q4: centre x, centre y, width, height, 0 to 1.
        scale: width and height, in image pixels, of what the detector saw: of the image, or of the canvas
            that it was padded to on the right and below.
        size: width and height of the image; boxes are clipped to it.

    Returns:
        x0, y0, x1, y1, float32 (queries, 4). A box outside the image has no area.
    """
    centre, half = boxes_Q4[:, :2], boxes_Q4[:, 2:] / 2
    corners = np.concatenate([centre - half, centre + half], axis=1) * np.tile(scale, 2)
    return np.clip(corners, 0, np.tile(size, 2)).astype(np.float32)


def choose(
    boxes_N4: np.ndarray,
    best_N: np.ndarray,
    mean_N: np.ndarray,
    box_threshold: float,
    text_threshold: float,
    nms_iou: float,
) -> np.ndarray:
    """The boxes of a phrase, best first. Boxes of different phrases never suppress each other.

    Args:
        boxes_N4: x0, y0, x1, y1.
        best_N: probability of the phrase's most probable token, or of the phrase where there is one number
            for it.
        mean_N: mean probability of the phrase's tokens.
        box_threshold: a box counts for the phrase when ``best_N`` is above,
        text_threshold: and when ``mean_N`` is above: "red car" is more than something red.
        nms_iou: of two boxes that overlap by more than this (IoU), the better one stays.

    Returns:
        Rows of ``boxes_N4``, in descending order of ``best_N``.
    """
    import torch
    from torchvision.ops import nms

    has_area = np.all(boxes_N4[:, 2:] > boxes_N4[:, :2], axis=1)
    rows = np.flatnonzero((best_N > box_threshold) & (mean_N > text_threshold) & has_area)
    kept = nms(torch.from_numpy(boxes_N4[rows]), torch.from_numpy(best_N[rows]), nms_iou)
    return rows[kept.numpy()]
