"""What is drawn is what the tables say: lit patches, outlines, marked characters, shared colours."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.patches.geometry import Geometry
from pipeline.report import canvas, figure, overlays
from pipeline.tables import masks

SQUARE = Geometry(fit="shorter_side", resize=(64, 64), input=(64, 64), patch=(8, 8))
PLAIN = (90, 120, 60)


def picture(width: int = 64, height: int = 64) -> Image.Image:
    return Image.new("RGB", (width, height), PLAIN)


def centres(
    edges: overlays.Edges, panel: Image.Image, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Panel pixels at the patches' centres, from their edges in image pixels."""
    across = (edges[0][:-1] + edges[0][1:]) / 2 * panel.width / size[0]
    down = (edges[1][:-1] + edges[1][1:]) / 2 * panel.height / size[1]
    return across.astype(int), down.astype(int)


def lit_patches(panel: Image.Image, edges: overlays.Edges, size: tuple[int, int]) -> set[int]:
    """Patches whose centre is not the plain colour any more."""
    across, down = centres(edges, panel, size)
    pixels = np.asarray(panel)
    return {
        row * len(across) + column
        for row, y in enumerate(down)
        for column, x in enumerate(across)
        if tuple(pixels[y, x]) != PLAIN
    }


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.integers(0, 63), st.floats(0.01, 1), max_size=64))
def test_exactly_the_patches_of_the_row_are_lit(row: dict[int, float]) -> None:
    edges = overlays.patch_edges(SQUARE, 64, 64)
    coverage = overlays.dense(list(row), list(row.values()), (8, 8))
    panel = overlays.coverage_panel(picture(), edges, coverage)
    assert lit_patches(panel, edges, (64, 64)) == set(row)


def test_unlit_patches_keep_every_pixel_but_the_grid_lines() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    edges = overlays.patch_edges(SQUARE, 64, 64)
    coverage = overlays.dense([9], [1.0], (8, 8))
    drawn = np.asarray(overlays.coverage_panel(noise, edges, coverage)).reshape(8, 40, 8, 40, 3)
    plain = np.asarray(noise.resize((320, 320), Image.Resampling.NEAREST)).reshape(8, 40, 8, 40, 3)
    same = (drawn == plain)[:, 1:, :, 1:].all(axis=(1, 3, 4))  # a line is a patch's first row and column
    assert not same[1, 1]
    assert same.sum() == 63


def test_colour_tells_coverage_whatever_the_object_is_coloured() -> None:
    edges = overlays.patch_edges(SQUARE, 64, 64)
    coverage = overlays.dense([0, 1], [0.2, 1.0], (8, 8))
    seen = []
    for colour in ((200, 0, 0), (0, 102, 0)):  # of one luminance: 59.8
        panel = np.asarray(overlays.coverage_panel(Image.new("RGB", (64, 64), colour), edges, coverage))
        seen.append((tuple(panel[20, 20].tolist()), tuple(panel[20, 60].tolist())))
    assert seen[0] == seen[1]
    assert sum(seen[0][1]) < sum(seen[0][0])  # more coverage is darker in the colour map


def test_edges_undo_the_encoder_s_resize_and_crop() -> None:
    # 128 x 64: the shorter side is 64 already, and 32 pixels are cropped left and right.
    across, down = overlays.patch_edges(SQUARE, 128, 64)
    assert across.tolist() == [32, 40, 48, 56, 64, 72, 80, 88, 96]
    assert down.tolist() == [0, 8, 16, 24, 32, 40, 48, 56, 64]


def test_what_the_crop_leaves_out_is_never_lit() -> None:
    edges = overlays.patch_edges(SQUARE, 128, 64)
    panel = np.asarray(overlays.coverage_panel(picture(128, 64), edges, np.ones((8, 8))))
    scale = panel.shape[1] / 128
    assert (panel[:, : int(32 * scale)] == PLAIN).all()
    assert (panel[:, int(96 * scale) + 1 :] == PLAIN).all()
    middle = panel[:, int(32 * scale) : int(96 * scale)]
    assert not (middle == PLAIN).all(axis=2).any()


def test_patches_over_padding_are_cut_at_the_border() -> None:
    padded = Geometry(fit="pad_to_square", resize=(64, 64), input=(64, 64), patch=(8, 8))
    across, down = overlays.patch_edges(padded, 64, 32)
    assert (across[0], across[-1]) == (0, 64)
    assert (down[0], down[-1]) == (-16, 48)  # the picture is rows 2 to 5 of the grid
    panel = overlays.coverage_panel(picture(64, 32), (across, down), overlays.dense([0], [1.0], (8, 8)))
    assert lit_patches(panel, (across, down[2:7]), (64, 32)) == set()


