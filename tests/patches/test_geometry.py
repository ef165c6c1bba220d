"""The geometry lands where the real image processors put the pixels."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import UserError
from pipeline.patches.geometry import Geometry

OPENAI_CLIP = {  # the fields of openai/clip-vit-large-patch14-336, in the old notation
    "feature_extractor_type": "CLIPFeatureExtractor",
    "do_resize": True,
    "size": 336,
    "do_center_crop": True,
    "crop_size": 336,
}


def encoder(folder: Path, preprocessor: dict, **config) -> Path:
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    (folder / "config.json").write_text(json.dumps({"patch_size": 14, **config}))
    return folder


def test_shorter_side_and_crop_by_hand(tmp_path):
    geometry = Geometry.from_encoder(encoder(tmp_path, OPENAI_CLIP, image_size=336))
    assert geometry.grid == (24, 24)
    # 640 x 480 -> 448 x 336, then 56 columns cut off on either side.
    assert [float(v[0]) for v in geometry.transform(640, 480)] == [0.7, 0.7, -56.0, 0.0]
    assert geometry.boxes_to_input([80, 0, 560, 480], 640, 480).tolist() == [[0.0, 0.0, 336.0, 336.0]]
    # 500 x 333 -> int(336 * 500 / 333) = 504 columns, so the two scales differ a little.
    scale_x, scale_y, shift_x, shift_y = (float(v[0]) for v in geometry.transform(500, 333))
    assert (scale_x, scale_y, shift_x, shift_y) == (504 / 500, 336 / 333, -84.0, 0.0)


def test_pad_to_square_by_hand(tmp_path):
    geometry = Geometry.from_encoder(encoder(tmp_path, OPENAI_CLIP, image_aspect_ratio="pad"))
    # 640 x 480 in a square of 640: 80 rows above, all scaled by 336 / 640.
    assert geometry.boxes_to_input([0, 0, 640, 480], 640, 480).tolist() == [[0.0, 42.0, 336.0, 294.0]]


def test_stretch_by_hand(tmp_path):
    siglip = {"image_processor_type": "SiglipImageProcessor", "size": {"height": 384, "width": 384}}
    geometry = Geometry.from_encoder(encoder(tmp_path, siglip, vision_config={"patch_size": 14}))
    assert geometry.boxes_to_input([0, 0, 320, 480], 640, 480).tolist() == [[0.0, 0.0, 192.0, 384.0]]
    assert geometry.grid == (27, 27)  # 384 = 27 * 14 + 6: the last six pixels are in no patch


def test_one_transform_for_each_image():
    geometry = Geometry("shorter_side", (32, 32), (32, 32), (8, 8))
    together = geometry.transform([64, 100, 33], [64, 50, 99])
    for i, size in enumerate([(64, 64), (100, 50), (33, 99)]):
        assert [v[i] for v in together] == [v[0] for v in geometry.transform(*size)]


@settings(deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 800))
def test_the_longer_side_is_rounded_as_transformers_rounds_it(width, height, side):
    from transformers.image_transforms import get_resize_output_image_size

    x, y = Geometry("shorter_side", (side, side), (side, side), (1, 1)).axes(width, height)
    image = np.empty((1, height, width), np.bool_)
    expected = get_resize_output_image_size(
        image, side, default_to_square=False, input_data_format="channels_first"
    )
    assert (int(y.scale[0]), int(x.scale[0])) == expected


@given(
    st.integers(1, 200), st.integers(1, 200), st.sampled_from(["shorter_side", "stretch", "pad_to_square"])
)
def test_a_pixel_belongs_to_the_patch_of_its_centre(width, height, fit):
    geometry = Geometry(fit, (30, 30), (24, 24), (7, 7))
    rows, columns = geometry.patches_of_pixels(width, height)
    scale_x, scale_y, shift_x, shift_y = (v[0] for v in geometry.transform(width, height))
    for found, scale, shift in ((columns, scale_x, shift_x), (rows, scale_y, shift_y)):
        centre = ((np.arange(len(found)) + 0.5) * scale + shift) / 7
        safe = np.abs(centre - np.rint(centre)) > 1e-9  # a centre on a border may fall either way in floats
        expected = np.where((centre >= 0) & (centre < 3), np.floor(centre), -1)
        assert (found == expected)[safe].all()


def bands(width: int, height: int, x: tuple[int, int], y: tuple[int, int]) -> Image.Image:
    """Red from column x[0] to x[1], green from row y[0] to y[1], over each other."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, x[0] : x[1], 0] = 255
    pixels[y[0] : y[1], :, 1] = 255
    return Image.fromarray(pixels)


def edges(profile: np.ndarray) -> tuple[float, float]:
    """Where a bump's profile crosses half of its height, going up and down; pixel i is [i, i + 1]."""
    above = np.flatnonzero(profile > 0.5 * profile.max())
    low, high = above[0], above[-1]

    def cross(outer: int, inner: int) -> float:
        half = 0.5 * profile.max()
        return inner + 0.5 + (outer - inner) * (profile[inner] - half) / (profile[inner] - profile[outer])

    first = cross(low - 1, low) if low > 0 else -np.inf
    last = cross(high + 1, high) if high + 1 < len(profile) else np.inf
    return first, last


