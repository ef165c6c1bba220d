"""A source's regions beside the true boxes of their phrases: which are right, which were found.

Boxes are compared, also where regions have masks (a mask's box is the tight one around it). Letters: P
phrases, T true boxes, R regions.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.audit.truth import Truth, corners
from pipeline.tables import schemas

IOU = 0.5
"""Overlap (intersection over union) from which on a region shows a true box."""


def score(truth: Truth, regions: pa.Table) -> pa.Table:
    """The table ``audit``: every phrase of the truth with what a source made of it.

    Regions and true boxes are paired off within each phrase as in COCO's evaluation: the region with the
    highest score first (the first of equals), each with the free true box that it overlaps most, if by
    `IOU` or more. Regions of phrases that are not in ``truth`` do not count.
    """
    ids = truth.phrases["phrase_id"].combine_chunks()
    count = len(ids)
    of_R = pa.compute.index_in(regions["phrase_id"], value_set=ids)
    regions = regions.filter(of_R.is_valid())
    of_R = of_R.drop_null().to_numpy().astype(np.int64)
    scores_R = regions["score"].to_numpy().astype(np.float64)
    order = np.lexsort((np.arange(len(of_R)), -scores_R, of_R))
    of_R, scores_R, boxes_R4 = of_R[order], scores_R[order], corners(regions["box"])[order]

    at_R, at_T = _beside(of_R, truth.phrase_of, count)
    overlap = iou(boxes_R4[at_R], truth.boxes[at_T])
    best_T = np.zeros(len(truth.boxes))
    np.maximum.at(best_T, at_T, overlap)
    best_R = np.zeros(len(of_R))
    np.maximum.at(best_R, at_R, overlap)
    right_R, found_T = _paired(at_R, at_T, overlap, len(of_R), len(truth.boxes))

    first, answered = np.unique(of_R, return_index=True)[::-1]  # each phrase's best region
    hit_P, pointed_P, iou_P = np.zeros(count, bool), np.zeros(count, bool), np.zeros(count)
    hit_P[answered] = best_R[first] >= IOU
    iou_P[answered] = best_R[first]
    is_first = np.zeros(len(of_R), bool)
    is_first[first] = True
    aimed = is_first[at_R] & _holds(truth.boxes[at_T], boxes_R4[at_R])
    pointed_P[of_R[at_R[aimed]]] = True

    columns = {
        "phrase_id": truth.phrases["phrase_id"],
        "image_id": truth.phrases["image_id"],
        "noun": pa.array(truth.nouns, pa.string()),
        "truth": pa.array(np.where(truth.linked, "linked", "named"), pa.string()),
        "true_boxes": _boxes(truth.phrase_of, truth.boxes, count),
        "true_ious": _lists(truth.phrase_of, best_T.astype(np.float32), count),
        "found": _lists(truth.phrase_of, found_T, count),
        "boxes": _boxes(of_R, boxes_R4, count),
        "scores": _lists(of_R, scores_R.astype(np.float32), count),
        "right": _lists(of_R, right_R, count),
        "iou": pa.array(iou_P.astype(np.float32)),
        "hit": pa.array(hit_P),
        "pointed": pa.array(pointed_P),
    }
    return pa.table(columns, schema=schemas.SCHEMAS["audit"])


def iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (n, 4), row by row; 0 where either has no area."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    union = _area(one) + _area(other) - shared
    return np.divide(shared, union, out=np.zeros(len(shared)), where=shared > 0)


def _area(boxes: np.ndarray) -> np.ndarray:
    return np.prod(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None), axis=1)


def _holds(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Whether the centre of each inner box lies in its outer box."""
    centre = (inner[:, :2] + inner[:, 2:]) / 2
    return np.all((outer[:, :2] <= centre) & (centre < outer[:, 2:]), axis=1)


def _beside(of_R: np.ndarray, of_T: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Every region beside every true box of its phrase, as rows of both; both are in order of phrases."""
    many_T = np.bincount(of_T, minlength=count)
    start_T = np.cumsum(many_T) - many_T
    repeats = many_T[of_R]
    at_R = np.repeat(np.arange(len(of_R)), repeats)
    within = np.arange(len(at_R)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    return at_R, start_T[of_R[at_R]] + within


def _paired(
    at_R: np.ndarray, at_T: np.ndarray, overlap: np.ndarray, regions: int, boxes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which regions and true boxes have a partner; regions take theirs in their order."""
    right_R, found_T = np.zeros(regions, bool), np.zeros(boxes, bool)
    enough = np.flatnonzero(overlap >= IOU)
    enough = enough[np.lexsort((at_T[enough], -overlap[enough], at_R[enough]))]
    for region, box in zip(at_R[enough].tolist(), at_T[enough].tolist(), strict=True):
        if not right_R[region] and not found_T[box]:
            right_R[region] = found_T[box] = True
    return right_R, found_T


def _lists(of: np.ndarray, values: np.ndarray | pa.Array, count: int) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(np.bincount(of, minlength=count))])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values))


def _boxes(of: np.ndarray, boxes: np.ndarray, count: int) -> pa.ListArray:
    flat = pa.array(boxes.astype(np.float32).ravel())
    return _lists(of, pa.FixedSizeListArray.from_arrays(flat, 4), count)
