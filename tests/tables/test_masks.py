"""Masks in columns: pixels in, the same pixels out, with areas and boxes that count them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from pipeline.tables import masks, schemas

PIXELS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(PIXELS)
def test_a_mask_comes_back_as_it_was(pixels):
    value = masks.encode(pixels)
    assert value["size"] == list(pixels.shape)
    np.testing.assert_array_equal(masks.decode(value), pixels)


@given(PIXELS)
def test_area_counts_pixels(pixels):
    assert masks.area(masks.encode(pixels)) == pixels.sum()


@given(PIXELS)
def test_the_box_is_tight_and_half_open(pixels):
    rows, columns = np.nonzero(pixels)
    expected = (0, 0, 0, 0) if not rows.size else (
        columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    )  # fmt: skip
    assert masks.box(masks.encode(pixels)) == expected


@given(st.data())
@settings(max_examples=50)
def test_a_union_has_every_pixel_of_any(data):
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, max_side=8))
    several = data.draw(st.lists(arrays(bool, shape), min_size=1, max_size=4))
    union = masks.union([masks.encode(pixels) for pixels in several])
    np.testing.assert_array_equal(masks.decode(union), np.any(several, axis=0))


def test_a_rectangle_as_polygon_has_its_pixels():
    # 6 wide, 4 high; the rectangle spans x 1..4 and y 1..3.
    value = masks.from_polygons([[1, 1, 4, 1, 4, 3, 1, 3]], height=4, width=6)
    expected = np.zeros((4, 6), bool)
    expected[1:3, 1:4] = True
    np.testing.assert_array_equal(masks.decode(value), expected)


def test_uncompressed_runs_go_down_the_columns_and_start_with_background():
    # 2 high, 3 wide: pixels in column order 0 | 1 1 | 0 0 0.
    value = masks.from_runs([1, 2, 3], height=2, width=3)
    np.testing.assert_array_equal(masks.decode(value), [[False, True, False], [True, False, False]])


def test_text_and_bytes_of_the_runs_are_the_same_mask():
    value = masks.encode(np.eye(5, dtype=bool))
    as_text = {"size": value["size"], "counts": value["counts"].decode()}
    assert masks.from_coco(as_text) == value


@pytest.mark.parametrize("pixels", [np.zeros((3, 4), bool), np.ones((3, 4), bool)])
def test_a_mask_goes_through_an_arrow_column(pixels):
    row = {
        "region_id": "r", "phrase_id": "p", "image_id": "i", "box": [0, 0, 4, 3],
        "mask": masks.encode(pixels), "score": 1.0, "annotator": "dataset",
    }  # fmt: skip
    value = schemas.from_rows("regions", [row]).column("mask")[0].as_py()
    np.testing.assert_array_equal(masks.decode(value), pixels)