def assert_edges_land(geometry: Geometry, process, width: int, height: int, data) -> None:
    """Draw bands, let the real processor at them, and find them where the geometry says."""
    scale_x, scale_y, shift_x, shift_y = (float(v[0]) for v in geometry.transform(width, height))
    spans = []
    for size, scale, shift, side in (
        (width, scale_x, shift_x, geometry.input[1]),
        (height, scale_y, shift_y, geometry.input[0]),
    ):
        # A band that is seen, at least eight input pixels and two image pixels wide.
        low_seen, high_seen = max(0.0, -shift / scale), min(size, (side - shift) / scale)
        least = max(2, int(np.ceil(8 / scale)))
        low = data.draw(
            st.integers(int(np.ceil(low_seen)), max(int(np.ceil(low_seen)), int(high_seen) - least))
        )
        high = data.draw(st.integers(min(low + least, size), size))
        spans.append((low, high))
    out = process(bands(width, height, *spans))
    assert out.shape[-2:] == geometry.input
    if out[0].max() < 0.5 or out[1].max() < 0.5:
        return  # less than a band is left in view
    x0, y0, x1, y1 = geometry.boxes_to_input(
        [spans[0][0], spans[1][0], spans[0][1], spans[1][1]], width, height
    )[0]
    for profile, expected in ((out[0].max(axis=0), (x0, x1)), (out[1].max(axis=1), (y0, y1))):
        for found, where in zip(edges(profile), expected, strict=True):
            if 3 <= where <= len(profile) - 3 and np.isfinite(found):
                assert abs(found - where) < 0.35, (profile, spans)


def pixels_of(processor, image: Image.Image) -> np.ndarray:
    made = processor(images=[image], return_tensors="np", do_normalize=False, resample=2)
    return np.asarray(made["pixel_values"][0])


def saved(processor, size: int) -> Geometry:
    with tempfile.TemporaryDirectory() as folder:
        processor.save_pretrained(folder)
        (Path(folder) / "config.json").write_text(json.dumps({"patch_size": 8, "image_size": size}))
        return Geometry.from_encoder(Path(folder))


SIDES = st.integers(24, 240)


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, st.integers(32, 80), st.integers(32, 80), st.data())
def test_clip_resizes_the_shorter_side_and_crops(width, height, side, crop, data):
    from transformers import CLIPImageProcessor

    processor = CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": crop, "width": crop})
    assert_edges_land(saved(processor, crop), lambda image: pixels_of(processor, image), width, height, data)


@settings(max_examples=20, deadline=None)
@given(SIDES, SIDES, st.integers(40, 80), st.integers(32, 40), st.data())
def test_pillow_backed_clip_is_the_same_where_nothing_is_padded(width, height, side, crop, data):
    from transformers import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": crop, "width": crop})
    assert_edges_land(saved(processor, crop), lambda image: pixels_of(processor, image), width, height, data)


@settings(max_examples=20, deadline=None)
@given(SIDES, SIDES, st.integers(32, 80), st.data())
def test_siglip_stretches(width, height, side, data):
    from transformers import SiglipImageProcessor

    processor = SiglipImageProcessor(size={"height": side, "width": side})
    assert_edges_land(saved(processor, side), lambda image: pixels_of(processor, image), width, height, data)


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, st.integers(32, 80), st.integers(0, 12), st.data())
def test_llava_pads_to_a_square(width, height, side, cut, data):
    from transformers import LlavaImageProcessor

    crop = {"height": side - cut, "width": side - cut}
    processor = LlavaImageProcessor(
        size={"shortest_edge": side}, crop_size=crop, do_pad=True, image_mean=[0.0, 0.0, 0.0]
    )
    geometry = saved(processor, side - cut)
    assert geometry.fit == "pad_to_square"
    assert_edges_land(geometry, lambda image: pixels_of(processor, image), width, height, data)


@settings(max_examples=60, deadline=None)
@given(
    SIDES,
    SIDES,
    st.one_of(st.integers(32, 80), st.tuples(st.integers(32, 80), st.integers(32, 80))),
    st.sampled_from(["shortest", "longest", "squash"]),
    st.data(),
)
def test_open_clip_transforms(width, height, size, mode, data):
    from open_clip.transform import image_transform

    geometry = Geometry.from_open_clip({"size": size, "resize_mode": mode}, (8, 8))
    transform = image_transform(
        size, False, mean=(0.0,) * 3, std=(1.0,) * 3, resize_mode=mode, interpolation="bilinear"
    )
    assert_edges_land(geometry, lambda image: transform(image).numpy(), width, height, data)


@pytest.mark.parametrize(
    ("preprocessor", "config", "named"),
    [
        ({"image_processor_type": "ViTImageProcessor"}, {}, "ViTImageProcessor"),
        ({}, {}, "None"),
        ({**OPENAI_CLIP, "size": {"max_height": 3, "max_width": 3}}, {}, "max_height"),
        ({**OPENAI_CLIP, "do_center_crop": False}, {}, "do_center_crop"),
        ({**OPENAI_CLIP, "crop_size": "large"}, {}, "large"),
        (OPENAI_CLIP, {"patch_size": None}, "patch_size"),
        (OPENAI_CLIP, {"patch_size": 500}, "500"),
        (OPENAI_CLIP, {"image_size": 224}, "224"),
        (OPENAI_CLIP, {"image_aspect_ratio": "anyres"}, "anyres"),
    ],
)
def test_an_encoder_without_one_known_grid_is_refused_by_name(tmp_path, preprocessor, config, named):
    with pytest.raises(UserError, match=named):
        Geometry.from_encoder(encoder(tmp_path, preprocessor, **config))


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"preprocessor_config\.json does not exist"):
        Geometry.from_encoder(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{")
    with pytest.raises(UserError, match=r"preprocessor_config\.json is not valid JSON"):
        Geometry.from_encoder(tmp_path)
    with pytest.raises(UserError, match="resize_mode is 'fit'"):
        Geometry.from_open_clip({"size": 32, "resize_mode": "fit"}, (8, 8))
