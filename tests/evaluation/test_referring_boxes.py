"""Overlap of boxes: by hand, against torchvision, and the floor of naming any box of the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.referring import box_scores, iou, random_box_floor, unparsable

BOX = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 20), st.integers(1, 20)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


def test_iou_by_hand():
    # Two 4 x 4 boxes that share 2 x 4: 8 of 24. Apart; touching edges; the same; one in the other: 4 of 16.
    a = np.array([[0, 0, 4, 4]] * 5)
    b = np.array([[2, 0, 6, 4], [9, 9, 10, 10], [4, 0, 8, 4], [0, 0, 4, 4], [1, 1, 3, 3]])
    np.testing.assert_allclose(iou(a, b), [1 / 3, 0, 0, 1, 1 / 4])


@settings(deadline=None)  # the first call imports torchvision
@given(st.lists(BOX, min_size=1, max_size=8), st.lists(BOX, min_size=1, max_size=8))
def test_iou_is_torchvision_s(a, b):
    from torchvision.ops import box_iou

    theirs = box_iou(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
    np.testing.assert_allclose(iou(np.array(a)[:, None], np.array(b)[None]), theirs)


@given(BOX, BOX, st.integers(-9, 9), st.integers(1, 9))
def test_iou_is_symmetric_and_blind_to_shift_and_scale(a, b, shift, scale):
    value = iou(np.array(a), np.array(b))
    assert 0 <= value <= 1
    assert value == iou(np.array(b), np.array(a))
    assert value == pytest.approx(iou(np.array(a) * scale + shift, np.array(b) * scale + shift))


def test_boxes_without_area_overlap_nothing():
    assert iou(np.array([3, 3, 3, 3]), np.array([3, 3, 3, 3])) == 0
    assert iou(np.array([5, 5, 1, 1]), np.array([0, 0, 9, 9])) == 0


def test_half_is_enough_and_unparsable_answers_score_zero():
    true = np.array([[0, 0, 10, 10]] * 4)
    said = [(0, 0, 10, 5), None, (0, 0, 10, 4.9), (0, 0, 10, 10)]
    scores = box_scores(said, true)
    assert scores.hit.tolist() == [1, 0, 0, 1]
    np.testing.assert_allclose(scores.iou, [0.5, 0, 0.49, 1])
    assert unparsable(said).tolist() == [0, 1, 0, 0]


def test_no_answers_give_no_scores():
    assert box_scores([], np.zeros((0, 4))).hit.shape == (0,)
    assert random_box_floor(np.zeros((0, 4)), []).iou.shape == (0,)


def test_the_random_box_floor_by_hand():
    # Beside the asked box: one that overlaps it enough to count as a hit, and one that does not.
    true = np.array([[0, 0, 8, 4], [0, 0, 8, 4]])
    near = [0, 0, 10, 4]  # IoU 32 / 40
    far = [4, 0, 12, 4]  # IoU 16 / 48
    floor = random_box_floor(true, [np.array([true[0], near, far]), np.array([true[0]])])
    np.testing.assert_allclose(floor.hit, [2 / 3, 1])
    np.testing.assert_allclose(floor.iou, [(1 + 0.8 + 1 / 3) / 3, 1])


@given(st.lists(st.lists(BOX, min_size=1, max_size=5), min_size=1, max_size=6))
def test_the_floor_is_the_mean_over_every_pick(images):
    true = np.array([boxes[0] for boxes in images])
    floor = random_box_floor(true, [np.array(boxes) for boxes in images])
    for i, boxes in enumerate(images):
        every = box_scores(boxes, np.tile(true[i], (len(boxes), 1)))
        assert floor.hit[i] == pytest.approx(every.hit.mean())
        assert floor.iou[i] == pytest.approx(every.iou.mean())
        assert floor.hit[i] >= 1 / len(boxes)


def test_mismatched_inputs_are_refused():
    with pytest.raises(ValueError, match="1 answers cannot be scored against 2 boxes"):
        box_scores([None], np.zeros((2, 4)))
    with pytest.raises(ValueError, match="1 examples have no candidate"):
        random_box_floor(np.zeros((1, 4)), [np.zeros((0, 4))])
