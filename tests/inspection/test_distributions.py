"""What is counted in the tables, against hand counts and plain loops."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import made_run
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.inspection import distributions, show_diff
from pipeline.inspection.describe import Dataset
from pipeline.inspection.distributions import Histogram, Tally
from pipeline.tables import schemas


def counts(path: Path) -> dict[str, dict[float | str, int]]:
    """Counts by label; numbers as they are, not as multiples of their step."""
    return {
        each.label: dict(each.counts)
        if isinstance(each, Tally)
        else {round(number * each.step, 6): count for number, count in each.counts.items()}
        for each in distributions.of(Dataset(path))
    }


def test_patch_words_are_counted_right(made: Path) -> None:
    found = counts(made / "patch_words")
    assert found["phrases an image"] == {2: 1, 1: 2}
    assert found["regions a phrase"] == {2: 1, 1: 3}
    assert found["patches a phrase"] == {3: 1, 4: 1, 1: 1, 2: 1}
    assert found["words a phrase"] == {2: 3, 1: 1}
    # Of 790: patches 0, 1 carry "red cup", 4 also "wooden table", 5, 6, 7 that alone. 791: 1. 900: 0 and 3.
    assert found["words a patch, of those with any"] == {2: 5 + 2, 4: 1, 1: 1}
    assert found["coverage of a patch"] == {0.5: 1, 1.0: 5, 0.25: 2, 0.75: 1, 0.125: 1}
    assert found["score"] == {0.9: 1, 0.5: 1, 0.75: 1, 1.0: 1}
    assert found["split"] == {"train": 3, "test": 1} and found["annotator"] == {"hand": 4}


def test_what_was_not_grounded_counts_as_none(made: Path) -> None:
    assert counts(made / "regions")["regions a phrase"] == {2: 1, 1: 3, 0: 1}
    assert counts(made / "phrases")["phrases a caption"] == {2: 1, 1: 3}
    alone = counts(made / "regions" / "part-00000.arrow")
    assert alone["regions a phrase, of those with any"] == {2: 1, 1: 2}
    assert counts(made / "rejects" / "ground") == {"reason": {"not_found": 1}}
    assert counts(made / "rejects" / "parse") == {"reason": {}}


def test_two_versions_are_counted_alike_where_one_lies_alone(made: Path, tmp_path: Path) -> None:
    alone = Dataset(shutil.copytree(made / "regions", tmp_path / "regions"))
    beside = Dataset(made / "regions")
    for before, after in ((alone, beside), (beside, alone)):
        one, other = distributions.of_both(before, after)
        assert one == other and one[0].label == "regions a phrase, of those with any"
        assert show_diff.distributions(one, other) is None
    one, other = distributions.of_both(beside, beside)
    assert one == other == distributions.of(beside) and one[0].label == "regions a phrase"


def test_other_tables_are_counted_right(made: Path) -> None:
    assert counts(made / "images")["width"] == {40: 1, 30: 1, 20: 1}
    assert counts(made / "captions")["length of a caption"] == {28: 1, 9: 1, 19: 1, 11: 1}
    assert counts(made / "objects")["has a mask"] == {"true": 2, "false": 2}
    # The roots of 17.5 * 22.25, 40 * 20, 12.2 * 33.7 and 18 * 18.
    assert counts(made / "objects")["side of a box (root of its area)"] == {20: 2, 28: 1, 18: 1}
    assert counts(made / "phrases")["role of a word"] == {"attribute": 3, "head": 5, "number": 1}
    assert counts(made / "conversations")["turns a conversation"] == {2: 4}


IMAGES = st.lists(st.lists(st.integers(0, 6), max_size=4), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(images=IMAGES, most=st.integers(1, 7))
def test_slices_hold_whole_images_and_give_the_same_counts(images: list[list[int]], most: int) -> None:
    row = made_run.rows()["patch_words"][0]
    rows = [
        {**row, "image_id": f"i{number}", "patches": [*range(size)], "coverage": [0.5] * size}
        for number, sizes in enumerate(images)
        for size in sizes
    ]
    table = schemas.from_rows("patch_words", rows)
    pieces = [piece.to_pylist() for piece in distributions.slices(table, most)]
    assert [each for piece in pieces for each in piece] == table.to_pylist()
    seen = [{each["image_id"] for each in piece} for piece in pieces]
    assert sum(map(len, seen)) == len(set().union(*seen))
    longest = max(map(len, images))
    assert all(len(piece) <= max(most, most - 1 + longest) for piece in pieces)
    words = Counter()
    for number in range(len(images)):
        patches = Counter(p for each in rows if each["image_id"] == f"i{number}" for p in each["patches"])
        words.update(2 * count for count in patches.values())
    measure = next(
        each for each in distributions.MEASURES["patch_words"] if each.label.startswith("words a patch,")
    )
    result = Histogram("")
    for piece in distributions.slices(table, most):
        result.add(measure.numbers(piece))
    assert result.counts == words


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(-3, 40), min_size=1, max_size=50),
    cut=st.integers(0, 50),
    share=st.floats(0, 1),
)
def test_a_histogram_knows_what_numpy_knows_of_the_numbers(
    numbers: list[int], cut: int, share: float
) -> None:
    histogram = Histogram("")
    for piece in (numbers[:cut], numbers[cut:]):
        histogram.add(np.asarray(piece, dtype=np.int32))
    assert histogram.count == len(numbers)
    assert histogram.mean() == pytest.approx(np.mean(numbers))
    below = sum(each <= histogram.quantile(share) for each in numbers)
    assert below >= share * len(numbers) - 1e-9
    assert sum(each < histogram.quantile(share) for each in numbers) <= share * len(numbers) + 1e-9
    bins = histogram.bins()
    assert sum(count for *_, count in bins) == len(numbers)
    for place, (low, high, count) in enumerate(bins):
        is_last = place == len(bins) - 1
        assert count == sum(low <= each < high or (is_last and each == high) for each in numbers)
    assert len(histogram.bars()) == len(bins)


def test_numbers_that_are_far_apart_are_counted_too() -> None:
    histogram = Histogram("")
    histogram.add(np.array([0, 5_000_000, 5_000_000]))
    assert histogram.counts == {0: 1, 5_000_000: 2}
    histogram.add(np.array([], dtype=np.int64))
    assert histogram.count == 3
