"""open_clip's vision transformers as transformers' CLIP: equal hidden states, or refused with the reason."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from open_clip_hidden import hidden_of
from PIL import Image
from safetensors.torch import save_file

from pipeline.errors import UserError
from pipeline.models import encoder, open_clip_tower

open_clip = pytest.importorskip("open_clip")

SMALL = {"image_size": 28, "patch_size": 7, "width": 32, "layers": 2, "head_width": 16}
TEXT = {"context_length": 8, "vocab_size": 40, "width": 16, "heads": 2, "layers": 1}
# What the architectures differ in, at a small size.
ARCHITECTURES = {
    "ViT-B-32": ({}, {}),
    "ViT-B-32-quickgelu": ({}, {"quick_gelu": True}),
    "ViT-L-14": ({"patch_size": 14, "layers": 4, "width": 48}, {}),
    "ViT-L-14-336": ({"image_size": 42, "patch_size": 14}, {}),
    "ViT-g-14": ({"mlp_ratio": 4.3637}, {}),
    "layer scale": ({"ls_init_value": 0.3}, {}),
    "tanh": ({"act_kwargs": {"approximate": "tanh"}}, {}),
    "epsilon": ({"norm_kwargs": {"eps": 1e-3}}, {}),
    "mean pooling": ({"pool_type": "avg", "final_ln_after_pool": True}, {}),
    "coca": ({"attentional_pool": True, "attn_pooler_heads": 2, "attn_pooler_queries": 5}, {}),
}


def a_folder(folder, vision=None, whole=None, preprocess=None):
    """A random model of open_clip's in its ``local-dir`` layout, and the model."""
    config = {"embed_dim": 24, "vision_cfg": SMALL | (vision or {}), "text_cfg": TEXT, **(whole or {})}
    torch.manual_seed(3)
    model = open_clip.model.CLIP(**json.loads(json.dumps(config)))
    with torch.no_grad():  # norms and biases start at 1 and 0, which would hide a swap
        for value in model.visual.parameters():
            value.add_(torch.randn_like(value) * 0.05)
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": preprocess or {}})
    )
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return model.eval()


@pytest.mark.parametrize(("vision", "whole"), ARCHITECTURES.values(), ids=ARCHITECTURES)
@torch.no_grad()
def test_converted_features_equal_those_of_open_clip(tmp_path, vision, whole):
    model = a_folder(tmp_path, vision, whole)
    tower, _ = open_clip_tower.load(f"local-dir:{tmp_path}", None)
    size = (SMALL | vision)["image_size"]
    pixels = torch.randn(2, 3, size, size)
    expected = hidden_of(model.visual, pixels)
    found = tower(pixel_values=pixels, output_hidden_states=True).hidden_states
    assert len(found) == len(expected) == (SMALL | vision)["layers"] + 1
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    patches = encoder.patch_tokens(tower, pixels, [-2])
    torch.testing.assert_close(patches, expected[-2][:, 1:], atol=1e-5, rtol=1e-5)
    assert patches.shape[1] == encoder.patch_count(tower.config)


@torch.no_grad()
@pytest.mark.parametrize("name", ["ViT-B-32-quickgelu", "tanh", "layer scale", "epsilon"])
def test_what_sets_an_architecture_apart_shows(tmp_path, name):
    """Were it without effect on this input, the test above would prove nothing about it."""
    vision, whole = ARCHITECTURES[name]
    torch.manual_seed(0)
    pixels = torch.randn(1, 3, 28, 28)
    (tmp_path / "plain").mkdir()
    (tmp_path / "other").mkdir()
    plain = hidden_of(a_folder(tmp_path / "plain").visual, pixels)[-1]
    other = a_folder(tmp_path / "other", vision, whole)
    if name != "layer scale":  # which has weights of its own
        other.load_state_dict(a_folder(tmp_path / "plain").state_dict())
    assert (hidden_of(other.visual, pixels)[-1] - plain).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("vision", "reason"),
    [
        ({"no_ln_pre": True}, "no layer norm before the first block"),
        ({"scale_attn": True, "block_type": "custom"}, "blocks are not CLIP's"),
        ({"timm_model_name": "test_vit", "image_size": 160, "timm_pool": ""}, "timm"),
        ({"layers": [1, 1, 1, 1], "width": 8, "image_size": 64, "patch_size": None}, "ModifiedResNet"),
        ({"image_size": [28, 14]}, "square"),
    ],
    ids=["clipa", "custom_blocks", "timm", "resnet", "oblong"],
)
def test_what_cannot_be_converted_is_refused_with_the_reason_and_what_can_be(tmp_path, vision, reason):
    a_folder(tmp_path, vision)
    with pytest.raises(UserError, match=f"{reason}.*SigLIP"):
        open_clip_tower.load(f"local-dir:{tmp_path}", None)


def test_a_folder_without_weights_is_no_model(tmp_path):
    a_folder(tmp_path)
    (tmp_path / "open_clip_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"encoder\.open_clip"):
        open_clip_tower.load(f"local-dir:{tmp_path}", None)


def test_a_name_without_weights_is_told_which_there_are():
    with pytest.raises(UserError, match="laion2b_s34b_b79k"):
        open_clip_tower.load("ViT-B-32", None)


def test_weights_that_hold_code_are_not_run(tmp_path):
    """A pickle in the place of weights: it is refused, and what it would do does not happen."""
    made = tmp_path / "made by the pickle"

    class Code:
        def __reduce__(self):
            return open, (str(made), "w")

    a_folder(tmp_path)
    (tmp_path / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": {"visual.proj": Code()}}, tmp_path / "open_clip_pytorch_model.bin")
    with pytest.raises(UserError, match=r"encoder\.open_clip"):
        open_clip_tower.load(f"local-dir:{tmp_path}", None)
    assert not made.exists()


@pytest.mark.parametrize(
    "preprocess",
    [
        {},
        {"resize_mode": "squash", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
        {"interpolation": "bilinear"},
    ],
    ids=["shortest", "squash", "bilinear"],
)
def test_the_preprocessing_is_that_of_open_clip(tmp_path, preprocess):
    a_folder(tmp_path, preprocess=preprocess)
    _, processor = open_clip_tower.load(f"local-dir:{tmp_path}", None)
    _, _, theirs = open_clip.create_model_and_transforms(f"local-dir:{tmp_path}")
    rows = np.linspace(0, 255, 44)[:, None, None] * np.ones((1, 60, 3)) * [1, 0.5, 0.2]
    rows[:, 20:, 1] = 255 - rows[:, 20:, 1]
    picture = Image.fromarray(rows.astype(np.uint8))
    found = processor(picture, return_tensors="pt")["pixel_values"][0]
    # Half a grey level: transformers resizes tensors, open_clip pictures.
    assert (found - theirs(picture)).abs().mean() < 0.01
    plain = open_clip_tower.image_processor({**preprocess, "size": 28, "mean": [0.1] * 3, "std": [1.0] * 3})
    assert (plain(picture, return_tensors="pt")["pixel_values"][0] - theirs(picture)).abs().mean() > 0.1


def test_padding_to_the_longer_side_is_refused():
    with pytest.raises(UserError, match="longest"):
        open_clip_tower.image_processor({"size": 28, "resize_mode": "longest", "mean": (0,), "std": (1,)})