def test_a_mask_is_outlined_along_its_border_and_nowhere_else() -> None:
    pixels = np.zeros((64, 64), dtype=bool)
    pixels[16:32, 8:40] = True
    region = {"box": [8, 16, 40, 32], "mask": masks.encode(pixels)}
    edges = overlays.patch_edges(SQUARE, 64, 64)
    with_mask = np.asarray(overlays.coverage_panel(picture(), edges, np.zeros((8, 8)), [region]))
    without = np.asarray(overlays.coverage_panel(picture(), edges, np.zeros((8, 8))))
    rows, columns = np.nonzero((with_mask != without).any(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (79, 160, 39, 200)
    inner = (rows >= 83) & (rows < 157) & (columns >= 43) & (columns < 197)
    assert not inner.any()
    assert tuple(with_mask[80, 100]) == canvas.LIGHT
    assert tuple(with_mask[79, 100]) == canvas.DARK
    with_box = np.asarray(
        overlays.coverage_panel(picture(), edges, np.zeros((8, 8)), [{**region, "mask": None}])
    )
    assert (with_box == with_mask).all()


def test_similarity_maps_share_one_scale() -> None:
    weak, strong = np.full((8, 8), 0.1), np.full((8, 8), 0.5)
    strong[0, 0] = -0.1
    limits = overlays.shared_limits([weak, strong])
    assert limits == (-0.1, 0.5)
    edges = overlays.patch_edges(SQUARE, 64, 64)
    first = np.asarray(overlays.similarity_panel(picture(), edges, weak, limits))
    second = np.asarray(overlays.similarity_panel(picture(), edges, strong, limits))
    half = np.full((8, 8), 0.1)
    assert (first == np.asarray(overlays.similarity_panel(picture(), edges, half, limits))).all()
    assert not (first[100, 100] == second[100, 100]).all()


def test_equal_similarities_everywhere_can_be_drawn() -> None:
    edges = overlays.patch_edges(SQUARE, 64, 64)
    flat = np.full((8, 8), 0.3)
    panel = overlays.similarity_panel(picture(), edges, flat, overlays.shared_limits([flat]))
    assert len(np.unique(np.asarray(panel).reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize(
    ("size", "expected"),
    [((64, 64), (320, 320)), ((48, 48), (336, 336)), ((640, 480), (560, 420)), ((400, 500), (400, 500)),
     ((1000, 3), (560, 2))],
)  # fmt: skip
def test_small_pictures_grow_by_whole_factors_and_large_ones_shrink(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    height, width = canvas.panel(picture(*size)).pixels.shape[:2]
    assert (width, height) == expected


def test_boxes_are_drawn_where_they_are() -> None:
    red = (200, 0, 0)
    panel = np.asarray(overlays.box_panel(picture(), [((8, 16, 24, 40), red)], true=(40, 40, 60, 60)))
    rows, columns = np.nonzero((panel == red).all(axis=2))
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (40, 80, 120, 200)
    assert tuple(panel[201, 201]) == canvas.LIGHT
    assert tuple(panel[199, 250]) == canvas.DARK


def test_a_box_without_area_still_shows() -> None:
    panel = np.asarray(overlays.box_panel(picture(), [((64, 64, 64, 64), (200, 0, 0))]))
    assert (panel != PLAIN).any()


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80)


@settings(max_examples=60, deadline=None)
@given(texts, st.data())
def test_the_marked_characters_are_start_to_end(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    runs = figure.lay_out(text, start, end, 16, 200)
    assert "".join(run.text for run in runs) == text
    assert "".join(run.text for run in runs if run.marked) == text[start:end]
    before, marked, after = figure.split_at(text, start, end)
    assert (before + marked + after, marked) == (text, text[start:end])


def test_lines_break_between_words_and_stay_within_the_width() -> None:
    text = "a red cup stands left of a blue star, with a small green kite above them"
    runs = figure.lay_out(text, 25, 36, 16, 150)
    lines: dict[int, str] = {}
    for run in runs:
        lines[run.line] = lines.get(run.line, "") + run.text
    assert len(lines) > 3
    assert all(canvas.font(16).getlength(line.rstrip()) <= 150 for line in lines.values())
    assert all(line.endswith(" ") for line in list(lines.values())[:-1])


def test_a_figure_s_bytes_are_the_same_each_time_and_hold_no_metadata() -> None:
    def draw() -> bytes:
        panel = overlays.box_panel(picture(), [((8, 16, 24, 40), (200, 0, 0))])
        bar = figure.Bar(overlays.COVERAGE_MAP, "0", "1", "coverage")
        return canvas.png(figure.compose([("Patches", panel)], "A red cup.", (0, 9), [bar], "note"))

    drawn = draw()
    assert drawn == draw()
    kinds = set()
    at = 8
    while at < len(drawn):
        kinds.add(drawn[at + 4 : at + 8])
        at += 12 + int.from_bytes(drawn[at : at + 4], "big")
    assert kinds == {b"IHDR", b"IDAT", b"IEND"}
    marker = (np.asarray(Image.open(io.BytesIO(drawn))) == figure.MARKER).all(axis=2)
    assert marker.any()


def test_similarity_figures_put_the_arms_side_by_side_in_their_order() -> None:
    from pipeline.report import drawing
    from pipeline.report.lookup import Phrase

    def row(value: float) -> dict:
        return {"grid": [8, 8], "similarity": [0.0, *[value] * 62, 1.0]}

    phrase = Phrase("i/c0/p0", "a cup", "A cup.", (0, 5), {}, [])
    drawn = [
        np.asarray(Image.open(io.BytesIO(drawing.draw_similarity(picture(), phrase, maps, SQUARE))))
        for maps in (
            {"caption": row(0.2), "patch_aligned": row(0.8)},
            {"caption": row(0.8), "patch_aligned": row(0.2)},
        )
    ]
    # The region alone comes first, then an arm a panel.
    top, left = figure.MARGIN + figure.TITLE + 10, figure.MARGIN + 320 + figure.GAP
    first, second = (slice(left, left + 320), slice(left + 320 + figure.GAP, left + 640 + figure.GAP))
    panels = [(one[top : top + 320, first], one[top : top + 320, second]) for one in drawn]
    assert (panels[0][0] == panels[1][1]).all()
    assert (panels[0][1] == panels[1][0]).all()
    assert (panels[0][0] != panels[0][1]).any()
