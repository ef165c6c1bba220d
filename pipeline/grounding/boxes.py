"""From a detector's boxes and scores to the boxes of phrases, in image pixels."""

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
    boxes_Q4: np.ndarray,
    best_QK: np.ndarray,
    mean_QK: np.ndarray,
    box_threshold: float,
    text_threshold: float,
    nms_iou: float,
) -> list[np.ndarray]:
    """The boxes of each phrase, best first.

    Args:
        boxes_Q4: x0, y0, x1, y1.
        best_QK: probability of each phrase's most probable token, or of the phrase where there is one number
            for it, (boxes, phrases).
        mean_QK: mean probability of each phrase's tokens, the same shape.
        box_threshold: a box counts for a phrase when ``best_QK`` is above,
        text_threshold: and when ``mean_QK`` is above: "red car" is more than something red.
        nms_iou: of two boxes of a phrase that overlap by more than this (IoU), the better one stays. Boxes
            of different phrases never suppress each other.

    Returns:
        For each phrase the rows of ``boxes_Q4``, in descending order of ``best_QK``.
    """
    import torch
    from torchvision.ops import nms

    has_area = np.all(boxes_Q4[:, 2:] > boxes_Q4[:, :2], axis=1)
    above_QK = (best_QK > box_threshold) & (mean_QK > text_threshold) & np.expand_dims(has_area, 1)
    chosen = []
    for k in range(best_QK.shape[1]):
        rows = np.flatnonzero(above_QK[:, k])
        kept = nms(torch.from_numpy(boxes_Q4[rows]), torch.from_numpy(best_QK[rows, k]), nms_iou)
        chosen.append(rows[kept.numpy()])
    return chosen
