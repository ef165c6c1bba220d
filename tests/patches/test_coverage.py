"""Coverage is exact: compared with fractions worked patch by patch, pixel by pixel."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.patches.coverage import box_coverage, mask_coverage
from pipeline.patches.geometry import Geometry
from pipeline.patches.sparse import Coverage, sum_rows
from pipeline.patches.union import boxes_union, disjoint, mixed_union
from pipeline.tables import masks

IDENTITY = Geometry("none", (0, 0), (4, 4), (2, 2))  # 4 x 4 pixels as they are, 2 x 2 patches
GEOMETRIES = st.sampled_from(
    [
        IDENTITY,
        Geometry("shorter_side", (9, 9), (8, 8), (3, 3)),
        Geometry("shorter_side", (6, 6), (10, 10), (5, 5)),  # padded
        Geometry("pad_to_square", (8, 8), (8, 8), (2, 2)),
        Geometry("stretch", (7, 11), (7, 11), (2, 3)),
        Geometry("contain", (8, 6), (8, 6), (4, 2), "nearest"),
    ]
)
SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


def dense(coverage: Coverage, geometry: Geometry) -> np.ndarray:
    out = np.zeros((coverage.rows, geometry.patches))
    out[coverage.row_of_each(), coverage.patches] = coverage.values
    return out


def exact(inside, width: int, height: int, geometry: Geometry, cuts=4) -> np.ndarray:
    """The slow reference: pixels cut into ``cuts`` x ``cuts`` squares that are in or out as wholes; each is
    mapped by the geometry, and its area within each patch added up, all in fractions."""
    x, y = geometry.axes(width, height)
    total = [[Fraction(0)] * geometry.grid[1] for _ in range(geometry.grid[0])]
    patch_y, patch_x = geometry.patch

    def interval(axis, i):
        scale, shift, unit = (int(v[0]) for v in axis)
        return [(Fraction(j, cuts) * scale + shift) / unit for j in (i, i + 1)]

    for i in range(height * cuts):
        top, bottom = interval(y, i)
        for j in range(width * cuts):
            if not inside(Fraction(2 * j + 1, 2 * cuts), Fraction(2 * i + 1, 2 * cuts)):
                continue
            left, right = interval(x, j)
            for row in range(geometry.grid[0]):
                tall = min(bottom, (row + 1) * patch_y) - max(top, row * patch_y)
                if tall <= 0:
                    continue
                for column in range(geometry.grid[1]):
                    wide = min(right, (column + 1) * patch_x) - max(left, column * patch_x)
                    if wide > 0:
                        total[row][column] += tall * wide
    return np.array([[float(area / (patch_y * patch_x)) for area in row] for row in total]).ravel()


def in_boxes(boxes):
    return lambda x, y: any(x0 <= x < x1 and y0 <= y < y1 for x0, y0, x1, y1 in boxes)


@st.composite
def quarter_boxes(draw, width: int, height: int):
    """A box on quarters of a pixel, possibly empty, possibly beyond the image."""
    xs = sorted(draw(st.tuples(st.integers(-4, 4 * width + 4), st.integers(-4, 4 * width + 4))))
    ys = sorted(draw(st.tuples(st.integers(-4, 4 * height + 4), st.integers(-4, 4 * height + 4))))
    return [xs[0] / 4, ys[0] / 4, xs[1] / 4, ys[1] / 4]


def test_a_box_by_hand():
    # x 1..3, y 0..3 on patches of 2 x 2: half of each upper patch, a quarter of each lower one.
    found = box_coverage([[1, 0, 3, 3]], 4, 4, IDENTITY)
    assert found.patches.tolist() == [0, 1, 2, 3]
    assert found.values.tolist() == [0.5, 0.5, 0.25, 0.25]


def test_what_covers_no_area_is_an_empty_row():
    boxes = [[1, 1, 1, 3], [3, 1, 2, 2], [5, 5, 9, 9], [np.nan, 0, 4, 4], [0, 0, 4, 4]]
    found = box_coverage(boxes, 4, 4, IDENTITY)
    assert found.lengths.tolist() == [0, 0, 0, 0, 4]
    assert found.values.tolist() == [1.0] * 4
    assert box_coverage(np.zeros((0, 4)), [], [], IDENTITY).rows == 0


def test_a_box_touching_the_crop_from_outside_is_an_empty_row():
    geometry = Geometry("shorter_side", (4, 4), (4, 4), (2, 2))  # of 8 x 4 pixels, columns 2..6 are seen
    assert box_coverage([[0, 0, 2, 4], [6, 0, 8, 4], [0, 0, 3, 4]], 8, 4, geometry).lengths.tolist() == [
        0,
        0,
        2,
    ]


def test_a_mask_by_hand():
    pixels = np.zeros((4, 4), bool)
    pixels[0, 1] = pixels[1, 1] = pixels[2, 2] = True
    found = mask_coverage([masks.encode(pixels)], IDENTITY)
    assert (found.patches.tolist(), found.values.tolist()) == ([0, 3], [0.5, 0.25])


def test_padding_is_not_covered():
    geometry = Geometry(
        "pad_to_square", (4, 4), (4, 4), (2, 2)
    )  # 4 x 2 pixels, a row of padding on each side
    assert box_coverage([[0, 0, 4, 2]], 4, 2, geometry).values.tolist() == [0.5] * 4
    assert mask_coverage([masks.encode(np.ones((2, 4), bool))], geometry).values.tolist() == [0.5] * 4


@settings(max_examples=60, deadline=None)
@given(GEOMETRIES, SIZES, st.data())
def test_box_coverage_is_exact(geometry, size, data):
    width, height = size
    box = data.draw(quarter_boxes(width, height))
    found = box_coverage([box], width, height, geometry)
    assert (found.values > 0).all()
    np.testing.assert_allclose(
        dense(found, geometry)[0], exact(in_boxes([box]), width, height, geometry), rtol=0, atol=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(GEOMETRIES, SIZES, st.data())
def test_mask_coverage_is_exact_to_the_last_bit(geometry, size, data):
    width, height = size
    bits = data.draw(st.lists(st.booleans(), min_size=width * height, max_size=width * height))
    pixels = np.array(bits).reshape(height, width)
    found = mask_coverage([masks.encode(pixels)], geometry)
    expected = exact(lambda x, y: pixels[int(y), int(x)], width, height, geometry, cuts=1)
    assert dense(found, geometry)[0].tolist() == expected.tolist()


@settings(max_examples=60, deadline=None)
@given(GEOMETRIES, SIZES, st.data())
def test_the_union_of_boxes_counts_every_place_once(geometry, size, data):
    width, height = size
    boxes = data.draw(st.lists(quarter_boxes(width, height), min_size=1, max_size=4))
    zero = np.zeros(len(boxes), np.int64)
    found = boxes_union(boxes, zero, 1, np.array([width]), np.array([height]), geometry)
    np.testing.assert_allclose(
        dense(found, geometry)[0], exact(in_boxes(boxes), width, height, geometry), rtol=0, atol=1e-12
    )


@settings(max_examples=40, deadline=None)
@given(GEOMETRIES, SIZES, st.data())
def test_the_union_of_a_mask_and_boxes_counts_every_place_once(geometry, size, data):
    width, height = size
    boxes = data.draw(st.lists(quarter_boxes(width, height), min_size=1, max_size=3))
    bits = data.draw(st.lists(st.booleans(), min_size=width * height, max_size=width * height))
    pixels = np.array(bits).reshape(height, width)
    found = mixed_union(masks.encode(pixels), np.array(boxes), geometry)
    boxed = in_boxes(boxes)
    expected = exact(lambda x, y: pixels[int(y), int(x)] or boxed(x, y), width, height, geometry)
    np.testing.assert_allclose(dense(found, geometry)[0], expected, rtol=0, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(quarter_boxes(6, 6), max_size=4), max_size=5))
def test_disjoint_boxes_share_nothing_and_cover_the_same(grouped):
    boxes = np.array([box for group in grouped for box in group]).reshape(-1, 4)
    groups = np.repeat(np.arange(len(grouped)), [len(group) for group in grouped])
    cut, owner = disjoint(boxes, groups)
    assert (np.diff(owner) >= 0).all()
    for i, group in enumerate(grouped):
        # Counted on quarters of a pixel, on which all edges lie.
        depth, covered = np.zeros((34, 34), int), np.zeros((34, 34), bool)
        for x0, y0, x1, y1 in ((cut[owner == i] + 1) * 4).astype(int):
            depth[y0:y1, x0:x1] += 1
        for x0, y0, x1, y1 in ((np.array(group).reshape(-1, 4) + 1) * 4).astype(int):
            covered[y0:y1, x0:x1] = True
        assert (depth == covered).all()


@given(st.lists(st.lists(st.dictionaries(st.integers(0, 8), st.integers(1, 9)), max_size=3), max_size=12))
def test_rows_of_a_group_add_up(grouped):
    rows = [row for group in grouped for row in group]
    groups = np.repeat(np.arange(len(grouped)), [len(group) for group in grouped])
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    items = [item for row in rows for item in sorted(row.items())]
    coverage = Coverage(
        offsets, np.array([p for p, _ in items], np.int32), np.array([v for _, v in items], np.float64)
    )
    found = sum_rows(coverage, groups, len(grouped), 9)
    expected = np.zeros((len(grouped), 9))
    for group, row in zip(groups, rows, strict=True):
        for patch, value in row.items():
            expected[group, patch] += value
    assert found.rows == len(grouped)
    assert dense(found, Geometry("none", (0, 0), (3, 3), (1, 1))).tolist() == expected.tolist()
    for i in range(found.rows):
        assert (np.diff(found.patches[found.offsets[i] : found.offsets[i + 1]]) > 0).all()


def test_many_boxes_of_many_sizes_are_as_one_at_a_time():
    geometry = Geometry("shorter_side", (48, 48), (48, 48), (7, 7))
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 90, (5000, 2))
    corners = np.sort(rng.random((5000, 2, 2)), axis=1) * sizes[:, None]
    boxes = corners.reshape(5000, 4)
    together = box_coverage(boxes, sizes[:, 0], sizes[:, 1], geometry)
    for i in range(0, 5000, 97):
        alone = box_coverage(boxes[i], sizes[i, 0], sizes[i, 1], geometry)
        part = slice(together.offsets[i], together.offsets[i + 1])
        assert alone.patches.tolist() == together.patches[part].tolist()
        assert alone.values.tolist() == together.values[part].tolist()
