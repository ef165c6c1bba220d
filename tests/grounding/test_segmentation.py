"""Boxes into masks: against the libraries' own steps, one image at a time."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
import tiny_models
import torch
from made_phrases import phrase
from PIL import Image

from pipeline.errors import UserError
from pipeline.grounding import segmentation
from pipeline.grounding.base import ShardInputs
from pipeline.grounding.segmentation import MaskedAnnotator
from pipeline.params import MaskModelParams
from pipeline.tables import masks, schemas
from pipeline.tables.rejects import Rejects

SIZES = {"a": (120, 90), "b": (40, 75), "c": (64, 64)}
BOXES = {
    "a": [[10, 20, 60, 70], [0, 0, 120, 90], [100, 80, 101, 81]],
    "b": [[5, 5, 30, 60]],
    "c": [[0, 0, 30, 30], [20.5, 10.25, 64, 50]],
}


@dataclass(frozen=True)
class Boxes:
    """A source of the boxes above, one a phrase; the first of image c has a mask already."""

    name: str = "boxes"

    def digest(self):
        return self.name

    def ground(self, inputs):
        rows = []
        for row in inputs.phrases.to_pylist():
            image_id, number = row["image_id"], int(row["phrase_id"][-1])
            given = masks.encode(np.eye(64, dtype=bool)) if row["phrase_id"] == "c/c0/p0" else None
            rows.append(
                {
                    "region_id": f"{row['phrase_id']}/r0",
                    "phrase_id": row["phrase_id"],
                    "image_id": image_id,
                    "box": BOXES[image_id][number],
                    "mask": given,
                    "score": 0.5,
                    "annotator": self.name,
                }
            )
        return {"regions": schemas.from_rows("regions", rows), "rejects": Rejects("ground", {}).table()}


def picture(name):
    small = np.random.default_rng(ord(name)).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(SIZES[name], Image.Resampling.BILINEAR)


def shard(root, broken=()):
    images, phrases = [], []
    for name, boxes in BOXES.items():
        file = io.BytesIO()
        picture(name).save(file, "png")
        data = b"no picture" if name in broken else file.getvalue()
        row = {"image_id": name, "image": {"bytes": data, "path": None}, "sha256": "", "split": "train"}
        images.append({**row, "width": SIZES[name][0], "height": SIZES[name][1]})
        phrases += [phrase("dog", image_id=name, phrase_id=f"{name}/c0/p{n}") for n in range(len(boxes))]
    return ShardInputs(
        images=schemas.from_rows("images", images),
        captions=schemas.empty("captions"),
        phrases=schemas.from_rows("phrases", phrases),
        objects=schemas.empty("objects"),
        root=root,
    )


@pytest.fixture(scope="module", params=["sam", "sam2"])
def made(request, tmp_path_factory):
    """(kind, folder of a small random model)."""
    return request.param, getattr(tiny_models, request.param)(tmp_path_factory.mktemp(request.param))


def masked(made, batch_size=2):
    kind, place = made
    return MaskedAnnotator(Boxes(), kind, MaskModelParams(model=place, batch_size=batch_size))


def reference(kind, place, name):
    """The masks of an image's boxes by the library's own processor, which scales the boxes itself."""
    from transformers import Sam2Model, Sam2Processor, SamModel, SamProcessor

    model_class, processor_class = {"sam": (SamModel, SamProcessor), "sam2": (Sam2Model, Sam2Processor)}[kind]
    model, processor = model_class.from_pretrained(place).eval(), processor_class.from_pretrained(place)
    boxes = [[float(value) for value in box] for box in BOXES[name]]
    inputs = processor(images=picture(name), input_boxes=[boxes], return_tensors="pt")
    with torch.no_grad():
        out = model(
            pixel_values=inputs["pixel_values"],
            input_boxes=inputs["input_boxes"].float(),
            multimask_output=False,
        )
    sizes = [inputs["original_sizes"], *([inputs["reshaped_input_sizes"]] if kind == "sam" else [])]
    return processor.post_process_masks(out.pred_masks, *sizes)[0][:, 0].numpy()


def test_masks_are_those_that_the_library_itself_makes_of_one_image(made, tmp_path):
    regions = masked(made).ground(shard(tmp_path))["regions"].to_pylist()
    assert [row["region_id"] for row in regions] == [
        f"{n}/c0/p{i}/r0" for n in BOXES for i in range(len(BOXES[n]))
    ]
    for name in BOXES:
        mine = [row for row in regions if row["image_id"] == name]
        for row, box, expected in zip(mine, BOXES[name], reference(*made, name), strict=True):
            assert row["box"] == box
            if row["region_id"] == "c/c0/p0/r0":
                continue
            assert expected.shape == SIZES[name][::-1]
            assert expected.any()
            assert (masks.decode(row["mask"]) == expected).all()
            assert row["annotator"] == f"boxes+{made[0]}"


def test_batches_equal_single_images(made, tmp_path):
    one, three = (masked(made, n).ground(shard(tmp_path))["regions"] for n in (1, 3))
    assert one.equals(three)


def test_a_mask_of_the_sources_own_stays(made, tmp_path):
    regions = masked(made).ground(shard(tmp_path))["regions"].to_pylist()
    (row,) = (row for row in regions if row["region_id"] == "c/c0/p0/r0")
    assert (masks.decode(row["mask"]) == np.eye(64, dtype=bool)).all()
    assert row["annotator"] == "boxes"


def test_a_region_stays_a_box_where_there_is_nothing_to_look_at(made, tmp_path):
    regions = masked(made).ground(shard(tmp_path, broken=("b",)))["regions"].to_pylist()
    (row,) = (row for row in regions if row["image_id"] == "b")
    assert (row["mask"], row["box"], row["annotator"]) == (None, BOXES["b"][0], "boxes")


def test_a_region_stays_a_box_where_the_model_marks_nothing(made, tmp_path, monkeypatch):
    monkeypatch.setattr(
        segmentation.MaskModel, "segment", lambda self, pictures, boxes: [[None] * len(b) for b in boxes]
    )
    regions = masked(made).ground(shard(tmp_path))["regions"].to_pylist()
    assert {row["annotator"] for row in regions} == {"boxes"}


def test_many_boxes_of_an_image_are_decoded_in_parts(made, monkeypatch, tmp_path):
    whole = masked(made).ground(shard(tmp_path))["regions"]
    monkeypatch.setattr(segmentation, "_BOXES", 2)
    assert masked(made).ground(shard(tmp_path))["regions"].equals(whole)


def test_the_digest_follows_the_source_and_the_model(made, tmp_path):
    kind, place = made
    assert masked(made, 1).digest() == masked(made, 9).digest()
    other = MaskedAnnotator(Boxes(), kind, MaskModelParams(model=str(tmp_path), batch_size=1))
    assert len({masked(made).digest(), other.digest(), Boxes().digest()}) == 3
    assert (
        MaskedAnnotator(Boxes("others"), kind, MaskModelParams(model=place, batch_size=1)).name
        == f"others+{kind}"
    )


def test_what_cannot_be_used_is_named(tmp_path):
    with pytest.raises(UserError, match=r"mask_models\.sam\.model: .*none' cannot be loaded"):
        segmentation.load("sam", f"{tmp_path}/none")
    place = tiny_models.sam(tmp_path / "sam")
    with pytest.raises(UserError, match=r"mask_models\.sam2\.model: .*'sam'; this source runs sam2"):
        segmentation.load("sam2", place)


def test_sam_2_as_released_is_the_video_model_and_gives_the_same_masks(tmp_path):
    from shutil import copy

    from transformers import Sam2Model, Sam2VideoConfig, Sam2VideoModel

    place = tiny_models.sam2(tmp_path / "images")
    images = Sam2Model.from_pretrained(place)
    small = {
        "memory_attention_hidden_size": 16,
        "memory_attention_num_layers": 1,
        "memory_attention_num_attention_heads": 1,
        "memory_attention_feed_forward_hidden_size": 16,
        "memory_encoder_hidden_size": 16,
        "memory_encoder_output_channels": 8,
        "mask_downsampler_embed_dim": 16,
        "memory_fuser_embed_dim": 16,
        "memory_fuser_intermediate_dim": 16,
    }
    config = images.config.to_dict()
    video = Sam2VideoModel(
        Sam2VideoConfig(
            vision_config=images.config.vision_config,
            prompt_encoder_config=config["prompt_encoder_config"],
            mask_decoder_config=config["mask_decoder_config"],
            image_size=64,
            **small,
        )
    )
    video.load_state_dict(images.state_dict(), strict=False)
    video.save_pretrained(tmp_path / "video")
    copy(tmp_path / "images" / "processor_config.json", tmp_path / "video")
    pictures, boxes = [picture("a")], [np.array(BOXES["a"])]
    expected = segmentation.load("sam2", place).segment(pictures, boxes)
    assert segmentation.load("sam2", str(tmp_path / "video")).segment(pictures, boxes) == expected
