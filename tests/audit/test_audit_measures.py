"""Measures of an audited source: sums by hand, intervals that cover, groups that add up."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.audit.measures import SIZES, measure
from pipeline.tables import schemas

AREA = 100 * 100


def row(number: int, image_id: str = "7", **changes) -> dict:
    """A phrase with one true box of 10 x 10 pixels, found by the only region."""
    good = {
        "phrase_id": f"{image_id}/c0/p{number}", "image_id": image_id, "noun": "dog", "truth": "named",
        "true_boxes": [[0, 0, 10, 10]], "true_ious": [0.8], "found": [True], "boxes": [[0, 0, 10, 8]],
        "scores": [1.0], "right": [True], "iou": 0.8, "hit": True, "pointed": True,
    }  # fmt: skip
    return {**good, **changes}


MISSED = {
    "true_ious": [0.0], "found": [False], "boxes": [], "scores": [], "right": [], "iou": 0.0, "hit": False,
    "pointed": False,
}  # fmt: skip


def table(*rows: dict) -> pa.Table:
    return schemas.from_rows("audit", list(rows))


def measured(*rows: dict, resamples: int = 200, seed: int = 0):
    return measure(table(*rows), {row["image_id"]: AREA for row in rows}, resamples, seed)


def test_measures_are_ratios_over_all_images():
    two = {"true_boxes": [[0, 0, 10, 10], [20, 20, 40, 40]], "true_ious": [0.8, 0.2], "found": [True, False]}
    found = measured(row(0, "a", **two), row(1, "a"), row(2, "b", **MISSED)).overall
    assert {key: (one.value, one.n) for key, one in found.items()} == {
        "audit.recall": (pytest.approx(2 / 4), 4),
        "audit.precision": (1.0, 2),
        "audit.miou": (pytest.approx((0.8 + 0.2 + 0.8 + 0) / 4), 4),
        "audit.phrase_recall": (pytest.approx(2 / 3), 3),
        "audit.pointing": (pytest.approx(2 / 3), 3),
        "audit.grounded": (pytest.approx(2 / 3), 3),
    }


def test_a_source_that_finds_nothing_has_no_precision():
    found = measured(row(0, **MISSED)).overall
    assert "audit.precision" not in found and found["audit.recall"].value == 0.0


def test_nothing_to_judge_is_no_measure():
    found = measure(schemas.empty("audit"), {}, 10, 0)
    assert found.overall == {} and found.groups == {}


def test_certainty_needs_images_and_not_phrases():
    few = measured(*(row(number, "a") for number in range(50))).overall["audit.recall"]
    many = measured(*(row(0, f"i{number}") for number in range(50))).overall["audit.recall"]
    assert few.n == many.n == 50 and few.high == many.high == 1.0
    # Clopper and Pearson: 0.025 ** (1 / images).
    assert few.low == pytest.approx(0.025) and many.low == pytest.approx(0.025 ** (1 / 50))


def test_intervals_cover_the_true_share_as_often_as_they_say():
    """Images of four phrases, found or missed together: intervals over phrases would be too narrow."""
    rng = np.random.default_rng(3)
    inside = 0
    for trial in range(120):
        rows = [
            row(number, f"i{image}", **({} if is_found else MISSED))
            for image, is_found in enumerate(rng.random(60) < 0.4)
            for number in range(4)
        ]
        found = measured(*rows, seed=trial).overall["audit.recall"]
        inside += found.low <= 0.4 <= found.high
    assert 106 <= inside <= 120, "95 % of 120 is 114; 106 is three standard deviations below"


def test_the_same_seed_gives_the_same_intervals_and_another_does_not():
    rows = [row(0, f"i{number}", **({} if number % 3 else MISSED)) for number in range(30)]
    one, same, other = (measured(*rows, seed=seed).overall["audit.recall"] for seed in (1, 1, 2))
    assert one == same != other
    assert one.low < one.value < one.high


def test_groups_add_up_to_the_whole():
    rows = [
        row(number, f"i{number % 5}", noun=noun, truth=truth, **({} if number % 4 else MISSED))
        for number, (noun, truth) in enumerate([("dog", "named"), ("cat", "linked"), ("dog", "linked")] * 6)
    ]
    whole = measured(*rows)
    for kind in ("noun", "truth", "size"):
        groups = whole.groups[kind].values()
        for key in ("audit.recall", "audit.miou"):
            total = sum(one[key].value * one[key].n for one in groups)
            assert total == pytest.approx(whole.overall[key].value * whole.overall[key].n)
            assert sum(one[key].n for one in groups) == whole.overall[key].n
    assert list(whole.groups["noun"]) == ["dog", "cat"], "the commonest first"


def test_sizes_are_thirds_by_share_of_the_image():
    rows = [row(number, f"i{number}", true_boxes=[[0, 0, number + 1, 10]]) for number in range(9)]
    sizes = measured(*rows).groups["size"]
    assert [one["audit.recall"].n for one in sizes.values()] == [3, 3, 3]
    assert [name.split(",")[0] for name in sizes] == list(SIZES)
    assert set(sizes["small, below 0.4% of the image"]) == {"audit.recall", "audit.miou"}
