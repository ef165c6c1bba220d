"""Boxes as words: what is written, what is read back, and how much of a box survives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.referring import iou
from pipeline.models.boxes import NAMES, BoxFormat

SIDES = st.integers(16, 2000)


@st.composite
def boxes_in_images(draw):
    """A box on whole pixels of an image, at least a pixel wide and high, and the image's width and height."""
    width, height = draw(SIDES), draw(SIDES)
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    return (x0, y0, x1, y1), width, height


def test_bins_are_written_as_the_bins_of_the_first_and_the_last_point():
    # 64 px in 16 bins of 4 px: 12 opens bin 3; 20 opens bin 5; 41 lies in bin 10; 50 lies in bin 12.
    assert BoxFormat("bins", 16).render((12, 20, 41, 50), 64, 64) == "<b03> <b05> <b10> <b12>"


def test_an_edge_on_a_border_closes_the_bin_before_it():
    assert BoxFormat("bins", 16).render((0, 0, 64, 4), 64, 64) == "<b00> <b00> <b15> <b00>"


def test_bins_are_read_as_their_centres():
    assert BoxFormat("bins", 16).parse("<b03> <b05> <b10> <b12>", 64, 32) == (14.0, 11.0, 42.0, 25.0)


def test_a_box_within_one_bin_is_read_as_its_middle_two_thirds():
    box = BoxFormat("bins", 10).parse("<b02> <b00> <b02> <b09>", 60, 100)
    assert box == pytest.approx((13, 5, 17, 95))


def test_llava_boxes_are_shares_with_two_decimals():
    llava = BoxFormat("llava")
    assert llava.render((76.8, 144, 288, 384), 640, 480) == "[0.12, 0.30, 0.45, 0.80]"
    assert llava.parse("It is at [0.12, 0.30, 0.45, 0.80].", 640, 480) == pytest.approx((76.8, 144, 288, 384))


def test_llava_keeps_a_thin_box_open():
    llava = BoxFormat("llava")
    assert llava.render((0, 0, 1, 480), 640, 480) == "[0.00, 0.00, 0.01, 1.00]"
    assert llava.render((639, 0, 640, 480), 640, 480) == "[0.99, 0.00, 1.00, 1.00]"


def test_padded_llava_boxes_are_shares_of_the_square_around_the_image():
    # 640 x 480 is centred in 640 x 640: 80 rows above it. 144 + 80 = 224 = 0.35 of 640; 384 + 80 = 0.725.
    padded = BoxFormat("llava_padded")
    assert padded.render((64, 144, 320, 400), 640, 480) == "[0.10, 0.35, 0.50, 0.75]"
    assert padded.parse("[0.10, 0.35, 0.50, 0.75]", 640, 480) == pytest.approx((64, 144, 320, 400))
    assert padded.parse("[0.35, 0.10, 0.75, 0.50]", 480, 640) == pytest.approx((144, 64, 400, 320))
    # An odd pixel stands at the end, as in expand2square: (3 - 2) // 2 = 0.
    assert padded.parse("[0.00, 0.00, 1.00, 1.00]", 2, 3) == (0, 0, 3, 3)


def test_qwen_boxes_are_pixels_in_json():
    qwen = BoxFormat("qwen")
    assert qwen.render((76.8, 144, 288, 384), 640, 480) == '{"bbox_2d": [77, 144, 288, 384]}'
    said = '```json\n[\n\t{"bbox_2d": [77, 144, 288, 384], "label": "cup"}\n]\n```'
    assert qwen.parse(said, 640, 480) == pytest.approx((77, 144, 288, 384))


def test_qwen2_boxes_are_thousandths_between_tokens():
    qwen = BoxFormat("qwen_thousandths")
    said = "<|box_start|>(120,300),(450,800)<|box_end|>"
    assert qwen.render((76.8, 144, 288, 384), 640, 480) == said
    said = f"<|object_ref_start|>the cup<|object_ref_end|>{said}"
    assert qwen.parse(said, 640, 480) == pytest.approx((76.8, 144, 288, 384))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("qwen", "[77, 144, 288, 384]"),
        ("qwen", '{"bbox_2d": [77, 144, 700, 384]}'),
        ("qwen", '{"bbox_2d": [288, 144, 77, 384]}'),
        ("qwen_thousandths", "(120,300),(450,800)"),
        ("qwen_thousandths", "<|box_start|>(120,300),(450,1800)<|box_end|>"),
        ("llava_padded", "[0.45, 0.30, 0.12, 0.80]"),
        ("bins", ""),
        ("bins", "<b03> <b05> <b10>"),
        ("bins", "<b10> <b05> <b03> <b12>"),
        ("bins", "<b03> <b05> <b10> <b16>"),
        ("bins", "a red cup"),
        ("llava", "[0.12, 0.30, 0.45]"),
        ("llava", "[0.45, 0.30, 0.12, 0.80]"),
        ("llava", "[0.12, 0.30, 0.12, 0.80]"),
        ("llava", "[0.12, 0.30, 1.45, 0.80]"),
        ("llava", "[12, 30, 45, 80]"),
        ("llava", "<b03> <b05> <b10> <b12>"),
    ],
)
def test_what_is_no_box_is_read_as_none(name, text):
    assert BoxFormat(name, 16).parse(text, 640, 480) is None


