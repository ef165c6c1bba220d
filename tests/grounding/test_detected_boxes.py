"""Boxes to pixels, thresholds, and suppression within a phrase."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import nms

from pipeline.grounding.boxes import choose, to_pixels


def test_boxes_to_pixels_by_hand():
    boxes = np.array([[0.5, 0.5, 1, 1], [0.25, 0.5, 0.5, 0.2], [0.9, 0.1, 0.4, 0.4]], np.float32)
    found = to_pixels(boxes, (200, 100), (200, 100))
    np.testing.assert_allclose(found, [[0, 0, 200, 100], [0, 40, 100, 60], [140, 0, 200, 30]], atol=1e-4)
    assert found.dtype == np.float32


def test_padding_is_no_part_of_the_image():
    # A square of 200 around an image of 200 x 100: its lower half is padding.
    boxes = np.array([[0.5, 0.5, 1, 1], [0.5, 0.25, 0.5, 0.25], [0.5, 0.9, 0.1, 0.1]])
    found = to_pixels(boxes, (200, 200), (200, 100))
    assert found[:2].tolist() == [[0, 0, 200, 100], [50, 25, 150, 75]]
    assert (found[2, 1], found[2, 3]) == (100, 100)  # nothing of it is in the image
    one = np.ones(3, np.float32)
    assert choose(found, one, one, 0.1, 0.1, 1.0).tolist() == [0, 1]


def test_a_box_needs_both_thresholds_and_no_equal():
    boxes = np.array([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5], [6, 6, 7, 7]], np.float32)
    best = np.array([0.5, 0.3, 0.6, 0.9], np.float32)
    mean = np.array([0.4, 0.3, 0.1, 0.3], np.float32)
    assert choose(boxes, best, mean, 0.25, 0.2, 0.5).tolist() == [3, 0, 1]
    assert choose(boxes, best, mean, 0.5, 0.2, 0.5).tolist() == [3]
    assert choose(boxes, best, mean, 0.25, np.float32(0.3), 0.5).tolist() == [0]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 30), st.floats(0, 1), st.floats(0, 1))
def test_boxes_above_both_thresholds_are_suppressed_as_torchvision_does(seed, count, threshold, iou):
    random = np.random.default_rng(seed)
    start = random.uniform(0, 50, (count, 2))
    boxes = np.concatenate([start, start + random.uniform(1, 50, (count, 2))], 1).astype(np.float32)
    best, mean = random.random((2, count)).astype(np.float32)
    rows = choose(boxes, best, mean, threshold, 0.2, iou)
    above = [i for i in range(count) if best[i] > threshold and mean[i] > 0.2]
    kept = nms(torch.tensor(boxes[above]).reshape(-1, 4), torch.tensor(best[above]), iou)
    assert rows.tolist() == [above[i] for i in kept.tolist()]
    assert sorted(best[rows].tolist(), reverse=True) == best[rows].tolist()
