"""open_clip, tags and masks: a second run sends no image through the model, and gives the same tables."""

import hashlib

import pytest
import test_open_clip_source as clip_parts
import test_segmentation as mask_parts
import test_tags as tag_parts
import tiny_models
from test_open_clip_source import local_dir

from pipeline.grounding import segmentation, tags
from pipeline.grounding.dense_clip import DenseClip
from pipeline.grounding.open_clip import OpenClipAnnotator
from pipeline.grounding.segmentation import MaskedAnnotator, MaskModel
from pipeline.params import MaskModelParams


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return local_dir(tmp_path_factory.mktemp("clip"))


def with_digests(images):
    """The rows of ``images`` with the SHA-256 of their bytes, as the stage ingest has them."""
    column = [hashlib.sha256(value["bytes"]).hexdigest() for value in images["image"].to_pylist()]
    place = images.schema.get_field_index("sha256")
    return images.set_column(place, images.schema.field(place), [column])


@pytest.fixture
def sent(monkeypatch):
    """Counts the pictures that go through a model."""
    counts = []
    for owner, name in (
        (DenseClip, "encode_patches"),
        (DenseClip, "encode_images"),
        (MaskModel, "segment"),
    ):
        original = getattr(owner, name)

        def counted(self, pictures, *rest, original=original):
            counts.append(len(pictures))
            return original(self, pictures, *rest)

        monkeypatch.setattr(owner, name, counted)
    return counts


def test_open_clip_asks_for_what_it_lacks_and_not_for_a_threshold(model, tmp_path, sent):
    inputs = clip_parts.shard(clip_parts.PICTURES, clip_parts.PHRASES, tmp_path)
    inputs = type(inputs)(**{**vars(inputs), "images": with_digests(inputs.images)})
    fresh = OpenClipAnnotator(clip_parts.params(model)).ground(inputs)
    assert sum(sent) == 4
    first = OpenClipAnnotator(clip_parts.params(model), tmp_path / "kept").ground(inputs)
    assert sum(sent) == 8
    warm = OpenClipAnnotator(clip_parts.params(model), tmp_path / "kept").ground(inputs)
    tight = clip_parts.params(model, threshold=0.9, min_similarity=-0.5)
    other = OpenClipAnnotator(tight, tmp_path / "kept").ground(inputs)
    assert sum(sent) == 8
    assert fresh["regions"].equals(first["regions"])
    assert first["regions"].equals(warm["regions"])
    assert other["regions"].equals(OpenClipAnnotator(tight).ground(inputs)["regions"])
    # A new phrase sends the image that it is about, alone.
    before = sum(sent)
    more = clip_parts.shard(clip_parts.PICTURES, [*clip_parts.PHRASES, ("i2", "a hat")], tmp_path)
    more = type(more)(**{**vars(more), "images": with_digests(more.images)})
    OpenClipAnnotator(clip_parts.params(model), tmp_path / "kept").ground(more)
    assert sum(sent) - before == 1
    OpenClipAnnotator(clip_parts.params(model, dense="values"), tmp_path / "kept").ground(inputs)
    assert sum(sent) - before == 5


def test_other_words_and_thresholds_of_tags_send_no_image(model, tmp_path, sent):
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("\n".join(tag_parts.WORDS))
    images = with_digests(tag_parts.images())
    settings = tag_parts.params(model, vocabulary)
    fresh = tags.tag(images, tmp_path, settings)
    first = tags.tag(images, tmp_path, settings, tmp_path / "kept")
    assert sum(sent) == 6
    assert first["phrases"].equals(fresh["phrases"])
    vocabulary.write_text("\n".join([*tag_parts.WORDS, "hat"]))
    fewer = tag_parts.params(model, vocabulary, best=1, prompt="a photo of a {}")
    warm = tags.tag(images, tmp_path, fewer, tmp_path / "kept")
    assert sum(sent) == 6
    assert warm["phrases"].equals(tags.tag(images, tmp_path, fewer)["phrases"])


def test_boxes_that_have_masks_send_no_image(tmp_path, sent):
    place = tiny_models.sam(tmp_path / "sam")
    params = MaskModelParams(model=place, batch_size=2)
    inputs = mask_parts.shard(tmp_path)
    inputs = type(inputs)(**{**vars(inputs), "images": with_digests(inputs.images)})
    segmentation.load.cache_clear()
    fresh = MaskedAnnotator(mask_parts.Boxes(), "sam", params).ground(inputs)
    assert sum(sent) == 3
    masked = MaskedAnnotator(mask_parts.Boxes(), "sam", params, tmp_path / "kept")
    first, warm = masked.ground(inputs), masked.ground(inputs)
    assert sum(sent) == 6
    assert fresh["regions"].equals(first["regions"])
    assert first["regions"].equals(warm["regions"])
