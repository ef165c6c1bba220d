"""What the encoder's contrastive training is told of an image: where its objects are, and short texts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import params as parameters
from pipeline.models.chat import encode
from pipeline.tables import dataset, schemas
from pipeline.tables.dataset import Provenance
from pipeline.training import encoder
from pipeline.training.encoder import seen_at, short_text


@pytest.mark.parametrize(
    ("box", "width", "height", "centre"),
    [
        ((0, 0, 64, 64), 64, 64, (32, 32)),
        ((10, 20, 20, 40), 64, 64, (15, 30)),
        ((0, 0, 128, 64), 128, 64, (32, 32)),  # the middle of a wide image
        ((32, 0, 34, 2), 128, 64, (1, 1)),  # the crop starts at column 32
        ((0, 64, 32, 96), 64, 160, (16, 32)),  # a tall one: rows 48 to 112 are seen
        ((100, 40, 140, 80), 240, 120, (32, 32)),  # 120 rows are shrunk to 64
        ((0, 0, 30, 30), 128, 64, None),  # left of the crop
        ((0, 112, 64, 120), 64, 160, None),  # below it
    ],
)
def test_where_an_object_is_in_the_encoder_s_input(box, width, height, centre):
    found = seen_at(box, width, height, 64)
    if centre is None:
        assert found is None
    else:
        np.testing.assert_allclose(found, centre)


def test_a_short_text_has_an_article_every_other_time():
    assert short_text("cup", ["red"], 0) == "a red cup"
    assert short_text("cup", ["red"], 1) == "red cup"
    assert short_text("cup", ["orange"], 2) == "an orange cup"
    assert short_text("egg", [], 4) == "an egg"


def an_image(image, split, size):
    file = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(file, "PNG")
    return {
        "image_id": image, "image": {"bytes": file.getvalue(), "path": None}, "sha256": "", "width": size[0],
        "height": size[1], "split": split,
    }  # fmt: skip


def an_object(image, label, box):
    return {
        "object_id": f"{image}/{label}", "image_id": image, "label": label, "attributes": ["red"], "box": box,
        "mask": None, "is_crowd": False, "phrase": [],
    }  # fmt: skip


def test_only_training_images_and_what_the_encoder_sees_of_them(tmp_path, monkeypatch):
    tables = {
        "images": [an_image("a", "train", (128, 64)), an_image("b", "test", (64, 64)),
                   an_image("c", "train", (64, 64))],
        "captions": [{"caption_id": f"{i}/c0", "image_id": i, "text": f"a caption of {i}"} for i in "abc"],
        "objects": [an_object("c", "cup", [0, 0, 16, 16]), an_object("a", "star", [0, 0, 8, 8]),
                    an_object("a", "box", [56, 24, 72, 40]), an_object("b", "ball", [0, 0, 8, 8])],
    }  # fmt: skip
    for name, rows in tables.items():
        dataset.write_part(tmp_path / name, 0, schemas.from_rows(name, rows), name, Provenance())
    monkeypatch.setattr(encoder, "DATA", tmp_path)
    data, tokenizer = encoder.read(parameters.load(Path(__file__).parents[2] / "params.yaml"), 64)
    assert data.pixels.shape == (2, 3, 64, 64)
    assert data.caption_image.tolist() == [0, 1]
    assert data.caption_ids == encode(tokenizer, ["a caption of a", "a caption of c"])
    assert data.label_ids == encode(tokenizer, ["box", "cup"])  # the star is outside the crop
    np.testing.assert_allclose(data.object_centre, [[4, 4], [1, 1]])  # patches of 8 pixels
    assert data.firsts.tolist() == [0, 1, 2]
