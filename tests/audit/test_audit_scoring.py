"""Regions beside true boxes: what is right and what is found, by hand and against a slow reference."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import box_iou

from pipeline.audit.scoring import IOU, iou, score
from pipeline.audit.truth import Truth
from pipeline.tables import schemas

Box = tuple[float, float, float, float]


def truth_of(true: list[list[Box]]) -> Truth:
    """Phrases ``p0``, ``p1``, ... of one image, with their true boxes."""
    rows = [
        {
            "phrase_id": f"p{number}", "caption_id": "7/c0", "image_id": "7", "text": "a dog", "start": 0,
            "end": 5, "is_plural": False,
            "words": [{"text": "dog", "lemma": "dog", "role": "head", "start": 2, "end": 5}],
        }
        for number in range(len(true))
    ]  # fmt: skip
    return Truth(
        phrases=schemas.from_rows("phrases", rows),
        nouns=["dog"] * len(true),
        linked=np.zeros(len(true), bool),
        phrase_of=np.repeat(np.arange(len(true)), [len(boxes) for boxes in true]),
        boxes=np.array([box for boxes in true for box in boxes], float).reshape(-1, 4),
        left_out={},
    )


def regions_of(found: list[tuple[str, Box, float]]) -> pa.Table:
    return schemas.from_rows(
        "regions",
        [
            {
                "region_id": f"{phrase_id}/r{number}", "phrase_id": phrase_id, "image_id": "7", "box": box,
                "mask": None, "score": score, "annotator": "made",
            }
            for number, (phrase_id, box, score) in enumerate(found)
        ],
    )  # fmt: skip


def scored(true: list[list[Box]], found: list[tuple[str, Box, float]]) -> list[dict]:
    return score(truth_of(true), regions_of(found)).to_pylist()


def test_a_region_on_its_true_box_is_right():
    (row,) = scored([[(0, 0, 10, 10)]], [("p0", (0, 0, 10, 10), 0.7)])
    assert row["true_ious"] == [1.0] and row["found"] == [True] and row["right"] == [True]
    assert (row["hit"], row["pointed"], row["iou"], row["noun"]) == (True, True, 1.0, "dog")


def test_half_overlap_counts_and_less_does_not():
    # 10 x 10 against 10 x 5 is 50 / 100; against 10 x 4.9 it is 49 / 100.
    half, less = scored(
        [[(0, 0, 10, 10)], [(0, 0, 10, 10)]], [("p0", (0, 0, 10, 5), 1), ("p1", (0, 0, 10, 4.9), 1)]
    )
    assert half["found"] == half["right"] == [True] and half["hit"]
    assert less["found"] == less["right"] == [False] and not less["hit"]
    assert less["pointed"], "the centre lies in the true box all the same"


def test_a_phrase_without_a_region_is_missed():
    (row,) = scored([[(0, 0, 10, 10), (20, 20, 30, 30)]], [])
    assert row["true_ious"] == [0.0, 0.0] and row["found"] == [False, False] and row["boxes"] == []
    assert (row["hit"], row["pointed"], row["iou"]) == (False, False, 0.0)


def test_two_regions_on_one_true_box_are_one_right_and_one_wrong():
    (row,) = scored([[(0, 0, 10, 10)]], [("p0", (0, 0, 10, 8), 0.4), ("p0", (0, 0, 10, 9), 0.9)])
    assert row["scores"] == pytest.approx([0.9, 0.4])
    assert row["right"] == [True, False] and row["true_ious"] == pytest.approx([0.9])


def test_a_region_counts_for_its_own_phrase_alone():
    one, other = scored([[(0, 0, 10, 10)], [(50, 50, 60, 60)]], [("p0", (50, 50, 60, 60), 1)])
    assert one["found"] == [False] and one["right"] == [False] and not one["pointed"]
    assert other["found"] == [False] and other["boxes"] == []


def test_the_best_scored_region_points_whatever_the_others_do():
    (row,) = scored([[(0, 0, 10, 10)]], [("p0", (0, 0, 10, 10), 0.1), ("p0", (40, 40, 50, 50), 0.9)])
    assert not row["pointed"] and not row["hit"] and row["iou"] == 0.0
    assert row["found"] == [True] and row["right"] == [False, True]


def test_regions_of_phrases_without_truth_do_not_count():
    (row,) = scored([[(0, 0, 10, 10)]], [("elsewhere", (0, 0, 10, 10), 1)])
    assert row["boxes"] == []


coordinates = st.integers(0, 12)
boxes = st.tuples(coordinates, coordinates, st.integers(1, 9), st.integers(1, 9)).map(
    lambda b: (float(b[0]), float(b[1]), float(b[0] + b[2]), float(b[1] + b[3]))
)


@given(one=st.lists(boxes, min_size=1, max_size=8), other=st.lists(boxes, min_size=1, max_size=8))
def test_overlap_is_torchvisions(one, other):
    n = min(len(one), len(other))
    ours = iou(np.array(one[:n]), np.array(other[:n]))
    import torch

    theirs = box_iou(torch.tensor(one[:n]), torch.tensor(other[:n])).diagonal().numpy()
    assert np.allclose(ours, theirs, atol=1e-6)


def test_a_box_without_area_overlaps_nothing():
    assert iou(np.array([[3, 3, 3, 9.0]]), np.array([[0, 0, 10, 10.0]])).tolist() == [0.0]


def slowly(true: list[list[Box]], found: list[tuple[str, Box, float]]) -> list[tuple]:
    """The definition, phrase by phrase: overlaps, greedy pairing, best region."""
    rows = []
    for number, trues in enumerate(true):
        mine = sorted((r for r in found if r[0] == f"p{number}"), key=lambda r: -r[2])

        def overlap(region: Box, box: Box) -> float:
            return float(iou(np.array([region]), np.array([box]))[0])

        free = dict(enumerate(trues))
        right = []
        for _, region, _ in mine:
            near = [place for place, box in free.items() if overlap(region, box) >= IOU]
            if near:
                free.pop(max(near, key=lambda place: (overlap(region, trues[place]), -place)))
            right.append(bool(near))
        first = mine[0][1] if mine else None
        centre = ((first[0] + first[2]) / 2, (first[1] + first[3]) / 2) if first else None
        rows.append(
            (
                [max((overlap(r[1], box) for r in mine), default=0.0) for box in trues],
                [place not in free for place in range(len(trues))],
                right,
                bool(first) and max(overlap(first, box) for box in trues) >= IOU,
                any(b[0] <= centre[0] < b[2] and b[1] <= centre[1] < b[3] for b in trues)
                if centre
                else False,
            )
        )
    return rows


@given(
    true=st.lists(st.lists(boxes, min_size=1, max_size=4), min_size=1, max_size=4),
    found=st.lists(st.tuples(st.sampled_from(["p0", "p1", "p2", "p3"]), boxes, st.sampled_from([0.5, 0.25]))),
)
def test_every_phrase_scores_as_the_definition_says(true, found):
    for row, (ious, has, right, hit, pointed) in zip(scored(true, found), slowly(true, found), strict=True):
        assert row["true_ious"] == pytest.approx(ious, abs=1e-6)
        assert (row["found"], row["right"]) == (has, right)
        assert (row["hit"], row["pointed"]) == (hit, pointed)
        assert sum(row["found"]) == sum(row["right"]), "they come in pairs"