def test_the_first_box_of_a_text_is_read_and_missing_spaces_are_forgiven():
    form = BoxFormat("bins", 16)
    first = form.parse("<b00> <b00> <b01> <b01>", 64, 64)
    assert form.parse("at <b00><b00><b01><b01> or <b02> <b02> <b03> <b03>", 64, 64) == first


def test_words_are_what_render_writes():
    assert BoxFormat("bins", 3).words() == ("<b00>", "<b01>", "<b02>")
    assert BoxFormat("bins", 128).words()[-1] == "<b127>"
    assert BoxFormat("llava").words() == ()


@given(boxes_in_images(), st.integers(2, 200))
def test_rendering_uses_only_the_format_s_words(case, bins):
    box, width, height = case
    form = BoxFormat("bins", bins)
    assert set(form.render(box, width, height).split()) <= set(form.words())


@given(
    boxes_in_images(),
    st.sampled_from([BoxFormat("bins", 16), BoxFormat("bins", 100), *map(BoxFormat, NAMES[1:])]),
)
def test_every_edge_comes_back_within_a_bin_and_writing_again_changes_nothing(case, form):
    box, width, height = case
    text = form.render(box, width, height)
    back = form.parse(text, width, height)
    assert back is not None
    steps = {"bins": 1 / form.bins, "qwen": 1 / max(width, height), "qwen_thousandths": 0.001}
    sides = (width, height) if form.name != "llava_padded" else (max(width, height),) * 2
    for edge, read, side in zip(box, back, sides * 2, strict=True):
        assert abs(edge - read) <= steps.get(form.name, 0.01) * side + 1e-6
    assert form.render(back, width, height) == text


def test_parts_outside_the_image_are_cut_off():
    form = BoxFormat("bins", 16)
    assert form.render((-5, -5, 70, 70), 64, 64) == form.render((0, 0, 64, 64), 64, 64)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 5, 5, 9), (70, 5, 80, 9), (float("nan"), 0, 5, 5)])
def test_a_box_without_area_in_the_image_is_refused(box):
    with pytest.raises(ValueError, match="no area"):
        BoxFormat().render(box, 64, 64)


def test_a_wrong_format_is_refused():
    with pytest.raises(ValueError, match="one of bins, llava"):
        BoxFormat("corners")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 2"):
        BoxFormat("bins", 1)


def _random_boxes(rng, n, side, low, high):
    size = rng.integers(low, high + 1, (n, 2))
    start = (rng.random((n, 2)) * (side - size + 1)).astype(int)
    return np.concatenate([start, start + size], axis=1)


def test_boxes_of_the_size_of_scenes_objects_survive_sixteen_bins():
    """16 to 29 px of 64, as the embedded profile draws them: the format alone never misses IoU 0.5."""
    rng = np.random.default_rng(0)
    true = _random_boxes(rng, 2000, 64, 16, 29)
    form = BoxFormat("bins", 16)
    back = np.array([form.parse(form.render(box, 64, 64), 64, 64) for box in true.tolist()])
    overlap = iou(back, true)
    assert overlap.min() >= 0.6
    assert overlap.mean() >= 0.82


@pytest.mark.parametrize("shift", [-0.5, -0.25, 0.25, 0.5])
def test_no_other_point_of_the_bin_is_a_better_reading(shift):
    """Reading the edges further in or out of the box than at the bins' centres loses IoU on average."""
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 0.5, (20000, 2))
    true = np.concatenate([corner, corner + rng.uniform(0.25, 0.45, (20000, 2))], axis=1)
    first, last = np.floor(true[:, :2] * 16), np.ceil(true[:, 2:] * 16) - 1
    centres = np.concatenate([first + 0.5, last + 0.5], axis=1) / 16
    moved = centres + np.array([-shift, -shift, shift, shift]) / 16
    assert iou(centres, true).mean() > iou(moved, true).mean()
