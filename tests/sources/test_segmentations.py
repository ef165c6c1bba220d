"""COCO's boxes and segmentations: converted exactly, and refused when pycocotools could not bear them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.sources.boxes import clipped_box
from pipeline.sources.reasons import UnusableRowError
from pipeline.sources.segmentations import mask_of, unpack_runs
from pipeline.tables import masks

PIXELS = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(np.any)


def runs_one_by_one(pixels: np.ndarray) -> list[int]:
    """Lengths of runs down the columns, starting with background: a slow reference."""
    runs, current = [0], False
    for pixel in pixels.flatten(order="F"):
        if pixel != current:
            runs.append(0)
            current = pixel
        runs[-1] += 1
    return runs


def reason_of(bbox: object) -> str:
    with pytest.raises(UnusableRowError) as caught:
        clipped_box(bbox, 20, 10)
    return caught.value.reason


@pytest.mark.parametrize(
    ("bbox", "box"),
    [
        ([2, 3, 4, 5], (2, 3, 6, 8)),
        ([0, 0, 20, 10], (0, 0, 20, 10)),
        ([-5, -1, 10, 30], (0, 0, 5, 10)),
        ([19.5, 9.25, 4, 4], (19.5, 9.25, 20, 10)),
    ],
)
def test_boxes_become_corners_inside_the_image(bbox, box):
    assert clipped_box(bbox, 20, 10) == box


@pytest.mark.parametrize(
    "bbox",
    [
        None, [], [1, 2, 3], [1, 2, 3, 4, 5], "1234", {"x": 1}, 7, [1, 2, None, 4], [1, 2, "3", 4],
        [1, 2, True, 4], [float("nan"), 0, 1, 1], [0, 0, float("inf"), 1], [1, 2, -3, 4], [1, 2, 3, 0],
    ],
)  # fmt: skip
def test_what_is_no_box_is_invalid(bbox):
    assert reason_of(bbox) == "box_invalid"


@pytest.mark.parametrize(
    "bbox", [[20, 0, 5, 5], [-5, 0, 5, 5], [0, 10, 1, 1], [0, -9, 5, 9], [1e9, 1e9, 1, 1]]
)
def test_a_box_with_nothing_in_the_image_is_outside(bbox):
    assert reason_of(bbox) == "box_outside"


@given(st.lists(st.floats(allow_nan=False, width=32), min_size=4, max_size=4))
def test_a_box_that_is_kept_has_area_inside_the_image_at_the_columns_precision(bbox):
    try:
        x0, y0, x1, y1 = np.float32(clipped_box(bbox, 20, 10))
    except UnusableRowError:
        return
    assert 0 <= x0 < x1 <= 20 and 0 <= y0 < y1 <= 10


@given(PIXELS)
def test_runs_in_every_spelling_give_the_mask(pixels):
    height, width = pixels.shape
    compressed = masks.encode(pixels)["counts"].decode()
    for counts in (runs_one_by_one(pixels), compressed):
        mask = mask_of({"size": [height, width], "counts": counts}, width, height)
        assert (masks.decode(mask) == pixels).all()


@given(arrays(bool, st.tuples(st.integers(1, 70), st.integers(1, 70))))
def test_compressed_runs_unpack_to_their_lengths(pixels):
    assert unpack_runs(masks.encode(pixels)["counts"]).tolist() == runs_one_by_one(pixels)


def test_polygons_are_united():
    mask = mask_of([[0, 0, 2, 0, 2, 2, 0, 2], [5, 5, 8, 5, 8, 7, 5, 7]], 10, 10)
    expected = np.zeros((10, 10), bool)
    expected[0:2, 0:2] = expected[5:7, 5:8] = True
    assert (masks.decode(mask) == expected).all()


def test_without_a_segmentation_there_is_no_mask():
    assert mask_of(None, 10, 10) is None and mask_of([], 10, 10) is None


@pytest.mark.parametrize(
    "segmentation",
    [
        "polygon", 3, [1, 2, 3, 4, 5, 6], [[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, 3, 4, 5, None]], [[1, 2, 3, 4, 5, float("nan")]], [[1, 2, 3, 4, 5, 1e12]],
        [[50, 50, 60, 50, 60, 60]], {},
        {"size": [10, 10]}, {"size": [10, 9], "counts": [100]}, {"size": [10, 10], "counts": [99]},
        {"size": [10, 10], "counts": [101]}, {"size": [10, 10], "counts": [-1, 101]},
        {"size": [10, 10], "counts": [50.0, 50.0]}, {"size": [10, 10], "counts": [100]},
        {"size": [10, 10], "counts": []}, {"size": [10, 10], "counts": ""},
        {"size": [10, 10], "counts": "PPP"}, {"size": [10, 10], "counts": "\x7f\x7f"},
        {"size": [10, 10], "counts": "é"}, {"size": [10, 10], "counts": 5},
        {"size": [10, 10], "counts": "o" * 40 + "0"},
    ],
)  # fmt: skip
def test_a_segmentation_that_cannot_be_used_is_invalid(segmentation):
    with pytest.raises(UnusableRowError) as caught:
        mask_of(segmentation, 10, 10)
    assert caught.value.reason == "mask_invalid"


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=30))
def test_random_compressed_runs_give_a_mask_of_the_image_or_are_refused(counts):
    try:
        mask = mask_of({"size": [6, 7], "counts": counts}, 7, 6)
    except UnusableRowError:
        return
    assert masks.decode(mask).shape == (6, 7) and masks.decode(mask).any()
