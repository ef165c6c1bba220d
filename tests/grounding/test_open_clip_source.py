"""The open_clip source: features of patches, their place in the image, and no phrase lost."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import UserError
from pipeline.grounding import dense_clip
from pipeline.grounding.base import ShardInputs
from pipeline.grounding.open_clip import OpenClipAnnotator, locate
from pipeline.params import OpenClipSourceParams
from pipeline.patches.geometry import Geometry
from pipeline.tables import masks, schemas

VISION = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}


def local_dir(folder, vision=VISION, seed=0, resize_mode="shortest"):
    """A small open_clip model with random weights, in the layout that ``local-dir:`` reads."""
    from open_clip import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": TEXT}
    folder.mkdir(exist_ok=True)
    save_file(CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": resize_mode}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess})
    )
    return f"local-dir:{folder}"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return local_dir(tmp_path_factory.mktemp("clip"))


def params(model, **changes):
    values = {
        "model": model,
        "pretrained": None,
        "dense": "tokens",
        "prompt": "a photo of {}",
        "threshold": 0.6,
        "min_similarity": -1.0,
        "batch_size": 4,
        **changes,
    }
    return OpenClipSourceParams(**values)


def picture(width, height, seed):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def png(image):
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def shard(pictures, phrases, root):
    """``pictures``: image_id -> bytes; ``phrases``: (image_id, text)."""
    images = [
        {
            "image_id": name,
            "image": {"bytes": data, "path": None},
            "sha256": "",
            "width": 1,
            "height": 1,
            "split": "train",
        }
        for name, data in pictures.items()
    ]
    rows = [
        {
            "phrase_id": f"{image_id}/c0/p{i}",
            "caption_id": f"{image_id}/c0",
            "image_id": image_id,
            "text": text,
            "start": 0,
            "end": len(text),
            "is_plural": False,
            "words": [],
        }
        for i, (image_id, text) in enumerate(phrases)
    ]
    return ShardInputs(
        images=schemas.from_rows("images", images),
        captions=schemas.empty("captions"),
        phrases=schemas.from_rows("phrases", rows),
        objects=schemas.empty("objects"),
        root=root,
    )


PICTURES = {
    f"i{n}": png(picture(*size, n)) for n, size in enumerate([(64, 32), (33, 70), (32, 32), (50, 47)])
}
PHRASES = [(f"i{n % 4}", text) for n, text in enumerate(["a dog", "a red ball", "two cats"] * 4)]


def test_the_region_is_where_the_patch_sees_by_hand():
    # 64 x 32 pixels: columns 16 to 48 are seen, one input pixel each; patch 6 is row 1, column 2 of 4 x 4.
    geometry = Geometry.from_open_clip({"size": 32, "resize_mode": "shortest"}, (8, 8))
    similarity = np.where(np.arange(16) == 6, 0.5, 0.1)
    found = locate(similarity[None], geometry, 64, 32, 0.6)
    assert found.boxes.tolist() == [[32, 8, 40, 16]]
    assert (found.cosine.tolist(), found.best.tolist(), found.masks.sum()) == ([0.5], [0.5], 64)
    # At twice the size, every edge is at twice the place.
    assert locate(similarity[None], geometry, 128, 64, 0.6).boxes.tolist() == [[64, 16, 80, 32]]


def test_patches_of_padding_count_for_nothing():
    geometry = Geometry.from_open_clip({"size": 32, "resize_mode": "longest"}, (8, 8))
    # 32 x 16 pixels: eight rows of padding above and below; the best patch there is not the image's.
    similarity = np.array([0.9] * 4 + [0.1, 0.2, 0.3, 0.4] + [0.1] * 4 + [-0.9] * 4)
    found = locate(similarity[None], geometry, 32, 16, 0.6)
    assert found.best.tolist() == [0.4]
    assert found.boxes.tolist() == [[16, 0, 32, 8]]  # 0.3 and 0.4, scaled 2/3 and 1


def test_a_map_without_a_peak_is_the_whole_image():
    geometry = Geometry.from_open_clip({"size": 32, "resize_mode": "squash"}, (8, 8))
    assert locate(np.full((1, 16), 0.25), geometry, 20, 30, 0.6).boxes.tolist() == [[0, 0, 20, 30]]


@settings(deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 60),
    st.sampled_from(["shortest", "longest", "squash"]),
    st.floats(0, 1),
    st.integers(0, 99),
)
def test_every_pixel_follows_the_patch_under_its_centre(width, height, mode, threshold, seed):
    geometry = Geometry.from_open_clip({"size": 32, "resize_mode": mode}, (8, 8))
    if min(geometry.axes(width, height)[i].scale[0] for i in (0, 1)) == 0:
        return  # open_clip itself cannot resize so thin an image
    similarities = np.random.default_rng(seed).random((3, 16))
    found = locate(similarities, geometry, width, height, threshold)
    scale_x, scale_y, shift_x, shift_y = (float(v[0]) for v in geometry.transform(width, height))
    patch_of = {}
    for y in range(height):
        for x in range(width):
            row = int(np.floor(((y + 0.5) * scale_y + shift_y) / 8 + 1e-9))
            column = int(np.floor(((x + 0.5) * scale_x + shift_x) / 8 + 1e-9))
            if 0 <= row < 4 and 0 <= column < 4:
                patch_of[y, x] = row * 4 + column
    for i, similarity in enumerate(similarities):
        seen = similarity[sorted(set(patch_of.values()))]
        low, best = seen.min(), seen.max()
        belongs = [value - low > threshold * (best - low) or value == best for value in similarity]
        expected = np.zeros((height, width), bool)
        for place, patch in patch_of.items():
            expected[place] = belongs[patch]
        assert found.best[i] == best
        assert (found.masks[i] == expected).all()
        assert tuple(found.boxes[i]) == masks.box(masks.encode(expected))
        assert found.masks[i].any()
        chosen = [similarity[patch] for patch in set(patch_of.values()) if belongs[patch]]
        assert found.cosine[i] == pytest.approx(np.mean(chosen))


def test_tokens_are_what_the_tower_itself_gives(model):
    clip = dense_clip.load(model, None)
    images = torch.randn(3, 3, 32, 32, device=clip.device)
    visual = clip.clip.visual
    with torch.inference_mode():
        found = dense_clip.patch_features(visual, images, "tokens")
        visual.output_tokens = True
        _, tokens = visual(images)
        visual.output_tokens = False
        torch.testing.assert_close(found, tokens @ visual.proj)


def test_the_mean_of_a_mean_pooling_towers_tokens_is_its_image_feature(tmp_path):
    model = dense_clip.load(local_dir(tmp_path / "clip", {**VISION, "pool_type": "avg"}), None)
    clip, images = model.clip, torch.randn(2, 3, 32, 32, device=model.device)
    with torch.inference_mode():
        found = dense_clip.patch_features(clip.visual, images, "tokens")
        torch.testing.assert_close(found.mean(dim=1), clip.encode_image(images))


@pytest.mark.parametrize("scale", [None, 0.5])
def test_values_are_the_last_layer_with_every_patch_attending_to_itself_alone(tmp_path, scale):
    model = dense_clip.load(local_dir(tmp_path / "clip", {**VISION, "ls_init_value": scale}), None)
    visual, images = model.clip.visual, torch.randn(2, 3, 32, 32, device=model.device)
    alone = torch.full((17, 17), -torch.inf, device=model.device).fill_diagonal_(0)
    with torch.inference_mode():
        found = dense_clip.patch_features(visual, images, "values")
        tokens = visual.transformer.resblocks[0](visual._embeds(images))
        tokens = visual.transformer.resblocks[1](tokens, attn_mask=alone)
        torch.testing.assert_close(found, (visual.ln_post(tokens) @ visual.proj)[:, 1:])


@pytest.mark.parametrize("dense", ["tokens", "values"])
def test_regions_are_those_of_one_picture_and_one_phrase_at_a_time(model, dense, tmp_path):
    out = OpenClipAnnotator(params(model, dense=dense)).ground(shard(PICTURES, PHRASES, tmp_path))
    regions = out["regions"].to_pylist()
    assert (len(regions), out["rejects"].num_rows) == (len(PHRASES), 0)
    clip = dense_clip.load(model, None)
    for i, ((image_id, text), region) in enumerate(zip(PHRASES, regions, strict=True)):
        image = Image.open(io.BytesIO(PICTURES[image_id]))
        with torch.inference_mode():
            pixels = clip.preprocess(image)[None].to(clip.device)
            patches = dense_clip.patch_features(clip.clip.visual, pixels, dense)[0]
            words = clip.clip.encode_text(clip.tokenize([f"a photo of {text}"]).to(clip.device))[0]
            cosine = torch.cosine_similarity(patches, words[None], dim=-1).cpu().numpy()
        expected = locate(cosine[None], clip.geometry, *image.size, 0.6)
        assert (masks.decode(region["mask"]) == expected.masks[0]).all()
        assert region["box"] == expected.boxes[0].tolist()
        assert region["score"] == pytest.approx((1 + expected.cosine[0]) / 2, abs=1e-5)
        phrase_id = f"{image_id}/c0/p{i}"
        assert (region["region_id"], region["phrase_id"]) == (f"{phrase_id}/r0", phrase_id)
        assert (region["image_id"], region["annotator"]) == (image_id, "open_clip")


def test_the_size_of_a_batch_moves_no_region(model, tmp_path):
    inputs = shard(PICTURES, PHRASES, tmp_path)
    one, all_ = (
        OpenClipAnnotator(params(model, batch_size=n)).ground(inputs)["regions"] for n in (1, len(PICTURES))
    )
    for column in ("phrase_id", "box", "mask"):
        assert one.column(column).equals(all_.column(column))
    np.testing.assert_allclose(one.column("score"), all_.column("score"), atol=1e-6)


def test_the_same_inputs_give_the_same_tables(model, tmp_path):
    inputs = shard(PICTURES, PHRASES, tmp_path)
    first, second = (OpenClipAnnotator(params(model)).ground(inputs) for _ in range(2))
    assert first["regions"].equals(second["regions"])


def test_every_phrase_is_grounded_or_rejected_with_its_reason(model, tmp_path):
    pictures = {**PICTURES, "broken": b"no picture"}
    phrases = [("broken", "a dog"), *PHRASES, ("gone", "a cat")]
    out = OpenClipAnnotator(params(model)).ground(shard(pictures, phrases, tmp_path))
    assert out["regions"].num_rows == len(PHRASES)
    rejects = out["rejects"].to_pylist()
    assert [(row["key"], row["reason"]) for row in rejects] == [
        ("phrase:broken/c0/p0", "image_unreadable"),
        ("phrase:gone/c0/p13", "image_unreadable"),
    ]
    assert "broken" in rejects[0]["message"]
    assert "not in" in rejects[1]["message"]

    none = OpenClipAnnotator(params(model, min_similarity=1.0)).ground(shard(PICTURES, PHRASES, tmp_path))
    assert none["regions"].num_rows == 0
    assert pa.compute.unique(none["rejects"].column("reason")).to_pylist() == ["below_min_similarity"]
    assert none["rejects"].num_rows == len(PHRASES)


def test_a_shard_without_phrases_gives_empty_tables(model, tmp_path):
    out = OpenClipAnnotator(params(model)).ground(shard(PICTURES, [], tmp_path))
    assert {name: table.num_rows for name, table in out.items()} == {"regions": 0, "rejects": 0}


def test_the_digest_follows_settings_and_weights(tmp_path):
    model = local_dir(tmp_path / "clip")
    digest = OpenClipAnnotator(params(model)).digest()
    assert OpenClipAnnotator(params(model, batch_size=9)).digest() == digest
    assert OpenClipAnnotator(params(model, threshold=0.5)).digest() != digest
    local_dir(tmp_path / "clip", seed=1)
    assert OpenClipAnnotator(params(model)).digest() != digest


def test_what_cannot_be_used_is_named(tmp_path):
    with pytest.raises(UserError, match=r"prompt: found 'a photo'"):
        OpenClipAnnotator(params("ViT-B-32", prompt="a photo"))
    with pytest.raises(UserError, match=r"open_clip_config\.json"):
        OpenClipAnnotator(params(f"local-dir:{tmp_path}/none")).digest()
    with pytest.raises(UserError, match="'ViT-B-1000'"):
        dense_clip.load("ViT-B-1000", None)
    resnet = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    with pytest.raises(UserError, match="ModifiedResNet"):
        dense_clip.load(local_dir(tmp_path / "resnet", resnet), None)
    pooled = {**VISION, "attentional_pool": True, "attn_pooler_heads": 2}
    with pytest.raises(UserError, match="attentional pooling"):
        dense_clip.load(local_dir(tmp_path / "pooled", pooled), None)


def test_an_architecture_without_weights_is_refused_instead_of_guessing_at_random():
    with pytest.raises(UserError, match="cannot be loaded"):
        dense_clip.load("ViT-S-32-alt", None)
